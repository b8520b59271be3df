"""Panel of the switch to auto-decoding: whether it is time, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_cryospin.widgets.run.control import run_control_of
from napari_cryospin.widgets.run.switch_box import SwitchBox
from napari_cryospin.widgets.session.panel import Panel

if TYPE_CHECKING:
    from napari.viewer import Viewer

SWITCH_EMPTY_TEXT = (
    "A run begins with an encoder that proposes poses. Here is told when it is time to go on without it."
)


class SwitchPanel(Panel):
    """Panel that shows whether it is time to switch.

    Parameters
    ----------
    napari_viewer
        Viewer, given by napari.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer, SWITCH_EMPTY_TEXT)
        self.control = run_control_of(self.session)
        self.box = SwitchBox()
        self.box.pressed.connect(self.control.make_switch)
        self.content.addWidget(self.box)
        self.content.addStretch(1)
        for signal in (self.control.changed, self.control.progressed, self.session.events_arrived):
            signal.connect(self._show)
        self._show()

    def show_actions(self) -> None:
        self.box.button.setVisible(self.taken_action is None)

    def _show(self, _: object = None) -> None:
        control, session = self.control, self.session
        if session.folder is None:
            self.show_empty()
            return
        self.show_content()
        self.box.show_run(control)
