"""A label of one line, of which a part is left out where it does not fit."""

from __future__ import annotations

from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QHelpEvent, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QToolTip

from napari_cryospin.widgets.kit.parts import TintedLabel


class LineLabel(TintedLabel):
    """Label that takes the width it is given: an ellipsis stands for what does not fit, and a tooltip has it all.

    The text itself stays whole, so that it is copied whole.

    Parameters
    ----------
    text
        First text.
    left_out
        Which part of the text is left out where it does not fit.
    """

    def __init__(self, text: str = "", left_out: Qt.TextElideMode = Qt.TextElideMode.ElideRight) -> None:
        super().__init__()
        self.left_out = left_out
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.setText(text)

    def setText(self, text: str | None) -> None:
        """Set the text, whose lines become one."""
        super().setText(" ".join((text or "").splitlines()))

    @property
    def seen(self) -> str:
        """The text as it is painted."""
        room = self.contentsRect().width()
        return self.fontMetrics().elidedText(self.text(), self.left_out, room)

    @property
    def tip(self) -> str:
        """The whole text where it is not seen whole, and the tooltip that was set."""
        left_out = self.seen != self.text() and self.text() not in self.toolTip()
        return "\n".join(part for part in (self.text() if left_out else "", self.toolTip()) if part)

    def event(self, event: QEvent | None) -> bool:
        if isinstance(event, QHelpEvent):
            QToolTip.showText(event.globalPos(), self.tip, self)
            return True
        return super().event(event)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        seen = self.seen
        if seen == self.text():
            super().paintEvent(event)
            return
        painter, style = QPainter(self), self.style()
        assert style is not None
        left = int(Qt.AlignmentFlag.AlignVCenter.value | Qt.AlignmentFlag.AlignLeft.value)
        style.drawItemText(
            painter, self.contentsRect(), left, self.palette(), self.isEnabled(), seen, self.foregroundRole()
        )
        painter.end()
