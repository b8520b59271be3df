"""Box of the switch to auto-decoding: a large button, and the engine's advice beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QVBoxLayout

from napari_cryospin.runs.messages import Event, Status
from napari_cryospin.widgets.kit.parts import GOOD, button, text_label
from napari_cryospin.widgets.run.state import Standing

if TYPE_CHECKING:
    from napari_cryospin.widgets.run.control import RunControl

SWITCH_TITLE = "Switch to auto-decoding"
SWITCH_TIP = (
    "Each particle keeps its best candidate, and from there on its pose is refined directly; the encoder has done its "
    "work. There is no way back."
)
LOOK_FIRST = "The encoder has had its epochs. Look at the map, and switch: the run then goes on and refines the poses."
READY_STYLE = f"QPushButton {{ background-color: {GOOD}; color: black; }}"
"""Style of the button when it is time to press it."""


class SwitchBox(QFrame):
    """Box with the button of the switch and the advice."""

    pressed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.button = button(SWITCH_TITLE, SWITCH_TIP, self.pressed.emit)
        self.button.setMinimumHeight(44)
        font = self.button.font()
        font.setPointSizeF(font.pointSizeF() * 1.25)
        font.setBold(True)
        self.button.setFont(font)
        self.advice = text_label()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 4)
        layout.addWidget(self.button)
        layout.addWidget(self.advice)

    def show_state(self, status: Status | None, switched: Event | None, standing: Standing, *, requested: bool) -> None:
        """Show the advice, and whether the switch is possible, requested or done.

        Parameters
        ----------
        status
            Status of the run.
        switched
            The event of the switch, once it was made.
        standing
            Standing of the run: it obeys while it has a driver, and a run that waits goes on with the switch.
        requested
            Whether the switch was requested and is not answered yet.
        """
        done = switched is not None or (status is not None and status.stage == "auto-decoding")
        self.button.setText("Switch requested..." if requested else "Switched" if done else SWITCH_TITLE)
        possible = standing in ("running", "paused", "waiting") and not done and not requested
        self.button.setEnabled(possible)
        ready = possible and status is not None and (status.switch_ready or standing == "waiting")
        style = READY_STYLE if ready else ""
        if style != self.button.styleSheet():  # Qt would paint the window for an equal style too.
            self.button.setStyleSheet(style)
        text, colour = (LOOK_FIRST, GOOD) if standing == "waiting" else _advice(status, switched, standing)
        self.advice.show_text(text, colour)

    def show_run(self, control: RunControl) -> None:
        """Show how the watched run stands."""
        requested = control.requested("switch") or (control.standing == "waiting" and control.beginning)
        self.show_state(control.session.status, control.switched, control.standing, requested=requested)


def _advice(status: Status | None, switched: Event | None, standing: Standing) -> tuple[str, str]:
    if switched is not None:
        return switch_words(switched), ""
    if status is None or standing not in ("running", "paused") or status.stage == "auto-decoding":
        return "", ""
    reason = plain_reason(status)
    if not reason:
        return "Not yet: the first epoch is not over.", ""
    return (f"Ready: {reason}", GOOD) if status.switch_ready else (f"Not yet: {reason}", "")


def switch_words(switched: Event) -> str:
    """Write when and why the switch was made."""
    reason = str(switched.detail.get("reason", ""))
    if reason.startswith("automatic: "):
        reason = f"by itself, as it was ready: {reason.removeprefix('automatic: ').removeprefix('ready: ')}"
    elif reason.startswith("after "):
        reason = "as it was planned"
    return f"Switched after epoch {switched.detail.get('epoch', '?')}, {reason or 'for a reason that is not known'}."


def plain_reason(status: Status) -> str:
    """Return why the switch is advised, or not yet, without the engine's own words "ready:" or "not yet:"."""
    return status.switch_reason.removeprefix("ready: ").removeprefix("not yet: ")
