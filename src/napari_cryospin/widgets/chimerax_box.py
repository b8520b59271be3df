"""The map in ChimeraX: a new window with all that the run has, or one model in a running one, kept up to date."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error
from qtpy.QtWidgets import QCheckBox, QGroupBox, QHBoxLayout, QLabel, QSpinBox, QVBoxLayout

from napari_cryospin.export.chimerax import Look
from napari_cryospin.export.chimerax_program import find_chimerax, open_in_chimerax
from napari_cryospin.export.chimerax_remote import PORT, START, ChimeraXRemote, LiveModel
from napari_cryospin.export.options import ExportOptions
from napari_cryospin.export.table import export
from napari_cryospin.widgets.live_map import find_live_map
from napari_cryospin.widgets.look import WARNING, button, text_label, tint
from napari_cryospin.widgets.worker import Worker

if TYPE_CHECKING:
    from napari_cryospin.runs.messages import Snapshot
    from napari_cryospin.widgets.session import Session


class ChimeraXBox(QGroupBox):
    """Buttons for ChimeraX; what is sent is sent from a thread.

    Parameters
    ----------
    session
        Whose run is shown.
    options
        Gives the options of an export: which map, hand and look.
    """

    def __init__(self, session: Session, options: Callable[[], ExportOptions]) -> None:
        super().__init__("ChimeraX")
        self.session, self.options = session, options
        self.live: LiveModel | None = None  # while a model in ChimeraX is kept up to date
        self._of: Path | None = None  # the run whose map it shows
        self.worker = Worker("cryospin-chimerax", self)
        self.worker.answered.connect(self._done)
        self.worker.failed.connect(self._failed)
        tip = "Write maps, directions and the run's maps as a series, and open them in a new ChimeraX"
        self.open_button = button("Open", tip, self.open)
        send_tip = "One model in a ChimeraX that is running, at this window's contour"
        self.send_button = button("Send live", send_tip, self.send)
        self.port = QSpinBox()
        self.port.setRange(1024, 65535)
        self.port.setValue(PORT)
        self.port.setToolTip("The port that ChimeraX listens on")
        self.port.valueChanged.connect(self._explain)
        self.follow = QCheckBox("follow the run")
        self.follow.setToolTip("Send each new map of the run; contour and colour stay as they are set in ChimeraX")
        self.follow.setChecked(True)
        self.said = text_label()
        row, below = QHBoxLayout(), QHBoxLayout()
        row.addWidget(self.open_button, 1)
        row.addWidget(self.send_button, 1)
        below.addWidget(self.follow, 1)
        below.addWidget(QLabel("Port"))
        below.addWidget(self.port)
        layout = QVBoxLayout(self)
        for part in (row, below):
            layout.addLayout(part)
        layout.addWidget(self.said)
        session.snapshot_arrived.connect(self._follow)
        session.hand_changed.connect(self._turn_over)
        session.run_changed.connect(self._new_run)
        session.closing.connect(self.worker.end)
        self._explain()

    def _explain(self, _: int = 0) -> None:
        self.live = None
        self._say(f"To send to ChimeraX, type there once:\n{START.format(port=self.port.value())}")

    def _say(self, text: str, colour: str = "") -> None:
        self.said.setText(text)
        tint(self.said, colour)

    def open(self) -> None:
        """Write the run for ChimeraX into its folder, and start ChimeraX on it."""
        folder = self.session.folder
        if folder is None:
            return
        options = self.options()
        self.open_button.setEnabled(False)
        self._say("Writing maps...")

        def work() -> str:
            find_chimerax()  # before anything is written
            script = export(folder, "chimerax", folder.path / "exported" / "chimerax", options=options).paths[0]
            open_in_chimerax(script)
            return f"Started ChimeraX on {script}"

        self.worker.ask("open", work)

    def send(self) -> None:
        """Show the present map in a ChimeraX that is running."""
        snapshot, folder = self.session.snapshot, self.session.folder
        if snapshot is None or folder is None:
            self._say("No map yet.")
            return
        look = dataclasses.replace(look_of(self.session), rotation=self.session.view)
        self.live, self._of = LiveModel(ChimeraXRemote(self.port.value()), look), folder.path
        self._show(snapshot)

    def _follow(self, snapshot: Snapshot) -> None:
        if self.live is not None and self.follow.isChecked():
            self._show(snapshot)

    def _turn_over(self, _: bool) -> None:
        if self.session.snapshot is not None:
            self._follow(self.session.snapshot)

    def _new_run(self) -> None:
        folder = self.session.folder
        if folder is None or folder.path != self._of:  # not the same one told anew
            self._explain()

    def _show(self, snapshot: Snapshot) -> None:
        live, flipped = self.live, self.session.hand_flipped
        assert live is not None

        def work() -> str:
            live.show(snapshot, flip=flipped)
            return f"ChimeraX shows step {snapshot.step:,}"

        self.worker.ask("send", work)

    def _done(self, _: str, text: str) -> None:
        self.open_button.setEnabled(True)
        self._say(text)

    def _failed(self, kind: str, error: Exception) -> None:
        self.open_button.setEnabled(True)
        text = str(error)
        if kind == "send":
            self.live = None  # it went: not tried again with every map
            text = f"Nothing more is sent to ChimeraX: {text}"
        self._say(text, WARNING)
        show_error(text)


def look_of(session: Session) -> Look:
    """Contour and colour of the map as the window shows it; as ChimeraX has it, where the window shows none."""
    live = find_live_map(session)
    if live is None or live.picture is None:
        return Look()
    picture = live.picture
    enclosed = float((picture.density > picture.level).mean())
    look = Look(colour=live.layer.colour)
    return dataclasses.replace(look, enclosed=enclosed) if 0 < enclosed < 1 else look
