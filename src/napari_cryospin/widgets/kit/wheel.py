"""The mouse wheel over lists, numbers, sliders and tabs: it scrolls the panel, and never changes a value."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QSlider, QTabBar, QWidget

GUARDED = (QComboBox, QAbstractSpinBox, QSlider, QTabBar)
"""Widgets whose value the wheel would change."""
GUARD_MARK = "wheelScrollsPanel"
"""Name of the Qt property of a widget that is guarded."""


class WheelGuard(QObject):
    """Event filter that leaves the wheel to the parent of a widget, and in the end to the panel, which scrolls."""

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        if event is None or event.type() != QEvent.Type.Wheel:
            return False
        event.ignore()
        return True


def guard_wheel(parent: QWidget) -> None:
    """Guard a widget, if its value is one that the wheel would change, and all such widgets within it."""
    for widget in (parent, *parent.findChildren(QWidget)):
        if isinstance(widget, GUARDED) and not widget.property(GUARD_MARK):
            widget.setProperty(GUARD_MARK, True)
            widget.installEventFilter(WheelGuard(widget))
            if widget.focusPolicy() == Qt.FocusPolicy.WheelFocus:
                widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
