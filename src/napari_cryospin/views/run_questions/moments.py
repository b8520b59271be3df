"""Where a run stands, and its record at one moment."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from napari_cryospin.runs.epoch_record import EpochRecord
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import Status
from napari_cryospin.runs.particle_record import ParticleRecord
from napari_cryospin.runs.snapshot import Snapshot
from napari_cryospin.views.moment import Moment

if TYPE_CHECKING:
    from napari_cryospin.particles import Particles


class RunMoments:
    """Access to a run's state and to its record at any moment; parameters as in `RunView`."""

    def __init__(self, run: RunFolder | Path | str, truth: Path | str | None = None) -> None:
        self.folder = run if isinstance(run, RunFolder) else RunFolder(Path(run))
        self.truth = None if truth is None else Path(truth)

    def __repr__(self) -> str:
        return f"RunView({str(self.folder.path)!r})"

    @property
    def status(self) -> Status:
        """Present status of the run: state, stage, step, epoch, time."""
        return self.folder.read_status()

    @property
    def symmetry(self) -> str:
        """Point group that the run's map has now; the settings have the one that it began with."""
        return self.folder.symmetry

    @property
    def epochs(self) -> tuple[int, ...]:
        """Numbers of the epochs that have a history, ascending."""
        return tuple(sorted(self.folder.history_paths()))

    @property
    def snapshot(self) -> Snapshot | None:
        """The newest snapshot; None: there is none."""
        return self.folder.newest_snapshot()

    @cached_property
    def input(self) -> Particles:
        """All particles of the run's input.

        Raises
        ------
        FileNotFoundError, ValueError
            The input cannot be read, or is no longer what the run began with.
        """
        from napari_cryospin.runs.run_particles import open_run_particles

        return open_run_particles(self.folder)

    def record(self, epoch: int | None = None) -> EpochRecord:
        """Return the run's record at one moment: maps, noise and particles.

        Parameters
        ----------
        epoch
            One of `epochs`. Default: the newest state.

        Raises
        ------
        FileNotFoundError, ValueError
            The run has no history of this epoch, or no map yet.
        """
        moment = self._moment(epoch)
        return moment.snapshot or self.folder.history(moment.epoch).record()

    def particles(self, epoch: int | None = None) -> ParticleRecord:
        """Return the record of the run's particles at one moment; parameters and errors as in `record`.

        Returns
        -------
        ParticleRecord
            Poses, winners and, for an epoch of the history, candidates, entropy and error. Two half sets have a frame
            each; `results.particles` has them all in one.
        """
        return self.record(epoch).particles

    def _moment(self, epoch: int | None) -> Moment:
        if epoch is not None:
            return Moment(epoch)
        snapshot = self.folder.newest_snapshot()
        if snapshot is not None:
            return Moment(snapshot.epoch, snapshot)
        if not self.epochs:
            raise ValueError(f"{self.folder.path}: no map in this run yet; the first comes after its first steps")
        return Moment(self.epochs[-1])
