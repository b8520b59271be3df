"""A ring around the widget that has the keyboard's focus; napari's styles draw such a widget as any other."""

from __future__ import annotations

from typing import cast

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QApplication, QWidget

RING_WIDTH = 2  # pixels
FOLLOWED = (QEvent.Type.Move, QEvent.Type.Resize, QEvent.Type.Show, QEvent.Type.Hide)
"""Events of a focused widget after which its ring is placed anew."""


class FocusRing(QWidget):
    """Frame over a focused widget; a sibling of it, so that both scroll and are cut together.

    Parameters
    ----------
    focused
        The widget.
    """

    def __init__(self, focused: QWidget) -> None:
        super().__init__(focused.parentWidget())
        self.focused = focused
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setStyleSheet("background: transparent;")
        focused.installEventFilter(self)
        self._place()

    def _place(self) -> None:
        self.setGeometry(self.focused.geometry())
        self.setVisible(not self.focused.isHidden())
        self.raise_()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        if event is not None and event.type() in FOLLOWED:
            self._place()
        return False

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        pen = QPen(self.palette().windowText().color(), RING_WIDTH)
        pen.setJoinStyle(Qt.PenJoinStyle.MiterJoin)
        painter.setPen(pen)
        half = RING_WIDTH // 2
        painter.drawRect(self.rect().adjusted(half, half, -half, -half))
        painter.end()


class FocusMark(QObject):
    """Draws the ring while the focus is within a widget.

    Parameters
    ----------
    within
        The widget.
    parent
        Widget that lives as long as this object.
    """

    def __init__(self, within: QWidget, parent: QWidget) -> None:
        super().__init__(parent)
        self.within = within
        self.ring: FocusRing | None = None
        cast("QApplication", QApplication.instance()).focusChanged.connect(self._follow)

    def _follow(self, _: QWidget | None, now: QWidget | None) -> None:
        if self.ring is not None:
            self.ring.hide()
            self.ring.deleteLater()
            self.ring = None
        if now is not None and (now is self.within or self.within.isAncestorOf(now)):
            self.ring = FocusRing(now)
            self.ring.destroyed.connect(self._forget)

    def _forget(self, ring: QObject | None) -> None:
        """Forget a ring that was deleted with the widgets around it."""
        if ring is self.ring:
            self.ring = None
