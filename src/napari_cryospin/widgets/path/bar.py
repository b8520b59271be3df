"""The bar across the right column: the steps of the path as tabs, the present one lit, those done ticked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from qtpy.QtCore import QPointF, QRect, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFont, QFontMetrics, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QTabBar

from napari_cryospin.widgets.kit.colours import Theme
from napari_cryospin.widgets.kit.parts import GOOD, ON_LIGHT
from napari_cryospin.widgets.path.steps import STEPS

CIRCLE = 17  # px, diameter of a step's number
PADDING, MARK_GAP = 4, 3  # px, beside a tab's content at least, and between number and title
TOP = 4  # px at the top that the title bar of napari covers
HEIGHT = 38  # px, of the bar
UNDERLINE = 3  # px, of the tab that is open
ON_LIT = "#FFFFFF"
"""Colour of the number of the present step, #rrggbb."""
LIT = "#2F62C9"
"""Colour of the present step, #rrggbb; with `ON_LIT` it has a contrast of 5.6 : 1, in either theme of napari."""


@dataclass(frozen=True)
class PathMarks:
    """The present step, and the steps that are done, by their titles."""

    present: str = ""
    done: Collection[str] = ()


class PathBar(QTabBar):
    """Tab bar in which the steps of the path have numbers; tabs of other panels follow."""

    def __init__(self) -> None:
        super().__init__()
        self.theme: Theme | None = None
        self.marks = PathMarks()
        self.setMouseTracking(True)  # Qt then keeps the tab under the mouse up to date.

    def set_theme(self, theme: Theme) -> None:
        """Draw in the colours of a theme."""
        self.theme = theme
        self.update()

    def set_marks(self, marks: PathMarks) -> None:
        """Light the present step, and tick those that are done."""
        if marks != self.marks:
            self.marks = marks
            self.update()

    def mark_of(self, title: str) -> str:
        """Return what stands in a step's circle: its number, or a tick; empty: the tab is no step."""
        if title not in STEPS:
            return ""
        return "✓" if title in self.marks.done else str(STEPS.index(title) + 1)  # type: ignore[arg-type]

    def tabSizeHint(self, index: int) -> QSize:
        title = self.tabText(index)
        is_step = bool(self.mark_of(title))  # A step may become the present one, whose title is bold.
        width = QFontMetrics(self._font(bold=is_step)).horizontalAdvance(title) + 2 * PADDING
        return QSize(width + (CIRCLE + MARK_GAP if is_step else 0), HEIGHT)

    def minimumTabSizeHint(self, index: int) -> QSize:
        return self.tabSizeHint(index)

    def _font(self, bold: bool) -> QFont:
        font = QFont(self.font())
        font.setBold(bold)
        return font

    def paintEvent(self, event: QPaintEvent | None) -> None:
        if self.theme is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for index in range(self.count()):
            self._paint_tab(painter, self.theme, index)
        for index in range(self.count() - 1):  # Arrows lie on two tabs.
            if self.mark_of(self.tabText(index)) and self.mark_of(self.tabText(index + 1)):
                rect = self.tabRect(index)
                self._paint_arrow(painter, self.theme, QPointF(rect.right(), _middle(rect)))
        painter.end()

    def _paint_tab(self, painter: QPainter, theme: Theme, index: int) -> None:
        rect, title = self.tabRect(index), self.tabText(index)
        if index == self.currentIndex():
            painter.fillRect(rect, QColor(theme.foreground))
            painter.fillRect(QRect(rect.left(), rect.bottom() + 1 - UNDERLINE, rect.width(), UNDERLINE), QColor(LIT))
        present, mark = title == self.marks.present, self.mark_of(title)
        painter.setFont(self._font(present))
        width = painter.fontMetrics().horizontalAdvance(title) + (CIRCLE + MARK_GAP if mark else 0)
        left = rect.left() + (rect.width() - width) / 2
        middle = _middle(rect)
        if mark:
            self._paint_mark(painter, theme, QRectF(left, middle - CIRCLE / 2, CIRCLE, CIRCLE), mark, present)
            left += CIRCLE + MARK_GAP
            painter.setFont(self._font(present))
        painter.setPen(QColor(theme.text))
        place = QRectF(left, rect.top() + TOP, width, rect.height() - TOP - UNDERLINE)
        painter.drawText(place, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, title)

    def _paint_mark(self, painter: QPainter, theme: Theme, place: QRectF, mark: str, present: bool) -> None:
        """Draw a step's circle: filled where the step is present, in green where it is done."""
        ring = QColor(LIT) if present else QColor(_good(theme) if mark == "✓" else theme.text)
        painter.setPen(QPen(ring, 1.4))
        painter.setBrush(ring if present else Qt.BrushStyle.NoBrush)
        painter.drawEllipse(place.adjusted(1, 1, -1, -1))
        font = self._font(bold=True)
        font.setPointSizeF(0.9 * font.pointSizeF())
        painter.setFont(font)
        painter.setPen(QColor(ON_LIT) if present else ring)
        painter.drawText(place, Qt.AlignmentFlag.AlignCenter, mark)

    def _paint_arrow(self, painter: QPainter, theme: Theme, place: QPointF) -> None:
        painter.setPen(QPen(QColor(theme.text), 1.2))
        painter.drawPolyline(QPolygonF([place + QPointF(-2, -5), place + QPointF(2, 0), place + QPointF(-2, 5)]))


def _middle(rect: QRect) -> float:
    """Return the height of the middle of a tab's words."""
    return (rect.top() + TOP + rect.bottom() - UNDERLINE) / 2


def _good(theme: Theme) -> str:
    return GOOD if theme.dark else ON_LIGHT[GOOD]
