"""Keys that a number field does not take, for the number would be too large: its range is said beside it."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QPoint
from qtpy.QtGui import QKeyEvent, QValidator
from qtpy.QtWidgets import QAbstractSpinBox, QDoubleSpinBox, QSpinBox, QToolTip, QWidget

TELLER_MARK = "tellsItsRange"
"""Name of the Qt property of a field that says its range."""


class RangeTeller(QObject):
    """Event filter that says which numbers a field takes, when one is typed that it does not take.

    Parameters
    ----------
    field
        The field; also the parent.
    """

    def __init__(self, field: QSpinBox | QDoubleSpinBox) -> None:
        super().__init__(field)
        self.field = field
        field.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress and self._swallows(event.text()):
            place = self.field.mapToGlobal(QPoint(0, self.field.height() // 2))
            QToolTip.showText(place, f"a number from {range_of(self.field)}", self.field)
        return False

    def _swallows(self, key: str) -> bool:
        """Whether the field would not take a key."""
        line = self.field.lineEdit()
        if line is None or not key.isprintable() or not key:
            return False
        start = line.selectionStart() if line.hasSelectedText() else line.cursorPosition()
        text = line.text()
        new = text[:start] + key + text[start + len(line.selectedText()) :]
        found = self.field.validate(new, start + 1)
        state = found[0] if isinstance(found, tuple) else found
        return bool(state == QValidator.State.Invalid)


def range_of(field: QSpinBox | QDoubleSpinBox) -> str:
    """Write the range of a field; where its smallest number stands for the default, from the next one on."""
    low = field.minimum() + (field.singleStep() if field.specialValueText() else 0)
    return f"{low:g} to {field.maximum():g}"


def tell_ranges(parent: QWidget) -> None:
    """Let a widget, if it is a number field, and all number fields within it say their range."""
    for widget in (parent, *parent.findChildren(QAbstractSpinBox)):
        if isinstance(widget, QSpinBox | QDoubleSpinBox) and not widget.property(TELLER_MARK):
            widget.setProperty(TELLER_MARK, True)
            RangeTeller(widget)
