"""Maps that the user brings beside the live one: a known map or model, another run, another class."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.widgets.kit.option_names import with_fields
from napari_cryospin.widgets.kit.torch_threads import compute_alone
from napari_cryospin.widgets.kit.worker import Worker
from napari_cryospin.widgets.live_map.ghost_maps import GhostMap, GhostMaps, ghosts_beside
from napari_cryospin.widgets.live_map.layers import live_map_of
from napari_cryospin.widgets.live_map.run_pair import NO_MAP, RunPair, view_of

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_cryospin.views.known_map import FittedMap
    from napari_cryospin.views.run_view import RunView
    from napari_cryospin.widgets.live_map.layers import LiveMap

Compared = tuple[RunFolder, GhostMap, str]


class Comparisons(QObject):
    """Comparisons of a live map; a thread computes them.

    Parameters
    ----------
    ghosts
        Maps beside the live one, to which those that are compared are added; also the parent.
    """

    told = Signal(str)  # how well the two agree, or why they cannot be compared
    compared = Signal(object)  # TwoRuns: the watched run and another one

    def __init__(self, ghosts: GhostMaps) -> None:
        super().__init__(ghosts)
        self.ghosts, self.session = ghosts, ghosts.live.session
        self._worker = Worker("cryospin-comparisons", self)
        self.pair = RunPair(ghosts)
        self.pair.told.connect(self.told)
        self.pair.compared.connect(self.compared)
        self.session.closing.connect(self._worker.end)

    def fit_file(self, path: Path) -> None:
        """Fit a known map or a model, and show it."""
        self._compare(path.name, lambda view, epoch: _fitted(view.fit_known(path, epoch)))

    def compare_run(self, path: Path) -> None:
        """Fit the newest map of another run, show it, and compare the two runs."""
        self.pair.compare(path)

    def compare_class(self, number: int) -> None:
        """Show another class of the run, which has the same frame."""
        shown = self.ghosts.live.display.class_number
        self._compare(f"class {number}", lambda view, epoch: _class(view, epoch, number, shown))

    def _compare(self, name: str, compute: Callable[[RunView, int | None], tuple[GhostMap, str]]) -> None:
        folder, epoch, busy = self.session.folder, self.session.shown_epoch, self.session.live
        if folder is None:
            self.told.emit(NO_MAP)
            return
        self.told.emit(f"comparing with {name} …")

        def ask() -> Compared:
            compute_alone(busy)
            return folder, *compute(view_of(folder), epoch)

        self._worker.ask(ask, then=self._show, failed=self._failed)

    def _show(self, answer: Compared) -> None:
        folder, ghost, words = answer
        if folder is self.session.folder:
            self.ghosts.show(ghost)
            self.told.emit(words)

    def _failed(self, error: Exception) -> None:
        self.told.emit(with_fields(error))


def _fitted(found: FittedMap) -> tuple[GhostMap, str]:
    return _ghost(found), found.words


def _ghost(found: FittedMap) -> GhostMap:
    return GhostMap(found.name, found.density, found.pixel_size)


def _class(view: RunView, epoch: int | None, number: int, shown: int) -> tuple[GhostMap, str]:
    other, own = view.map(epoch, class_number=number), view.map(epoch, class_number=shown)
    correlation = float(np.corrcoef(other.density.ravel(), own.density.ravel())[0, 1])
    words = f"class {number}: correlation {correlation:.2f} with class {shown}"
    return GhostMap(f"class {number}", other.density, other.pixel_size), words


def comparisons_beside(live: LiveMap) -> Comparisons:
    """Return the comparisons of a live map, which the first call makes."""
    ghosts = ghosts_beside(live)
    found = ghosts.findChild(Comparisons)
    return found if isinstance(found, Comparisons) else Comparisons(ghosts)


def comparisons_of(viewer: Viewer) -> Comparisons:
    """Return the comparisons of a viewer's live map."""
    return comparisons_beside(live_map_of(viewer))
