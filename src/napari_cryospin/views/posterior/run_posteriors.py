"""Posteriors of a run's particles, for the window, the command line and Python alike."""

from __future__ import annotations

import dataclasses
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.io.files import FileMark
from napari_cryospin.runs.epoch_record import EpochRecord
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.snapshot import Snapshot
from napari_cryospin.views.moment import Moment
from napari_cryospin.views.pose_path import PathBook, PosePath
from napari_cryospin.views.posterior.answers import DirectionPosterior
from napari_cryospin.views.posterior.cancelling import raise_if_cancelled
from napari_cryospin.views.posterior.particle_posterior import ParticlePosterior, PosteriorDetail
from napari_cryospin.views.sphere_pictures import prepare_flat_map
from napari_cryospin.views.truth import true_rotations

if TYPE_CHECKING:
    from napari_cryospin.views.posterior.particle_view import ParticleView

TRUTH_UNKNOWN = "Truth: unknown, too few poses agree with it yet."
"""Note of a posterior where a truth was given, but cannot be used yet."""
ROTATION_TOLERANCE = 0.05
"""Largest difference of a candidate's determinant from 1; candidates are kept in half precision. Chosen by hand."""


@dataclass(eq=False)
class RunPosteriors:
    """Source of the posteriors of one run's particles.

    Its methods load torch on first use, so that a window has to call them in a worker's thread.

    Parameters
    ----------
    folder
        The run.
    truth
        File with true poses of its particles, if there is one.
    """

    folder: RunFolder
    truth: Path | None = None
    _view: ParticleView | None = None
    _history: tuple[FileMark, EpochRecord] | None = None
    _true: tuple[EpochRecord, NDArray[np.float64] | None] | None = None
    _book: PathBook = field(init=False)

    def __post_init__(self) -> None:
        self._book = PathBook(self.folder)

    def of(self, particle: int, moment: Moment, cancelled: threading.Event | None = None) -> ParticlePosterior:
        """Compute the posterior of a particle under the map of one moment, without its detail.

        Parameters
        ----------
        particle
            Row of the input, from 0.
        moment
            Moment of the run whose map is used.
        cancelled
            Setting it makes the call raise `CancelledError` soon.

        Raises
        ------
        FileNotFoundError, ValueError
            The run does not use this row, its images cannot be read, or it kept no history of the epoch.
        CancelledError
            `cancelled` was set.
        """
        began = time.perf_counter()
        record = self._record_of(moment)
        position = record.particles.position(particle)
        directions = self.view.posterior(particle, record, cancelled)
        history = self._newest_history(moment.epoch)
        candidates, shifts = candidates_of(history, record, position)
        known = history is not None and len(candidates) > 0
        winner = int(record.particles.winner[position])
        return ParticlePosterior(
            particle=particle,
            record=record,
            directions=directions,
            rotation=record.particles.rotations[position],
            shift=record.particles.shifts[position],
            winner=winner,
            sampled=winner == heads_of(record),
            candidates=candidates,
            candidate_shifts=shifts,
            candidate_epoch=self._last_encoding(history) if history is not None and known else -1,
            path=self._path(position, moment, record),
            rows=record.particles.rows,
            entropies=None if history is None else history.particles.entropy,
            seconds=time.perf_counter() - began,
        )

    def directions_of(
        self, particle: int, moment: Moment, cancelled: threading.Event | None = None
    ) -> DirectionPosterior:
        """Compute the posterior of a particle's view direction alone; parameters and errors as of `of`."""
        return self.view.posterior(particle, self._record_of(moment), cancelled)

    def beside_projection(
        self, particle: int, moment: Moment, cancelled: threading.Event | None = None
    ) -> NDArray[np.float32]:
        """Return a particle's image and the map's projection at the run's pose, `(2, n, n)`; parameters as of `of`."""
        return self.view.beside_projection(particle, self._record_of(moment), cancelled)

    def entropies(self, moment: Moment) -> tuple[NDArray[np.int64], NDArray[np.float32] | None]:
        """Return the rows of all particles, and their entropies at the end of the last epoch; None: not known yet."""
        history = self._newest_history(moment.epoch)
        if history is None:
            return self._record_of(moment).particles.rows, None
        return history.particles.rows, history.particles.entropy

    def with_detail(self, posterior: ParticlePosterior, cancelled: threading.Event | None = None) -> ParticlePosterior:
        """Add the zoom on the best mode, the projections at all candidates, and the truth where it can be known.

        If the truth cannot be read, `detail.truth_note` says why.
        """
        began = time.perf_counter()
        particle, record = posterior.particle, posterior.record
        zoom = self.view.zoom(particle, record, posterior.mode_elsewhere, cancelled)
        raise_if_cancelled(cancelled)
        truth, note = self._truth_of(record, record.particles.position(particle))
        shown = posterior.shown_poses(zoom, truth)
        rotations, shifts = np.stack([one.rotation for one in shown]), np.stack([one.shift for one in shown])
        comparison = self.view.compare(particle, record, rotations, shifts, cancelled)
        detail = PosteriorDetail(
            zoom=zoom,
            shown=shown,
            comparison=comparison,
            truth=truth,
            truth_note=note,
            seconds=time.perf_counter() - began,
        )
        return dataclasses.replace(posterior, detail=detail)

    def true_rotations(self, record: EpochRecord) -> NDArray[np.float64] | None:
        """Return the true rotations in the frame of a record's poses, `(n, 3, 3)`; None: not known, or too few agree.

        Raises
        ------
        FileNotFoundError, ValueError
            The truth cannot be read, or lacks poses or images.
        """
        if self.truth is None:
            return None
        if self._true is None or self._true[0] is not record:
            self._true = record, true_rotations(self.folder, record.particles, self.truth)
        return self._true[1]

    def path(self, particle: int) -> PosePath:
        """Return the view direction of a particle at the end of each epoch that has a history."""
        epochs = self.folder.history_paths()
        if not epochs:
            return PosePath()
        return self._book.of(self.folder.history(max(epochs)).particles().position(particle))

    @property
    def view(self) -> ParticleView:
        """View that compares the images with the maps; it is made, and the run's input opened, on first use."""
        if self._view is None:
            from napari_cryospin.views.posterior.particle_view import ParticleView

            self._view = ParticleView.of_run(self.folder)
            prepare_flat_map()
        return self._view

    def _record_of(self, moment: Moment) -> EpochRecord:
        if moment.snapshot is not None:
            return moment.snapshot
        record = self._newest_history(moment.epoch)
        if record is None or record.epoch != moment.epoch:
            raise ValueError(f"epoch {moment.epoch}: the run kept no history of it")
        return record

    def _newest_history(self, epoch: int) -> EpochRecord | None:
        """Return the record of the newest epoch in the history up to a given one. The last record is kept in memory."""
        known = [number for number in self.folder.history_paths() if number <= epoch]
        if not known:
            return None
        file = self.folder.history(known[-1])
        mark = file.mark
        if self._history is None or self._history[0] != mark:
            self._history = mark, file.record()
        return self._history[1]

    def _last_encoding(self, history: EpochRecord) -> int:
        """Return the epoch in which a record's candidates were proposed: its own, or the last one before the switch."""
        if history.stage == "auto-encoding":
            return history.epoch
        path = self._book.of(0)
        encoding = path.epochs[~path.decoding & (path.epochs <= history.epoch)]
        return int(encoding[-1]) if len(encoding) else history.epoch

    def _path(self, position: int, moment: Moment, record: EpochRecord) -> PosePath:
        path = self._book.of(position).until(moment.epoch)
        if moment.snapshot is None:
            return path
        return path.and_then(moment.epoch, record.particles.rotations[position, 2], record.stage == "auto-decoding")

    def _truth_of(self, record: EpochRecord, position: int) -> tuple[NDArray[np.float64] | None, str]:
        if self.truth is None:
            return None, ""
        try:
            rotations = self.true_rotations(record)
        except (OSError, ValueError) as error:
            return None, str(error)
        return (None, TRUTH_UNKNOWN) if rotations is None else (rotations[position], "")


def candidates_of(history: EpochRecord | None, record: EpochRecord, position: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the candidates that the heads proposed for a particle, as far as they are known.

    Parameters
    ----------
    history
        Record of an epoch that may hold candidates; it is used only if it has the same particles in the same order.
    record, position
        The run's record at the moment in question, and the particle's position in it.

    Returns
    -------
    tuple of ndarray
        `(m, 3, 3)` rotations and `(m, 2)` shifts in A; m = 0 where they are not known, or not all of them are finite
        rotations.
    """
    none = np.empty((0, 3, 3), dtype=np.float32), np.empty((0, 2), dtype=np.float32)
    if history is None or not np.array_equal(history.particles.rows, record.particles.rows):
        return none
    candidates, shifts = history.particles.candidates, history.particles.candidate_shifts
    if candidates is None or shifts is None:
        return none
    rotations = candidates[position].astype(np.float32)
    if not np.isfinite(rotations).all():
        return none
    proper = np.abs(np.linalg.det(rotations) - 1) < ROTATION_TOLERANCE
    return (rotations, shifts[position]) if proper.all() else none


def heads_of(record: EpochRecord) -> int | None:
    """Return the number of the run's heads; None: the record does not hold it."""
    if isinstance(record, Snapshot):
        return len(record.head_share) - 1
    candidates = record.particles.candidates
    return None if candidates is None else candidates.shape[1]
