"""Small things that the panels share in looks: headings, rows of text, buttons, numbers as people read them."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QLabel, QPushButton, QSizePolicy, QWidget
from superqt import QCollapsible

WARNING = "#E69F00"
ERROR = "#FF6B5E"
GOOD = "#3FB37F"


def text_label(text: str = "", colour: str = "", bold: bool = False) -> QLabel:
    """Text that wraps, and that can be marked and copied."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    # A long path without blanks must not make the panel wide.
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    tint(label, colour, bold)
    return label


def tint(label: QLabel, colour: str = "", bold: bool = False) -> None:
    """Colour a label's text; nothing given: as the theme has it."""
    style = (f"color: {colour};" if colour else "") + ("font-weight: bold;" if bold else "")
    label.setStyleSheet(f"QLabel {{ {style} }}" if style else "")


def button(text: str, tip: str, slot: Callable[[], None] | None = None) -> QPushButton:
    """A button with a tooltip."""
    made = QPushButton(text)
    made.setToolTip(tip)
    if slot is not None:
        made.clicked.connect(lambda _checked=False: slot())
    return made


def fold(title: str, content: QWidget) -> QCollapsible:
    """A part that is folded away until its title is clicked."""
    made = QCollapsible(title, expandedIcon="▾", collapsedIcon="▸")
    made.setDuration(0)
    made.addWidget(content)
    return made


def line() -> QFrame:
    """A thin line between two parts of a panel."""
    made = QFrame()
    made.setFrameShape(QFrame.Shape.HLine)
    made.setFrameShadow(QFrame.Shadow.Plain)
    made.setStyleSheet("color: rgba(128, 128, 128, 90);")
    return made


def gib(amount: float) -> str:
    """An amount of memory."""
    return f"{amount:.1f} GiB" if amount >= 1 else f"{amount * 1024:.0f} MiB"


def duration(seconds: float) -> str:
    """A time span, as coarse as it is long."""
    seconds = int(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
