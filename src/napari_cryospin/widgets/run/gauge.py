"""Gauges of the conditions of the switch: how far each of them is, and from where it is met."""

from __future__ import annotations

from qtpy.QtCore import QRectF, QSize
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from napari_cryospin.views.readiness import Condition, Readiness
from napari_cryospin.widgets.kit.parts import GOOD, WARNING, heading_label, text_label
from napari_cryospin.widgets.kit.plots import QUIET

GAUGE_HEIGHT = 14  # px
CONDITION_MARKS: dict[bool | None, str] = {True: "✓", False: "✗", None: "·"}
"""Whether a condition is met -> what stands before its name."""


class Gauge(QWidget):
    """Bar from 0 to 1 with a line at the place from which a condition is met."""

    def __init__(self) -> None:
        super().__init__()
        self.condition: Condition | None = None
        self.setFixedHeight(GAUGE_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_condition(self, condition: Condition) -> None:
        """Show how far a condition is."""
        if condition != self.condition:
            self.condition = condition
            self.update()

    def sizeHint(self) -> QSize:
        return QSize(120, GAUGE_HEIGHT)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame, text = QRectF(self.rect()).adjusted(0.5, 2.5, -0.5, -2.5), self.palette().windowText().color()
        rim = QColor(text)
        rim.setAlpha(110)
        painter.setPen(QPen(rim, 1))
        painter.drawRoundedRect(frame, 4, 4)
        if self.condition is not None and self.condition.met is not None:
            self._fill(painter, frame, self.condition)
            place = frame.left() + self.condition.threshold * frame.width()
            painter.setPen(QPen(text, 2))
            painter.drawLine(round(place), 0, round(place), self.height())
        painter.end()

    def _fill(self, painter: QPainter, frame: QRectF, condition: Condition) -> None:
        painter.setPen(QPen(QColor(0, 0, 0, 0)))
        painter.setBrush(QColor(GOOD if condition.met else WARNING if condition.needed else QUIET))
        filled = QRectF(frame)
        filled.setWidth(max(4.0, condition.place * frame.width()))
        painter.drawRoundedRect(filled, 4, 4)


class ConditionRow(QWidget):
    """Name and value of a condition, above its gauge."""

    def __init__(self) -> None:
        super().__init__()
        self.name, self.told, self.gauge = text_label(), heading_label(""), Gauge()
        row = QHBoxLayout()
        row.addWidget(self.name, 1)
        row.addWidget(self.told)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(1)
        layout.addLayout(row)
        layout.addWidget(self.gauge)

    def show_condition(self, condition: Condition) -> None:
        """Show a condition."""
        mark = CONDITION_MARKS[condition.met] if condition.needed or condition.met else "–"
        self.name.show_text(f"{mark} {condition.name}", GOOD if condition.met else "")
        self.told.setText(condition.told)
        self.gauge.show_condition(condition)
        self.setToolTip(condition.about)


class ReadinessGauge(QWidget):
    """The three conditions of the switch, one above the other."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = [ConditionRow() for _ in range(3)]
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for row in self.rows:
            layout.addWidget(row)

    def show_readiness(self, readiness: Readiness) -> None:
        """Show the conditions."""
        for row, condition in zip(self.rows, readiness.conditions, strict=True):
            row.show_condition(condition)
