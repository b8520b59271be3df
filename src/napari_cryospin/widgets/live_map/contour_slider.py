"""Slider of the contour, drawn on the histogram of the map's values as in ChimeraX: drag the line."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSlider

from napari_cryospin.widgets.kit.plots import ACCENT, SECOND

LEVEL_STEPS = 1000  # of the slider
HISTOGRAM_HEIGHT = 26  # px
CONTOUR_TIP = "Drag the line: what lies above it is inside the contour. Ctrl + wheel over the map does the same"


class ContourSlider(QSlider):
    """Slider whose groove is a histogram, with logarithmic bars; press or drag anywhere in it."""

    def __init__(self) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.counts: NDArray[np.int64] = np.zeros(0, np.int64)
        self.setRange(0, LEVEL_STEPS)
        self.setMinimumSize(60, HISTOGRAM_HEIGHT)
        self.setCursor(Qt.CursorShape.SplitHCursor)

    def show_histogram(self, counts: NDArray[np.int64]) -> None:
        """Show the number of voxels by value, from the lowest contour to the highest one."""
        self.counts = counts
        self.update()

    @property
    def line(self) -> float:
        """Place of the line, px."""
        return 1 + (self.width() - 3) * (self.value() - self.minimum()) / (self.maximum() - self.minimum())

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        text = self.palette().windowText().color()
        frame = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        heights = np.log1p(self.counts) / max(float(np.log1p(self.counts).max(initial=0)), 1e-9)
        width = self.width() / max(len(heights), 1)
        inside, outside = QColor(ACCENT), QColor(ACCENT)
        outside.setAlpha(90)
        for number, height in enumerate(heights):
            bar = QRectF(number * width, self.height() * (1 - height), max(width, 1), self.height() * height)
            painter.fillRect(bar, inside if bar.center().x() >= self.line else outside)
        quiet = QColor(text)
        quiet.setAlpha(110)
        painter.setPen(QPen(text if self.hasFocus() else quiet, 2 if self.hasFocus() else 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(frame)
        painter.fillRect(QRectF(self.line - 1.5, 0, 3, self.height()), QColor(SECOND) if self.isEnabled() else quiet)
        painter.end()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            self.setSliderDown(True)
            self._follow(event)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        if event is not None and self.isSliderDown():
            self._follow(event)

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        self.setSliderDown(False)

    def _follow(self, event: QMouseEvent) -> None:
        share = (event.position().x() - 1) / max(1, self.width() - 3)
        self.setValue(round(self.minimum() + share * (self.maximum() - self.minimum())))
