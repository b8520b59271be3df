"""The share of the canvas that a map takes, which stays when the canvas is resized."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QWidget

from napari_cryospin.widgets.live_map.layers import live_map_of

if TYPE_CHECKING:
    from napari.viewer import Viewer


class KeptFraming(QObject):
    """Event filter that zooms with the canvas, so that a map that was all in sight stays so.

    napari keeps the size of a voxel on the screen instead: what was in sight is cut when docks take room.

    Parameters
    ----------
    canvas
        Widget that holds napari's canvas; also the parent.
    viewer
        Viewer of the canvas.
    """

    def __init__(self, canvas: QWidget, viewer: Viewer) -> None:
        super().__init__(canvas)
        self.live = live_map_of(viewer)
        self._extent = 0  # pixels of the canvas along its shorter side, when there was any room for it
        canvas.installEventFilter(self)
        self._take(min(canvas.width(), canvas.height()))

    def eventFilter(self, canvas: QObject | None, event: QEvent | None) -> bool:
        if isinstance(event, QResizeEvent):
            self._take(min(event.size().width(), event.size().height()))
        return False

    def _take(self, extent: int) -> None:
        before = self._extent
        if extent <= 0 or extent == before:
            return
        self._extent = extent
        viewer, layer = self.live.viewer, self.live.layer.layer
        if before and layer is not None and layer in viewer.layers and viewer.dims.ndisplay == 3:
            viewer.camera.zoom *= extent / before


def keep_framing(canvas: QWidget, viewer: Viewer) -> None:
    """Let the map keep its share of the canvas; once is enough for a window."""
    if canvas.findChild(KeptFraming) is None:
        KeptFraming(canvas, viewer)
