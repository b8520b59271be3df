"""Dragging with the right mouse button in a plot, whose left button draws a lasso."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, QPointF, Qt, Signal
from qtpy.QtGui import QMouseEvent

if TYPE_CHECKING:
    from napari_cryospin.widgets.kit.plots import Plot


class Turner(QObject):
    """Tells how the right mouse button drags in a plot.

    Parameters
    ----------
    plot
        Plot; also the parent.
    """

    dragged = Signal(object)  # QPointF, px since the last one

    def __init__(self, plot: Plot) -> None:
        super().__init__(plot)
        self._last: QPointF | None = None
        viewport = plot.viewport()
        assert viewport is not None
        viewport.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        if not isinstance(event, QMouseEvent):
            return False
        kind, right = event.type(), event.button() == Qt.MouseButton.RightButton
        if kind == QEvent.Type.MouseButtonPress and right:
            self._last = event.position()
            return True
        if kind == QEvent.Type.MouseMove and self._last is not None:
            self.dragged.emit(event.position() - self._last)
            self._last = event.position()
            return True
        if kind == QEvent.Type.MouseButtonRelease and right:
            self._last = None
            return True
        return False
