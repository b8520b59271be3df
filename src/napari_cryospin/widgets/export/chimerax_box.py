"""Box for ChimeraX: open the run in a new ChimeraX, or keep a model in a running one up to date."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QCheckBox, QFileDialog, QGroupBox, QHBoxLayout, QLabel, QSpinBox, QVBoxLayout

from napari_cryospin.exporters.chimerax import ChimeraXView
from napari_cryospin.exporters.options import ExportOptions
from napari_cryospin.widgets.export.chimerax_job import PROGRAM_CHOICE, chimerax_job_of
from napari_cryospin.widgets.kit.parts import WARNING, button, text_label
from napari_cryospin.widgets.kit.preferences import remember_choice
from napari_cryospin.widgets.live_map.layers import find_live_map

if TYPE_CHECKING:
    from napari_cryospin.widgets.session.session import Session


class ChimeraXBox(QGroupBox):
    """Buttons for ChimeraX; the session owns the job that they start.

    Parameters
    ----------
    session
        Session whose run is shown.
    options
        Returns the options of an export: which map, hand, contour and colour.
    """

    def __init__(self, session: Session, options: Callable[[], ExportOptions]) -> None:
        super().__init__("ChimeraX")
        self.session, self.options = session, options
        self.job = chimerax_job_of(session)
        tip = "Write maps, directions and the run's maps as a series, and open them in a new ChimeraX"
        self.open_button = button("Open in ChimeraX", tip, self.open)
        send_tip = "One model in a ChimeraX that is running, at this window's contour"
        self.send_button = button("Send to ChimeraX", send_tip, self.send)
        self.port = QSpinBox()
        self.port.setRange(1024, 65535)
        self.port.setValue(self.job.port)
        self.port.setToolTip("The port that ChimeraX listens on")
        self.port.valueChanged.connect(self.job.listen_at)
        self.follow = QCheckBox("follow the run")
        self.follow.setToolTip(
            "Send each new map of the run, also when this panel is closed; contour and colour stay as they are set in "
            "ChimeraX"
        )
        self.follow.setChecked(self.job.follows)
        self.follow.toggled.connect(self.job.set_follows)
        self.message = text_label()
        self.program = button(
            "Choose its program...", "Where ChimeraX is installed on this machine", self.choose_program
        )
        row, below = QHBoxLayout(), QHBoxLayout()
        row.addWidget(self.open_button, 1)
        row.addWidget(self.send_button, 1)
        below.addWidget(self.follow, 1)
        below.addWidget(QLabel("Port"))
        below.addWidget(self.port)
        layout = QVBoxLayout(self)
        for part in (row, below):
            layout.addLayout(part)
        layout.addWidget(self.message)
        layout.addWidget(self.program)
        self.job.changed.connect(self._show_state)
        self._show_state()

    def open(self) -> None:
        """Write the run for ChimeraX into its folder, and start ChimeraX on it."""
        self.job.open(self.options())

    def choose_program(self) -> None:
        """Let the user choose ChimeraX's program, and open the run in it."""
        chosen, _ = QFileDialog.getOpenFileName(self, "Program of ChimeraX")
        if chosen:
            remember_choice(PROGRAM_CHOICE, chosen)
            self.open()

    def send(self) -> None:
        """Show the present map in a ChimeraX that is running."""
        self.job.send(dataclasses.replace(chimerax_view_of(self.session), rotation=self.session.view))

    def _show_state(self) -> None:
        job = self.job
        self.open_button.setEnabled(not job.opening)
        self.program.setVisible(job.not_found)
        self.message.setToolTip(job.searched if job.not_found else "")
        self.message.show_text(job.message, WARNING if job.went_wrong else "")


def chimerax_view_of(session: Session) -> ChimeraXView:
    """Return contour and colour of the map in the window; those of ChimeraX where the window shows no map."""
    live = find_live_map(session)
    if live is None or live.picture is None:
        return ChimeraXView()
    picture = live.picture
    enclosed = float((picture.density > picture.level).mean())
    view = ChimeraXView(colour=live.layer.colour)
    return dataclasses.replace(view, enclosed=enclosed) if 0 < enclosed < 1 else view
