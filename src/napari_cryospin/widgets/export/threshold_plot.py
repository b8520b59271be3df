"""Histogram with a line at a threshold, which the mouse drags and the keyboard moves."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeyEvent

from napari_cryospin.widgets.kit.histogram_plot import HistogramPlot
from napari_cryospin.widgets.kit.plots import ACCENT, QUIET, SECOND

STEP, LONG_STEP = 0.01, 0.1
"""How far an arrow key, and a page key, move the threshold; it is a multiple of the former."""
KEYS = {
    Qt.Key.Key_Left: -STEP,
    Qt.Key.Key_Down: -STEP,
    Qt.Key.Key_Right: STEP,
    Qt.Key.Key_Up: STEP,
    Qt.Key.Key_PageDown: -LONG_STEP,
    Qt.Key.Key_PageUp: LONG_STEP,
    Qt.Key.Key_Home: -1.0,
    Qt.Key.Key_End: 1.0,
}
"""Key -> how far it moves the threshold; by 1, to an end."""
AXIS_HEIGHT = 17  # pixels, of the numbers alone


class ThresholdPlot(HistogramPlot):
    """Histogram of values from 0 to 1, whose bars below the threshold are grey.

    Parameters
    ----------
    title, x_name
        As of `HistogramPlot`.
    threshold
        Threshold at first, 0 to 1.
    """

    moved = Signal(float)  # the new threshold

    def __init__(self, title: str, x_name: str, threshold: float) -> None:
        super().__init__(title, x_name)
        self.threshold = threshold
        axis = self.getAxis("bottom")
        axis.showLabel(False)  # The title says what is along x.
        axis.setHeight(AXIS_HEIGHT)
        self.plotItem.setContentsMargins(0, 2, 12, 0)  # The last number stands half beside the plot.
        axis.setTicks([[(place / 5, f"{place / 5:.1f}") for place in range(6)]])
        axis.setStyle(hideOverlappingLabels=False)  # Those at the ends of the axis would be hidden.
        pens = {"pen": pg.mkPen(SECOND, width=2), "hoverPen": pg.mkPen(SECOND, width=4)}
        self.line = pg.InfiniteLine(threshold, angle=90, movable=True, bounds=(0, 1), **pens)
        self.line.setCursor(Qt.CursorShape.SplitHCursor)
        self.line.sigPositionChanged.connect(self._dragged)
        self.addItem(self.line, ignoreBounds=True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setToolTip("Drag the line, or move it with the arrow keys, Page Up and Down, Home and End")

    def set_threshold(self, threshold: float) -> None:
        """Move the line to a threshold, 0 to 1, and emit `moved` if it was elsewhere."""
        new = round(min(max(threshold, 0.0), 1.0) / STEP) * STEP
        if abs(new - self.threshold) > STEP / 2:
            self.threshold = round(new, 2)
            self.line.setValue(self.threshold)
            self.set_histogram(self.histogram)
            self.moved.emit(self.threshold)

    def _dragged(self) -> None:
        self.set_threshold(float(self.line.value()))

    def brushes(self) -> list[object]:
        below = self.histogram.edges[:-1] < self.threshold - STEP / 2
        return [pg.mkBrush(colour) for colour in np.where(below, QUIET, ACCENT)]

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        step = None if event is None else KEYS.get(Qt.Key(event.key()))
        if event is None or step is None:
            super().keyPressEvent(event)
            return
        self.set_threshold(self.threshold + step)
        event.accept()
