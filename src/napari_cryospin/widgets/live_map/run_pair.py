"""The watched run beside another one: compared in a thread, and again when either has gone on."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import LIVE_STATES
from napari_cryospin.widgets.kit.option_names import with_fields
from napari_cryospin.widgets.kit.torch_threads import compute_alone
from napari_cryospin.widgets.kit.worker import Worker
from napari_cryospin.widgets.live_map.ghost_maps import GhostMap, GhostMaps

if TYPE_CHECKING:
    from napari_cryospin.views.run_view import RunView
    from napari_cryospin.views.two_runs import TwoRuns

NO_MAP = "There is no map yet to compare with."


@dataclass(frozen=True)
class PairMoment:
    """How far two runs were when they were compared."""

    shown_epoch: int | None  # of the watched run; None: its newest state
    states: tuple[tuple[int, str], tuple[int, str]]  # epoch and state of each

    @property
    def over(self) -> bool:
        """Whether neither run goes on."""
        return not any(state in LIVE_STATES for _, state in self.states)


@dataclass(frozen=True, eq=False)
class PairAnswer:
    """What the thread found; `found` is None where neither run has gone on."""

    folder: RunFolder
    other: Path
    moment: PairMoment
    found: TwoRuns | None
    seconds: float


class RunPair(QObject):
    """Comparison of the watched run with another one.

    Parameters
    ----------
    ghosts
        Maps beside the live one, to which that of the other run is added; also the parent.

    Attributes
    ----------
    words : str
        What was told of the last comparison.
    seconds : float
        Time that it took.
    """

    told = Signal(str)  # how well the two agree, or why they cannot be compared
    retold = Signal(str, str)  # what was told before, and what is true now
    compared = Signal(object)  # TwoRuns

    def __init__(self, ghosts: GhostMaps) -> None:
        super().__init__(ghosts)
        self.ghosts, self.session = ghosts, ghosts.live.session
        self.words, self.seconds = "", 0.0
        self._folder: RunFolder | None = None
        self._other: Path | None = None
        self._moment: PairMoment | None = None
        self._busy = False
        self._worker = Worker("cryospin-run-pair", self)
        self.session.closing.connect(self._worker.end)

    def compare(self, path: Path) -> None:
        """Fit the newest map of another run, show it, and compare the two runs."""
        self._folder, self._other, self._moment, self.words = self.session.folder, path, None, ""
        if self._folder is None:
            self.told.emit(NO_MAP)
            return
        self.told.emit(f"comparing with {path.name} …")
        self._ask()

    @property
    def goes_on(self) -> bool:
        """Whether one of the two runs, when they were compared last, was not over."""
        same = self._other is not None and self._folder is self.session.folder
        return same and self._moment is not None and not self._moment.over

    def follow(self) -> None:
        """Compare the two again if either has gone on, unless the user looks at an earlier epoch."""
        if self.goes_on and not self._busy and self.session.shown_epoch is None:
            self._ask()

    def _ask(self) -> None:
        folder, other, known = self._folder, self._other, self._moment
        assert folder is not None
        assert other is not None
        epoch, busy, truth = self.session.shown_epoch, self.session.live, self.session.truth_of_run
        self._busy = True

        def ask() -> PairAnswer:
            first, second = view_of(folder, truth), view_of(other)
            moment = PairMoment(epoch, (_state_of(first), _state_of(second)))
            begun = time.monotonic()
            if moment != known:
                compute_alone(busy)
            found = None if moment == known else first.compare(second, epoch)
            return PairAnswer(folder, other, moment, found, time.monotonic() - begun)

        self._worker.ask(ask, then=self._take, failed=self._failed)

    def _take(self, answer: PairAnswer) -> None:
        self._busy = False
        if answer.folder is not self.session.folder or answer.other != self._other:
            return
        again, self._moment = self._moment is not None, answer.moment
        if answer.found is not None:
            self.seconds = answer.seconds
            self._show(answer.found, again)

    def _show(self, found: TwoRuns, again: bool) -> None:
        """Show a comparison; a map that the user has taken away since the one before stays away."""
        fitted = found.fitted
        if not again or self.ghosts.shows(fitted.name):
            self.ghosts.show(GhostMap(fitted.name, fitted.density, fitted.pixel_size))
        before, self.words = self.words, f"{fitted.words}; poses: {found.poses.words}"
        if again:
            self.retold.emit(before, self.words)
        else:
            self.told.emit(self.words)
        self.compared.emit(found)

    def _failed(self, error: Exception) -> None:
        self._busy, self._other = False, None
        self.told.emit(with_fields(error))


def view_of(folder: RunFolder | Path, truth: Path | None = None) -> RunView:
    """Make the view of a run; its import takes half a second, which a window that opens does not have."""
    from napari_cryospin.views.run_view import RunView

    return RunView(folder, truth)


def _state_of(view: RunView) -> tuple[int, str]:
    status = view.status
    return status.epoch, status.state
