"""Scatter plot of two figures of particles, in which a lasso or a range along an axis chooses some of them."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QObject, QPointF, Qt, Signal
from qtpy.QtGui import QMouseEvent

from napari_cryospin.widgets.kit.colours import Theme
from napari_cryospin.widgets.kit.lasso import OUTLINE_CORNERS
from napari_cryospin.widgets.kit.plots import ACCENT, QUIET, SECOND, Plot

DRAWN_POINTS = 5000
"""Largest number of points that are drawn; lasso and range choose among all particles."""
SELECTION_TITLE = "Particles (lasso, or drag an axis)"


class SelectionPlot(Plot):
    """Scatter plot with a lasso: press, draw around particles, release; dragging along an axis chooses a range.

    `lassoed` gives the outline `(p, 2)` in the plot's coordinates; `ranged` gives the name of a figure and two limits,
    one of which may be infinite.
    """

    lassoed = Signal(object)
    ranged = Signal(str, float, float)

    def __init__(self) -> None:
        super().__init__(SELECTION_TITLE)
        self.x, self.y = np.zeros(0), np.zeros(0)
        self.chosen = np.zeros(0, dtype=bool)
        self.names = ("", "")
        self._outline: list[tuple[float, float]] = []
        self._axis: int | None = None  # 0 or 1 while a range along x or y is drawn
        # There are two items with one colour each, because a brush for every point would take far longer to draw.
        self._others, self._points = (pg.ScatterPlotItem(size=3, pen=None) for _ in range(2))
        self._line, self._box = (pg.PlotDataItem(pen=pg.mkPen(SECOND, width=1.5)) for _ in range(2))
        for item in (self._others, self._points, self._line, self._box):
            self.addItem(item)
        self.setMouseEnabled(False, False)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setToolTip(
            "Draw around particles to choose them, or drag along an axis for a range of its figure: past the end of "
            "the axis the range is open"
        )
        viewport = self.viewport()
        assert viewport is not None
        viewport.installEventFilter(self)

    def set_points(self, x: NDArray, y: NDArray, names: tuple[str, str], labels: tuple[str, str]) -> None:
        """Show particles: `(k,)` figures along both axes, nan where unknown; names, and labels with units."""
        self.x, self.y, self.names = np.asarray(x, float), np.asarray(y, float), names
        self.chosen = np.ones(len(self.x), dtype=bool)
        self.set_label(labels[0])
        self.set_label(labels[1], "left")
        self.set_note("" if self._known.any() else "not known of this run's particles")
        self._draw()
        self.plotItem.enableAutoRange()

    def set_chosen(self, positions: NDArray) -> None:
        """Mark `(j,)` particles as chosen."""
        self.chosen = np.zeros(len(self.x), dtype=bool)
        self.chosen[positions] = True
        self._draw()

    def clear_lasso(self) -> None:
        self._line.setData([], [])

    @property
    def drawing(self) -> bool:
        """Whether the user is drawing, so that the plot should not change."""
        return bool(self._outline)

    def set_theme(self, theme: Theme) -> None:
        super().set_theme(theme)
        self._draw()

    def table(self) -> dict[str, NDArray]:
        return {self.names[0]: self.x, self.names[1]: self.y, "chosen": self.chosen.astype(int)}

    @property
    def _known(self) -> NDArray:
        return np.isfinite(self.x) & np.isfinite(self.y)

    def _draw(self) -> None:
        known = np.flatnonzero(self._known)
        shown = known[:: max(1, -(-len(known) // DRAWN_POINTS))]
        for item, chosen, colour in ((self._others, False, QUIET + "70"), (self._points, True, ACCENT)):
            part = shown[self.chosen[shown] == chosen]
            item.setData(self.x[part], self.y[part], brush=pg.mkBrush(colour))

    # Mouse

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        if not isinstance(event, QMouseEvent) or not len(self.x):
            return False
        kind = event.type()
        if kind == QEvent.Type.MouseButtonPress and event.button() == Qt.MouseButton.LeftButton:
            self._outline, self._axis = [self._place(event)], self._axis_under(event)
            return True
        if kind == QEvent.Type.MouseMove and self._outline:
            self._outline.append(self._place(event))
            line, corners = (self._line, self._outline) if self._axis is None else (self._box, self._range_corners())
            line.setData(*np.array(corners).T)
            return True
        if kind == QEvent.Type.MouseButtonRelease and self._outline:
            self._choose()
            return True
        return False

    def _choose(self) -> None:
        corners, limits = np.array([*self._outline, self._outline[0]]), self._range()
        self._outline = []
        if self._axis is not None:
            self._box.setData([], [])
            if limits[0] < limits[1]:
                self.ranged.emit(self.names[self._axis], *limits)
        elif len(corners) > 3:
            self._line.setData(*corners.T)
            self.lassoed.emit(corners[:: -(-len(corners) // OUTLINE_CORNERS)])

    def _range(self) -> tuple[float, float]:
        """Return the limits of the range along the axis; past the end of the axis a limit is infinite."""
        axis = self._axis or 0
        start, now = self._outline[0][axis], self._outline[-1][axis]
        first, last = self.plotItem.vb.viewRange()[axis]
        low, high = min(start, now), max(start, now)
        return (-np.inf if low < first else low), (np.inf if high > last else high)

    def _range_corners(self) -> list[tuple[float, float]]:
        """Return the corners of the range as a box across the plot."""
        assert self._axis is not None
        (left, right), (bottom, top) = self.plotItem.vb.viewRange()
        low, high = self._range()
        if self._axis == 0:
            left, right = max(low, left), min(high, right)
        else:
            bottom, top = max(low, bottom), min(high, top)
        return [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]

    def _axis_under(self, event: QMouseEvent) -> int | None:
        """Return 0 for a press beneath the plot, 1 for one to the left of it; None: elsewhere."""
        area, place = self.plotItem.vb.sceneBoundingRect(), self.mapToScene(event.pos())
        return 0 if place.y() > area.bottom() else 1 if place.x() < area.left() else None

    def _place(self, event: QMouseEvent) -> tuple[float, float]:
        where: QPointF = self.plotItem.vb.mapSceneToView(self.mapToScene(event.pos()))
        return where.x(), where.y()
