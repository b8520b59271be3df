"""Particles as points, any two of their figures against each other; a lasso drawn around some of them chooses these."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from matplotlib.path import Path as Outline
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QObject, QPointF, Qt, Signal
from qtpy.QtGui import QMouseEvent

from napari_cryospin.widgets.colours import Theme
from napari_cryospin.widgets.plots import ACCENT, QUIET, Plot

SHOWN = 20000
"""Points that are drawn at most; the lasso takes in the others as well."""


class SelectionPlot(Plot):
    """A scatter plot with a lasso: press, draw around particles, let go.

    `lassoed` says which of the points lie inside: positions `(j,)` in the order in which they were given.
    """

    lassoed = Signal(object)

    def __init__(self) -> None:
        super().__init__("Particles")
        self.x, self.y = np.zeros(0), np.zeros(0)
        self.chosen = np.zeros(0, dtype=bool)
        self.names = ("", "")
        self._outline: list[tuple[float, float]] = []
        self._points = pg.ScatterPlotItem(size=3, pen=None)
        self._line = pg.PlotDataItem(pen=pg.mkPen("#E69F00", width=1.5))
        self.addItem(self._points)
        self.addItem(self._line)
        self.setMouseEnabled(False, False)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setMinimumHeight(150)
        viewport = self.viewport()
        assert viewport is not None
        viewport.installEventFilter(self)

    def set_points(self, x: NDArray, y: NDArray, names: tuple[str, str]) -> None:
        """Show particles: `(k,)` figures along both axes, nan where one is not known, and what they are."""
        self.x, self.y, self.names = np.asarray(x, float), np.asarray(y, float), names
        self.chosen = np.ones(len(self.x), dtype=bool)
        self.getAxis("bottom").setLabel(names[0])
        self.getAxis("left").setLabel(names[1])
        self.set_note("" if (self._known).any() else "not known of this run's particles")
        self._line.setData([], [])
        self._draw()
        self.plotItem.enableAutoRange()

    def set_chosen(self, positions: NDArray) -> None:
        """Mark `(j,)` particles as chosen."""
        self.chosen = np.zeros(len(self.x), dtype=bool)
        self.chosen[positions] = True
        self._draw()

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
        shown = known[:: max(1, -(-len(known) // SHOWN))]
        colours = np.where(self.chosen[shown], ACCENT, QUIET + "80")
        self._points.setData(self.x[shown], self.y[shown], brush=[pg.mkBrush(colour) for colour in colours])

    def inside(self, outline: NDArray) -> NDArray[np.int64]:
        """Positions of the points inside an outline `(p, 2)` in the plot's coordinates."""
        within = Outline(outline, closed=False).contains_points(np.stack((self.x, self.y), axis=-1))
        return np.flatnonzero(within & self._known)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        if isinstance(event, QMouseEvent) and len(self.x):
            kind = event.type()
            if kind == QEvent.Type.MouseButtonPress and event.button() == Qt.MouseButton.LeftButton:
                self._outline = [self._place(event)]
                return True
            if kind == QEvent.Type.MouseMove and self._outline:
                self._outline.append(self._place(event))
                self._line.setData(*np.array(self._outline).T)
                return True
            if kind == QEvent.Type.MouseButtonRelease and self._outline:
                outline, self._outline = np.array([*self._outline, self._outline[0]]), []
                if len(outline) > 3:
                    self._line.setData(*outline.T)
                    self.lassoed.emit(self.inside(outline))
                return True
        return False

    def _place(self, event: QMouseEvent) -> tuple[float, float]:
        where: QPointF = self.plotItem.vb.mapSceneToView(self.mapToScene(event.pos()))
        return where.x(), where.y()
