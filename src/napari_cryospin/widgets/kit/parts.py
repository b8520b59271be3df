"""Small widgets that all panels share: labels, buttons, foldable parts; and texts of amounts and times."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QEvent, Qt, Signal
from qtpy.QtGui import QFont
from qtpy.QtWidgets import QLabel, QPushButton, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from napari_cryospin.widgets.kit.wheel import guard_wheel

WARNING = "#E69F00"  # colours of texts on a dark background, #rrggbb
ERROR = "#FF6B5E"
GOOD = "#3FB37F"
QUIET_TEXT = "#A8ADB8"
"""Colour of headings and of texts that are read second, #rrggbb."""
ON_LIGHT = {WARNING: "#7A5000", ERROR: "#A31F17", GOOD: "#12603A", QUIET_TEXT: "#55514F"}
"""Colour of a text on a dark background -> the one on a light background. Against napari's themes all have a contrast
of at least 4.5 : 1 (WCAG 2.1, 1.4.3)."""


class TintedLabel(QLabel):
    """Label whose text has a colour of `ON_LIGHT`, or the theme's, and stays legible when the theme changes."""

    colour, bold = "", False

    def tint(self, colour: str, bold: bool) -> None:
        """Set the colour of the text; empty: the theme's."""
        self.colour, self.bold = colour, bold
        self._apply()

    def show_text(self, text: str, colour: str = "", bold: bool = False) -> None:
        """Show another text, in a colour; empty: the theme's."""
        self.setText(text)
        self.tint(colour, bold)

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.StyleChange:
            self._apply()

    def _apply(self) -> None:
        light = self.palette().window().color().lightnessF() > 0.5
        colour = ON_LIGHT.get(self.colour, self.colour) if light else self.colour
        style = (f"color: {colour};" if colour else "") + ("font-weight: bold;" if self.bold else "")
        style = f"QLabel {{ {style} }}" if style else ""
        if style != self.styleSheet():  # Qt would paint the window for an equal style too.
            self.setStyleSheet(style)


def heading_label(text: str) -> TintedLabel:
    """Make the quiet label that stands beside a value."""
    label = TintedLabel(text)
    label.tint(QUIET_TEXT, False)
    return label


def text_label(text: str = "", colour: str = "", bold: bool = False) -> TintedLabel:
    """Make a label whose text wraps and can be selected."""
    label = TintedLabel(text)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    # A long path without blanks must not make the panel wide.
    policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    policy.setHeightForWidth(True)
    label.setSizePolicy(policy)
    tint(label, colour, bold)
    return label


def tint(label: TintedLabel, colour: str = "", bold: bool = False) -> None:
    """Set the colour of a label's text; empty: the theme's."""
    label.tint(colour, bold)


def button(text: str, tip: str, slot: Callable[[], None] | None = None) -> QPushButton:
    """Make a button with a tooltip."""
    made = QPushButton(text)
    made.setToolTip(tip)
    if slot is not None:
        made.clicked.connect(lambda _checked=False: slot())
    return made


class Fold(QWidget):
    """A part that can be folded away; a click on its title folds and unfolds it.

    Parameters
    ----------
    title
        Title, on which the user clicks.
    content
        Widget that is visible while the part is unfolded.
    """

    toggled = Signal(bool)  # whether it is unfolded now

    def __init__(self, title: str, content: QWidget) -> None:
        super().__init__()
        self.content = content
        self.title = QToolButton()
        self.title.setText(title)
        self.title.setToolTip(f"Fold or unfold: {title}")
        self.title.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.title.setAutoRaise(True)
        self.title.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.title.setStyleSheet("QToolButton { border: none; background: transparent; }")
        bold = QFont()  # A style sheet with a weight would keep the size of before when that of texts changes.
        bold.setBold(True)
        self.title.setFont(bold)
        self.title.clicked.connect(self._turn)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.title)
        layout.addWidget(content)
        self.set_open(False)

    @property
    def is_open(self) -> bool:
        return not self.content.isHidden()

    def set_open(self, is_open: bool) -> None:
        """Fold or unfold."""
        self.title.setArrowType(Qt.ArrowType.DownArrow if is_open else Qt.ArrowType.RightArrow)
        guard_wheel(self.content)  # It may have been filled since the panel was shown.
        self.content.setVisible(is_open)
        self.toggled.emit(is_open)

    def _turn(self) -> None:
        self.set_open(not self.is_open)


def gib(amount: float) -> str:
    """Write an amount of memory, given in GiB."""
    return f"{amount:.1f} GiB" if amount >= 1 else f"{amount * 1024:.0f} MiB"


def duration(seconds: float) -> str:
    """Write a duration in the units that suit its length."""
    seconds = int(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
