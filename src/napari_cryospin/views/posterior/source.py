"""Where the posterior panel gets its answers: the engine's view of a run's particles, asked in a worker's thread."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.geometry.sphere_cells import healpix_cells
from napari_cryospin.runs.epoch_record import EpochRecord
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.snapshot import Snapshot
from napari_cryospin.views.pose_path import PathBook, PosePath
from napari_cryospin.views.posterior.candidate import Candidate
from napari_cryospin.views.sphere_pictures import prepare_flat_map
from napari_cryospin.views.truth import true_rotations

if TYPE_CHECKING:
    from napari_cryospin.views.posterior.particle_view import ParticleView
    from napari_cryospin.views.posterior.view_results import Candidates, Posterior, Zoom


NEAR = 6.0
"""Degrees from the centre of the most probable cell within which a pose belongs to it."""


@dataclass(frozen=True, eq=False)
class Moment:
    """A run at one time: a snapshot, or the end of an epoch of its history."""

    epoch: int
    snapshot: Snapshot | None = None

    @property
    def key(self) -> tuple[int, int, str]:
        """The same for the same map and poses: a switch changes them within a step."""
        return (self.epoch, -1, "") if self.snapshot is None else (self.epoch, self.snapshot.step, self.snapshot.stage)


@dataclass(frozen=True, eq=False)
class Look:
    """A particle's posterior, and what the run holds of its pose."""

    particle: int
    moment: Moment
    stage: str
    posterior: Posterior
    rotation: NDArray  # (3, 3) the run's pose
    shift: NDArray  # (2,) A
    winner: int  # 0..M-1 a head, M the posterior sample, -1 none yet
    sampled: bool  # the posterior sample won
    heads: NDArray  # (m, 3, 3) candidates; m = 0: none known yet
    head_shifts: NDArray  # (m, 2) A
    candidate_epoch: int  # when the encoder proposed them; -1: none known yet
    path: PosePath
    rows: NDArray  # (n,) rows of the input that the run uses
    entropy: NDArray | None  # (n,) nats, of all particles in the newest history
    seconds: float  # that it took

    @property
    def mode(self) -> NDArray[np.float64]:
        """`(3,)` centre of the most probable cell."""
        return np.asarray(healpix_cells(self.posterior.nside).centres[self.posterior.pixel])

    @property
    def away(self) -> NDArray[np.float64] | None:
        """The mode, where the best single pose lies outside of it: many poses can outweigh one."""
        return self.mode if self.mode @ self.posterior.rotation[2] < np.cos(np.radians(NEAR)) else None

    @property
    def frozen(self) -> bool:
        """Whether the candidates are the encoder's last ones: after the switch heads no longer move."""
        return self.stage == "auto-decoding" and len(self.heads) > 0


@dataclass(frozen=True, eq=False)
class Detail:
    """What takes longer: zoom on the mode, projections, the truth."""

    look: Look
    zoom: Zoom
    shown: tuple[Candidate, ...]
    candidates: Candidates
    truth: NDArray | None = None  # (3, 3) true rotation in the run's frame; None: unknown
    truth_note: str = ""  # why it is unknown, where a truth was given
    seconds: float = 0.0  # that it took

    @property
    def best(self) -> NDArray:
        """`(3, 3)` best pose that is known."""
        return next(one.rotation for one in self.shown if one.kind == "best")


@dataclass(eq=False)
class PosteriorSource:
    """Looks at one run. Its methods load torch on first use: call them in a worker.

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
    _history: tuple[int, EpochRecord] | None = None
    _true: tuple[EpochRecord, NDArray | None, str] | None = None
    _book: PathBook = field(init=False)

    def __post_init__(self) -> None:
        self._book = PathBook(self.folder)

    def look(self, particle: int, moment: Moment, cancelled: threading.Event) -> Look:
        """Posterior of a particle under the map of a moment.

        Raises
        ------
        ValueError
            The run does not use this row, or its images cannot be read.
        CancelledError
            `cancelled` was set.
        """
        began = time.perf_counter()
        view, state = self.view, self._state_of(moment)
        row = state.particles.position(particle)
        posterior = view.posterior(particle, state, cancelled)
        history = self._history_of(moment.epoch)
        heads, shifts = _heads_of(history, state, row)
        winner = int(state.particles.winner[row])
        return Look(
            particle=particle,
            moment=moment,
            stage=state.stage,
            posterior=posterior,
            rotation=state.particles.rotations[row],
            shift=state.particles.shifts[row],
            winner=winner,
            sampled=winner == heads_of(state),
            heads=heads,
            head_shifts=shifts,
            candidate_epoch=self._last_encoding(history) if history is not None and len(heads) else -1,
            path=self._path(row, particle, moment, state),
            rows=state.particles.rows,
            entropy=None if history is None else history.particles.entropy,
            seconds=time.perf_counter() - began,
        )

    def detail(self, look: Look, cancelled: threading.Event) -> Detail:
        """Zoom on the best mode, the projections at all candidates, and the truth where it can be known."""
        began = time.perf_counter()
        view, state = self.view, look.posterior.state
        zoom = view.zoom(look.particle, state, look.away, cancelled)
        if cancelled.is_set():
            raise CancelledError
        truth, note = self._truth_of(state, state.particles.position(look.particle))
        shown = candidates_of(look, zoom, truth)
        rotations, shifts = np.stack([one.rotation for one in shown]), np.stack([one.shift for one in shown])
        candidates = view.candidates(look.particle, state, rotations, shifts, cancelled)
        return Detail(look, zoom, shown, candidates, truth, note, time.perf_counter() - began)

    @property
    def view(self) -> ParticleView:
        """The engine's view of this run; its input is opened once."""
        if self._view is None:
            from napari_cryospin.views.posterior.particle_view import ParticleView

            self._view = ParticleView.of_run(self.folder)
            prepare_flat_map()
        return self._view

    def _state_of(self, moment: Moment) -> EpochRecord:
        if moment.snapshot is not None:
            return moment.snapshot
        record = self._history_of(moment.epoch)
        if record is None or record.epoch != moment.epoch:
            raise ValueError(f"epoch {moment.epoch}: the run kept no history of it")
        return record

    def _history_of(self, epoch: int) -> EpochRecord | None:
        """Record of the newest epoch in the history that is not later than an epoch; the last one is kept."""
        known = [number for number in self.folder.history_paths() if number <= epoch]
        if not known:
            return None
        if self._history is None or self._history[0] != known[-1]:
            self._history = known[-1], self.folder.history(known[-1]).record()
        return self._history[1]

    def _last_encoding(self, history: EpochRecord) -> int:
        """Epoch in which the candidates of a record were proposed: the last one before the switch."""
        if history.stage == "auto-encoding":
            return history.epoch
        path = self._book.of(0)
        encoding = path.epochs[~path.decoding & (path.epochs <= history.epoch)]
        return int(encoding[-1]) if len(encoding) else history.epoch

    def _path(self, row: int, particle: int, moment: Moment, state: EpochRecord) -> PosePath:
        path = self._book.of(row).until(moment.epoch)
        if moment.snapshot is None:
            return path
        decoding = moment.snapshot.stage == "auto-decoding"
        return path.and_then(moment.epoch, state.particles.rotations[row, 2], decoding)

    def _truth_of(self, state: EpochRecord, row: int) -> tuple[NDArray | None, str]:
        if self.truth is None:
            return None, ""
        if self._true is None or self._true[0] is not state:
            self._true = state, *self._find_truth(state)
        rotations, note = self._true[1:]
        return (None, note) if rotations is None else (rotations[row], note)

    def _find_truth(self, state: EpochRecord) -> tuple[NDArray | None, str]:
        assert self.truth is not None
        try:
            found = true_rotations(self.folder, state.particles, self.truth)
        except (OSError, ValueError) as error:
            return None, str(error)
        return found, "" if found is not None else "Truth: unknown, too few poses agree with it yet."


def _heads_of(history: EpochRecord | None, state: EpochRecord, row: int) -> tuple[NDArray, NDArray]:
    """`(m, 3, 3)` rotations and `(m, 2)` shifts of a particle's candidates; m = 0 where they are not known yet."""
    none = np.empty((0, 3, 3), dtype=np.float32), np.empty((0, 2), dtype=np.float32)
    if history is None or not np.array_equal(history.particles.rows, state.particles.rows):
        return none
    candidates, shifts = history.particles.candidates, history.particles.candidate_shifts
    if candidates is None or shifts is None:
        return none
    heads = candidates[row].astype(np.float32)
    proposed = np.isfinite(heads).all((1, 2)) & (np.abs(np.linalg.det(heads) - 1) < 0.05)
    return (heads, shifts[row]) if proposed.all() else none


def heads_of(state: EpochRecord) -> int | None:
    """Number of heads that a run has; None: not known."""
    if isinstance(state, Snapshot):
        return len(state.head_share) - 1
    candidates = state.particles.candidates
    return None if candidates is None else candidates.shape[1]


def candidates_of(look: Look, zoom: Zoom, truth: NDArray | None) -> tuple[Candidate, ...]:
    """The poses whose projections are shown: heads, the posterior's best, the run's, the truth."""
    heads = [
        Candidate("head", rotation, shift, head, head == look.winner)
        for head, (rotation, shift) in enumerate(zip(look.heads, look.head_shifts, strict=True))
    ]
    best = (zoom.rotation, zoom.shift) if look.away is None else (look.posterior.rotation, look.posterior.shift)
    others = [Candidate("best", *best), Candidate("pose", look.rotation, look.shift)]
    if truth is not None:
        # Only the directions are compared with the truth: the shift is the run's.
        others.append(Candidate("truth", truth, look.shift))
    return (*heads, *others)
