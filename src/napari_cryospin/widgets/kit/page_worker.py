"""A thread that computes what a page of particles shows, one particle after the other."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QEvent, QObject, Signal

from napari_cryospin.widgets.kit.option_names import with_fields
from napari_cryospin.widgets.kit.particle_tiles import ParticleTiles
from napari_cryospin.widgets.kit.torch_threads import compute_alone
from napari_cryospin.widgets.kit.worker import Worker

log = logging.getLogger(__name__)

Computation = Callable[[int, threading.Event], Any]
"""Computes one particle: its row of the input, and an event that cancels -> what is shown of it."""


@dataclass(frozen=True, eq=False)
class _Outcome:
    """What came of one particle."""

    cancelled: threading.Event  # that of the particle, by which late outcomes are told from awaited ones
    row: int
    found: Any = None
    error: Exception | None = None


class PageWorker(QObject):
    """Computes the particles of the page that tiles show, each of which is handed over before the next is begun.

    Nothing is computed while the tiles are hidden. After a failure nothing is computed until `begin` is called again,
    because the next particle would fail in the same way.

    Parameters
    ----------
    name
        Name of the thread.
    tiles
        Tiles that show the page, and know which particles they still miss.
    busy
        Returns whether a run needs the other processors; it is called in the window's thread.
    parent
        Owner.
    """

    found = Signal(int, object)  # row of the input, what was computed
    page_done = Signal()
    failed = Signal(str)

    def __init__(self, name: str, tiles: ParticleTiles, busy: Callable[[], bool], parent: QObject) -> None:
        super().__init__(parent)
        self.tiles, self.busy = tiles, busy
        self._compute: Computation | None = None
        self._cancelled: threading.Event | None = None  # None: nothing is being computed
        self._worker = Worker(name, self)
        tiles.installEventFilter(self)

    @property
    def working(self) -> bool:
        return self._cancelled is not None

    def begin(self, compute: Computation | None) -> None:
        """Compute in another way from now on; None: not at all."""
        self.pause()
        self._compute = compute

    def fill(self) -> None:
        """Compute the first particle that the page misses, unless one is being computed; the others follow."""
        missing, compute = self.tiles.missing, self._compute
        if self.working or not missing or compute is None or not self.tiles.isVisible():
            return
        row, busy, cancelled = missing[0], self.busy(), threading.Event()
        self._cancelled = cancelled
        self._worker.ask(lambda: _outcome(compute, row, busy, cancelled), then=self._take)

    def pause(self) -> None:
        """Compute nothing until `fill` is called again."""
        if self._cancelled is not None:
            self._cancelled.set()
            self._cancelled = None

    def end(self) -> None:
        """End the thread."""
        self.pause()
        self._worker.end()

    def _take(self, outcome: _Outcome) -> None:
        if outcome.cancelled is not self._cancelled:
            return
        self._cancelled = None
        if outcome.error is not None:
            self._compute = None
            self.failed.emit(with_fields(outcome.error))
            return
        self.found.emit(outcome.row, outcome.found)
        self.fill()
        if not self.working:
            self.page_done.emit()

    def eventFilter(self, tiles: QObject | None, event: QEvent | None) -> bool:
        if event is not None and event.type() == QEvent.Type.Hide:
            self.pause()
        elif event is not None and event.type() == QEvent.Type.Show:
            self.fill()
        return False


def _outcome(compute: Computation, row: int, busy: bool, cancelled: threading.Event) -> _Outcome:
    """Compute one particle; errors are part of the outcome, because those of a page that was left do not count."""
    try:
        compute_alone(busy)
        return _Outcome(cancelled, row, compute(row, cancelled))
    except CancelledError as error:
        return _Outcome(cancelled, row, error=error)
    except Exception as error:  # Whatever the error is, the window tells it.
        log.info("particle %d cannot be shown", row + 1, exc_info=True)
        return _Outcome(cancelled, row, error=error)
