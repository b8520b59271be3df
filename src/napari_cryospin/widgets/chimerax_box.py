"""The map in ChimeraX: a new window with all that the run has, or one model in a running one, kept up to date."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error
from qtpy.QtWidgets import QCheckBox, QGroupBox, QHBoxLayout, QLabel, QSpinBox, QVBoxLayout

from napari_cryospin.export.chimerax import Look, export_chimerax
from napari_cryospin.export.chimerax_program import find_chimerax, open_in_chimerax
from napari_cryospin.export.chimerax_remote import PORT, START, ChimeraXRemote, LiveModel
from napari_cryospin.widgets.look import button, text_label
from napari_cryospin.widgets.worker import Worker

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_cryospin.runs.messages import Snapshot
    from napari_cryospin.widgets.session import Session


class ChimeraXBox(QGroupBox):
    """Buttons for ChimeraX; what is sent is sent from a thread.

    Parameters
    ----------
    viewer
        napari's.
    session
        Whose run is shown.
    """

    def __init__(self, viewer: Viewer, session: Session) -> None:
        super().__init__("ChimeraX")
        self.viewer, self.session = viewer, session
        self.live: LiveModel | None = None
        self.worker = Worker("cryospin-chimerax", self)
        self.worker.answered.connect(self._done)
        self.worker.failed.connect(self._failed)
        tip = "Write maps, directions and the run's maps as a series, and open them in a new ChimeraX"
        self.open_button = button("Open in ChimeraX", tip, self.open)
        self.send_button = button("Send to running ChimeraX", "One model there, which follows this run", self.send)
        self.port = QSpinBox()
        self.port.setRange(1024, 65535)
        self.port.setValue(PORT)
        self.port.setToolTip("The port that ChimeraX listens on")
        self.port.valueChanged.connect(self._explain)
        self.follow = QCheckBox("keep up to date while the run goes on")
        self.follow.setChecked(True)
        self.said = text_label()
        row = QHBoxLayout()
        row.addWidget(self.send_button, 1)
        row.addWidget(QLabel("port"))
        row.addWidget(self.port)
        layout = QVBoxLayout(self)
        layout.addWidget(self.open_button)
        layout.addLayout(row)
        layout.addWidget(self.follow)
        layout.addWidget(self.said)
        session.snapshot_arrived.connect(self._follow)
        session.closing.connect(self.worker.end)
        self._explain()

    def _explain(self, _: int = 0) -> None:
        self.live = None
        self.said.setText(f"In ChimeraX, once: {START.format(port=self.port.value())}")

    @property
    def look(self) -> Look:
        """The map as it is seen here."""
        return Look(rotation=self.session.view)

    def open(self) -> None:
        """Write the run for ChimeraX into its results folder, and start ChimeraX on it."""
        folder, look, flipped = self.session.folder, self.look, self.session.hand_flipped
        if folder is None:
            return
        self.open_button.setEnabled(False)
        self.said.setText("Writing maps...")

        def work() -> str:
            find_chimerax()  # before anything is written
            script = export_chimerax(folder, folder.path / "results" / "chimerax", look, flip=flipped)[0]
            open_in_chimerax(Path(script))
            return f"Started ChimeraX on {script}"

        self.worker.ask("open", work)

    def send(self) -> None:
        """Show the present map in a ChimeraX that is running."""
        if self.session.snapshot is None:
            self.said.setText("No map yet.")
            return
        self.live = LiveModel(ChimeraXRemote(self.port.value()), self.look)
        self._show(self.session.snapshot)

    def _follow(self, snapshot: Snapshot) -> None:
        if self.live is not None and self.follow.isChecked():
            self._show(snapshot)

    def _show(self, snapshot: Snapshot) -> None:
        live, flipped = self.live, self.session.hand_flipped
        assert live is not None

        def work() -> str:
            live.show(snapshot, flip=flipped)
            return f"ChimeraX shows step {snapshot.step:,}"

        self.worker.ask("send", work)

    def _done(self, _: str, text: str) -> None:
        self.open_button.setEnabled(True)
        self.said.setText(text)

    def _failed(self, kind: str, error: Exception) -> None:
        self.open_button.setEnabled(True)
        if kind == "send":
            self.live = None  # it went: not tried again with every map
        self.said.setText(str(error))
        show_error(str(error))
