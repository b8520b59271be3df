"""The particles of a run, finished or still going on, with all that is known of them, for export to other programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.geometry.angles import euler_from_rotation
from napari_cryospin.geometry.hand import HAND_FLIP
from napari_cryospin.particles import Particles
from napari_cryospin.runs.epoch_record import EpochFile
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.particle_record import ParticleRecord
from napari_cryospin.runs.run_particles import open_run_particles
from napari_cryospin.runs.verdict import DOUBTFUL

SELECTION_COLUMNS = {
    "entropy": "nats, of the posterior over rotations",
    "error": "squared error of the image at its pose, over the noise",
    "belongs": "probability, 0 to 1, that the image shows the particle",
    "scale": "scale of the signal in the image; their mean is 1",
    "head": "the head whose candidate explains the image best, from 1; 0: none",
    "class": "class that the particle is in, from 1",
    "class_probability": "probability, 0 to 1, of the class that the particle is in",
    "winner": "which candidate won: a head, from 1; one more than there are heads: found by the posterior; 0: none",
    "half_set": "half set, 1 or 2; 0: none",
    "row": "row of the input, from 1",
    "rot": "degrees",
    "tilt": "degrees",
    "psi": "degrees",
    "shift": "A, length of the shift",
    "precision": "degrees, expected error of the rotation",
    "max_probability": "largest probability of the posterior",
    "significant_samples": "samples that hold 99.9 % of the posterior",
    "log_likelihood": "of the image, all poses summed over",
}
"""Name that a selection can use -> its meaning and unit. Most are names of arrays of the particle record.

People count rows and heads from 1, as the window shows them; the record's arrays count from 0.
"""


@dataclass(frozen=True, kw_only=True, eq=False)
class RunResults:
    """The particles of a run with all that is known of them, in the order of the input's rows.

    Attributes
    ----------
    folder : RunFolder
        Folder of the run.
    record : ParticleRecord
        Record of the particles; all poses are in one frame and in double precision.
    epoch, stage : int, str
        Number of epochs finished and stage of the run when the record was made.
    live : bool
        Whether the record comes from the history of a run that has no results of its newest epoch.
    notes : tuple of str
        Notes on how far the record can be trusted.
    opened : Particles, optional
        Input of the run, if it is open already.
    """

    folder: RunFolder
    record: ParticleRecord
    epoch: int
    stage: str
    live: bool
    notes: tuple[str, ...] = ()
    opened: Particles | None = dataclasses.field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.record)

    def with_input(self, progress: Callable[[float, str], None]) -> RunResults:
        """Return the same results with the run's input open; stacks may be missing."""
        if self.opened is not None:
            return self
        text = f"reading {self.folder.source.particles.name}"
        progress(0.0, text)

        def reading(share: float) -> None:
            progress(share, text)

        opened = open_run_particles(self.folder, require_stacks=False, progress=reading)
        return dataclasses.replace(self, opened=opened)

    @property
    def particles(self) -> Particles:
        """All particles of the run's input, which must be open."""
        assert self.opened is not None, "with_input comes first"
        return self.opened

    @property
    def used(self) -> Particles:
        """The particles of the record, as they are in the input.

        Raises
        ------
        ValueError
            The input has fewer rows than the record needs.
        """
        rows = self.record.rows
        if rows.max() >= len(self.particles):
            found, expected = len(self.particles), rows.max() + 1
            raise ValueError(f"{self.particles.source}: found {found} particles, expected at least {expected}")
        return self.particles.select(rows)

    def select(self, positions: NDArray[np.int64]) -> RunResults:
        """Return the results for some of the particles, given by their positions."""
        return dataclasses.replace(self, record=self.record.select(positions))

    def in_other_hand(self) -> RunResults:
        """Return the results with the poses under the mirror image of the map; view directions and shifts stay."""
        record = dataclasses.replace(self.record, rotations=HAND_FLIP @ self.record.rotations)
        return dataclasses.replace(self, record=record)

    @cached_property
    def angles(self) -> NDArray[np.float64]:
        """Rot, tilt and psi of each particle, `(k, 3)` degrees."""
        return euler_from_rotation(self.record.rotations)

    def column(self, name: str) -> NDArray[np.float64]:
        """Return the values of one of `SELECTION_COLUMNS`, `(k,)`; nan where a value is not known.

        Raises
        ------
        ValueError
            The run knows none of these values.
        """
        if name in ("rot", "tilt", "psi"):
            return self.angles[:, ("rot", "tilt", "psi").index(name)]
        derived: dict[str, Any] = {
            "half_set": self.record.half_sets,
            "head": None if self.record.best_head is None else self.record.best_head + 1,
            "winner": self.record.winner + 1,
            "class": self.record.class_number,
            "class_probability": _own_probability(self.record),
            "row": self.record.rows + 1,
            "shift": np.linalg.norm(self.record.shifts, axis=-1),
        }
        values = derived[name] if name in derived else getattr(self.record, name)
        if values is None or np.isnan(np.asarray(values, dtype=np.float64)).all():
            raise ValueError(f"{self.folder.path}: the run does not know the particles' {name} (yet)")
        return np.asarray(values, dtype=np.float64)


def _own_probability(record: ParticleRecord) -> NDArray[np.float32] | None:
    if record.class_number is None or record.class_probability is None:
        return None
    return record.class_probability[np.arange(len(record)), record.class_number - 1]


def open_results(run: Path | RunFolder, particles: Particles | None = None) -> RunResults:
    """Read the particles of a run from its results or, while it goes on, from the newest epoch of its history.

    Parameters
    ----------
    run
        Folder of the run.
    particles
        Input of the run, if it is open already.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no run, or none of its epochs has ended yet.
    """
    folder = run if isinstance(run, RunFolder) else RunFolder(Path(run))
    results = folder.results_record()
    if results is not None:
        made = _make_results(folder, results.particles, results.epoch, results.stage, particles)
        return dataclasses.replace(made, notes=_verdict_notes(folder))
    epochs = folder.history_paths()
    if not epochs:
        raise ValueError(f"{folder.path}: no epoch of this run has ended yet; nothing is known of its particles")
    newest = folder.history(max(epochs))
    record, notes = _in_one_frame(newest)
    if folder.class_number is not None:
        record = record.of_class(folder.class_number)
    if record.has_halves and record.class_number is not None:
        notes = (*notes, "the two half sets number their classes independently until the run is over")
    notes = (f"the run is not over: poses are those of epoch {newest.epoch}", *_verdict_notes(folder), *notes)
    made = _make_results(folder, record, newest.epoch, newest.stage, particles)
    return dataclasses.replace(made, live=True, notes=notes)


def _verdict_notes(folder: RunFolder) -> tuple[str, ...]:
    """Give the verdict of a run's results where it is not a good one; no note of a version without verdicts."""
    status = folder.read_status()
    return (f"verdict: {status.verdict_text}",) if status.verdict in DOUBTFUL else ()


def _make_results(
    folder: RunFolder, record: ParticleRecord, epoch: int, stage: str, particles: Particles | None
) -> RunResults:
    ordered = record.in_order_of_rows()
    rotations, shifts = ordered.rotations.astype(np.float64), ordered.shifts.astype(np.float64)
    record = dataclasses.replace(ordered, rotations=rotations, shifts=shifts)
    return RunResults(folder=folder, record=record, epoch=epoch, stage=stage, live=False, opened=particles)


def _in_one_frame(epoch: EpochFile) -> tuple[ParticleRecord, tuple[str, ...]]:
    """Return the record of an epoch with all poses in the frame of the first half set, and a warning if that failed."""
    known = ("best_head", "entropy", "error", "scale", "belongs", "class_number", "class_probability")
    record = epoch.particles(*known)
    second = record.half_sets == 2
    if not second.any():
        return record, ()
    from napari_cryospin.engine.half_sets import align_halves, poses_in_frame  # Imports torch.

    halves = align_halves(*_mean_maps(epoch, record), epoch.pixel_size, exact=False)
    rotations, shifts = record.rotations.astype(np.float64), record.shifts.astype(np.float64)
    rotations[second], shifts[second] = poses_in_frame(rotations[second], shifts[second], halves.alignment)
    warning = (halves.warning,) if halves.warning else ()
    return dataclasses.replace(record, rotations=rotations, shifts=shifts), warning


def _mean_maps(epoch: EpochFile, record: ParticleRecord) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Average the maps of each half set's classes by their shares: halves number their classes independently.

    As in the engine, one particle is added to each class, so that shares do not vanish.
    """
    probability, belongs = record.class_probability, record.belongs
    maps = [epoch.maps(number) for number in range(1, epoch.classes + 1)]
    if probability is None or len(maps) == 1:
        first, second = maps[0]
        return first, second
    trust = np.ones(len(record)) if belongs is None else belongs
    members = record.half_sets == 1, record.half_sets == 2
    shares = [1 + trust[own] @ probability[own] for own in members]
    first, second = (
        np.einsum("k,kzyx->zyx", share / share.sum(), np.stack(own)).astype(np.float32)
        for share, own in zip(shares, zip(*maps, strict=True), strict=True)
    )
    return first, second
