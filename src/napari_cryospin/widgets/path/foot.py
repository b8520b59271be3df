"""The foot of the right column: how things stand, and one button with the words of what comes next."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QVBoxLayout

from napari_cryospin.widgets.kit.focus_ring import FocusMark
from napari_cryospin.widgets.kit.parts import GOOD, button, text_label
from napari_cryospin.widgets.path.bar import LIT, ON_LIT
from napari_cryospin.widgets.path.steps import NextStep

BUTTON_HEIGHT = 40  # px
READY = f"QPushButton {{ background-color: {GOOD}; color: black; font-weight: bold; }}"
NEXT = f"QPushButton {{ background-color: {LIT}; color: {ON_LIT}; font-weight: bold; }}"
ACTION_TIPS = {
    "choose particles": "Open .star, .csg, .cs with its passthrough files, .mrcs alone or with .pkl",
    "go": "Bring the panel of this step",
    "start": "Start a run of the opened particles",
    "continue": "Let this run go on from its newest checkpoint",
    "switch": "Each particle keeps its best candidate, and its pose is refined from there on; there is no way back",
    "switch early": "You are asked before the run switches: poses that are still uncertain stay wrong more often",
    "export": "Write map and poses for another program",
    "wait": "Nothing needs to be done now",
}
"""Action -> tooltip of the button."""


class NextStepFoot(QFrame):
    """Line of text and the button of the next step."""

    pressed = Signal(object)  # the NextStep on the button

    def __init__(self) -> None:
        super().__init__()
        self.step: NextStep | None = None
        self.detail = text_label()
        self.button = button("", "", self._press)
        self.button.setMinimumHeight(BUTTON_HEIGHT)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 6)
        layout.setSpacing(4)
        layout.addWidget(self.detail)
        layout.addWidget(self.button)
        FocusMark(self, self)

    def show_step(self, step: NextStep) -> None:
        """Show what comes next."""
        if step == self.step:
            return
        self.step = step
        self.detail.setText(step.detail)
        self.detail.setVisible(bool(step.detail))
        self.button.setText(step.text)
        self.button.setToolTip(ACTION_TIPS[step.action])
        self.button.setEnabled(step.action != "wait")
        style = READY if step.ready else NEXT if step.action not in ("wait", "switch early") else ""
        if style != self.button.styleSheet():  # Qt would paint the window for an equal style too.
            self.button.setStyleSheet(style)

    def _press(self) -> None:
        if self.step is not None:
            self.pressed.emit(self.step)
