"""Bar of a particle's class probabilities; hidden where there is one class."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from napari_cryospin.widgets.kit.colours import class_colour
from napari_cryospin.widgets.kit.parts import heading_label, text_label

STRIP_HEIGHT, STRIP_LEAST_WIDTH = 12, 80  # pixels
CLASS_TIP = (
    "Probability that the particle is in each class: that of its image under the class's map, times the share of the "
    "class among all particles. Noise that a map shares with its own images makes it too certain"
)


class ClassBar(QWidget):
    """Row with a strip that is divided among the classes, and their probabilities in words."""

    def __init__(self) -> None:
        super().__init__()
        self.strip = ProbabilityStrip()
        self.text = text_label()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(heading_label("Class"))
        row.addWidget(self.strip, 1)
        row.addWidget(self.text, 2)
        for part in (self, self.strip, self.text):
            part.setToolTip(CLASS_TIP)
        self.show_probabilities(np.ones(1))

    def show_probabilities(self, probabilities: NDArray[np.float64]) -> None:
        """Show the probability `(K,)` of each class; nothing with one class."""
        self.strip.show_probabilities(probabilities)
        # A number and its unit stay in one line.
        named = [f"{number}:\u00a0{100 * one:.1f}\u00a0%" for number, one in enumerate(probabilities, start=1)]
        self.text.setText("   ".join(named))
        self.setVisible(len(probabilities) > 1)


class ProbabilityStrip(QWidget):
    """Strip that is divided among the classes, in their colours."""

    def __init__(self) -> None:
        super().__init__()
        self.probabilities = np.ones(1)
        self.setFixedHeight(STRIP_HEIGHT)
        self.setMinimumWidth(STRIP_LEAST_WIDTH)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_probabilities(self, probabilities: NDArray[np.float64]) -> None:
        """Divide the strip by the probabilities `(K,)`."""
        self.probabilities = probabilities / probabilities.sum()
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        ends = self.width() * np.concatenate([[0.0], np.cumsum(self.probabilities)])
        for number, (left, right) in enumerate(pairwise(ends), start=1):
            painter.fillRect(QRectF(left, 0, right - left, self.height()), QColor(class_colour(number)))
        painter.setPen(QPen(self.palette().windowText().color(), 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()
