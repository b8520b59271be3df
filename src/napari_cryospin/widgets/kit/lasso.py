"""A lasso in a plot: press, draw around something, release; a press without a drawing is a click."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph as pg
from matplotlib.path import Path as Outline
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QObject, QPointF, Qt, Signal
from qtpy.QtGui import QMouseEvent

from napari_cryospin.widgets.kit.plots import SECOND

if TYPE_CHECKING:
    from napari_cryospin.widgets.kit.plots import Plot

OUTLINE_CORNERS = 200
"""Largest number of corners of an outline."""
DRAWN_FROM = 5.0
"""Pixels from where the mouse was pressed, from which it draws; chosen by hand."""


class Lasso(QObject):
    """Lasso of a plot, which takes all that the left mouse button does in it.

    `drawn` gives the outline `(p, 2)` in the plot's coordinates, `clicked` a point in them.
    """

    drawn = Signal(object)
    clicked = Signal(float, float)

    def __init__(self, plot: Plot) -> None:
        super().__init__(plot)
        self.plot = plot
        self._outline: list[QPointF] = []  # in the widget's pixels
        self._line = pg.PlotCurveItem(pen=pg.mkPen(SECOND, width=1.5))
        self._line.setZValue(20)
        plot.addItem(self._line, ignoreBounds=True)
        viewport = plot.viewport()
        assert viewport is not None
        viewport.installEventFilter(self)

    @property
    def drawing(self) -> bool:
        """Whether the mouse was pressed and moved far enough."""
        return any((place - self._outline[0]).manhattanLength() > DRAWN_FROM for place in self._outline)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        if not isinstance(event, QMouseEvent):
            return False
        kind = event.type()
        if kind == QEvent.Type.MouseButtonPress and event.button() == Qt.MouseButton.LeftButton:
            self._outline = [event.position()]
            return True
        if kind == QEvent.Type.MouseMove and self._outline:
            self._outline.append(event.position())
            if self.drawing:
                self._line.setData(*self._corners().T)
            return True
        if kind == QEvent.Type.MouseButtonRelease and self._outline:
            self._finish()
            return True
        return False

    def _finish(self) -> None:
        drawing, corners = self.drawing, self._corners()
        self._outline = []
        self._line.setData([], [])
        if not drawing:
            self.clicked.emit(*map(float, corners[0]))
        elif len(corners) > 3:
            self.drawn.emit(corners[:: -(-len(corners) // OUTLINE_CORNERS)])

    def _corners(self) -> NDArray[np.float64]:
        """Return the outline, closed, in the plot's coordinates."""
        box = self.plot.plotItem.vb
        places = [box.mapSceneToView(self.plot.mapToScene(place.toPoint())) for place in self._outline]
        return np.array([(place.x(), place.y()) for place in [*places, places[0]]])


def inside(outline: NDArray, x: NDArray, y: NDArray) -> NDArray[np.int64]:
    """Return the positions of the `(k,)` points inside an outline `(p, 2)`; a nan is never inside."""
    (left, bottom), (right, top) = outline.min(0), outline.max(0)
    near = np.flatnonzero((x >= left) & (x <= right) & (y >= bottom) & (y <= top))
    within = Outline(outline, closed=False).contains_points(np.stack((x[near], y[near]), axis=-1))
    return near[within]
