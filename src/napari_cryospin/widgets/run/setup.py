"""Form of the next run: its settings, its device, its place and its folder."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

from qtpy.QtCore import QTimer, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

from napari_cryospin.settings import (
    PRESETS,
    EncoderSettings,
    MachineSettings,
    PosteriorSettings,
    ScheduleSettings,
    Settings,
    StartSettings,
    VolumeSettings,
    fields_of,
)
from napari_cryospin.widgets.kit.knobs import tip_of
from napari_cryospin.widgets.kit.parts import ERROR, Fold, button, heading_label, text_label
from napari_cryospin.widgets.kit.preferences import preferences, recall_choice, remember_choice
from napari_cryospin.widgets.kit.settings_form import GroupForm, changes, with_preset
from napari_cryospin.widgets.kit.worker import Worker
from napari_cryospin.widgets.run.devices import devices
from napari_cryospin.widgets.session.session import Session

log = logging.getLogger(__name__)

PRESET_NAMES = {
    "quick": "Quick: the fastest way we know",
    "paper-synthetic": "Paper: synthetic data",
    "paper-experimental": "Paper: experimental data",
    "paper-cpu": "Paper: small, for a CPU",
    "cryoposenet": "cryoPoseNet: one head",
    "cryoai": "cryoAI: half turns, implicit volume",
    "cryoai-explicit": "cryoAI with the explicit volume",
    "hierarchical": "Pose search from coarse to fine",
    "known-poses": "The poses of the file",
}
PLACES = {
    "window": ("This window", "A thread in the background of this window; closing napari ends it, with a checkpoint"),
    "process": ("A process of its own", "Goes on when napari is closed; open its folder to watch it again"),
    "slurm": ("A Slurm job", "Submitted by sbatch; the output folder must be on a disk that the cluster sees"),
}
GROUPS: dict[str, tuple[str, type, tuple[str, ...]]] = {
    "start": ("Start from a map", StartSettings, ("reference",)),
    "encoder": ("Encoder", EncoderSettings, ("heads",)),
    "volume": ("Volume", VolumeSettings, ("symmetry",)),
    "schedule": ("Schedule", ScheduleSettings, ("switch",)),
    "posterior": ("Posterior", PosteriorSettings, ()),
    "machine": ("Machine", MachineSettings, ("device",)),
}
UNCOUNTED = ("preparation.", "start.", "machine.", "volume.symmetry")
"""Beginnings of settings that belong to the particles or to the machine: a reset to the preset leaves them alone."""
DEVICES_AFTER = 300  # ms from the first paint until the devices are listed, which imports torch


class RunSetup(QWidget):
    """Forms of the settings of the next run, its place and its folder.

    Parameters
    ----------
    session
        Session that holds the settings.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.problem = ""
        self.forms: dict[str, GroupForm] = {}
        self.worker = Worker("cryospin-devices", self)
        self._listed = False
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.form = QFormLayout()
        self.form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        layout.addLayout(self.form)
        self._rows()
        self.advanced = QWidget()
        QVBoxLayout(self.advanced).setContentsMargins(0, 0, 0, 0)
        self.folded = Fold("Advanced", self.advanced)
        self.folded.toggled.connect(self._fill_advanced)
        layout.addWidget(self.folded)
        layout.addLayout(self._reset_row())
        self.complaint = text_label(colour=ERROR)
        layout.addWidget(self.complaint)
        session.settings_changed.connect(self.show_settings)
        session.particles_changed.connect(self.propose_folder)
        self.show_settings()
        self.propose_folder()

    # Widgets

    def _rows(self) -> None:
        self.preset = QComboBox()
        for name in PRESETS:
            self.preset.addItem(PRESET_NAMES.get(name, name), name)
        self.preset.setToolTip("A full set of settings; what you change afterwards overrides it")
        self.preset.activated.connect(self._take_preset)
        self.method = QComboBox()
        method = fields_of(Settings)["method"]
        for choice in method.choices:
            self.method.addItem(choice, choice)
        self.method.setToolTip(tip_of(method))
        self.method.activated.connect(self._take)
        self.forms["start"] = self._group_form(StartSettings, ("reference",))
        self.forms["volume"] = self._group_form(VolumeSettings, ("symmetry",))
        self.forms["encoder"] = self._group_form(EncoderSettings, ("heads",))
        self.forms["schedule"] = self._group_form(ScheduleSettings, ("switch",))
        self.device = QComboBox()
        self.device.setToolTip(fields_of(MachineSettings)["device"].help)
        self.device.activated.connect(self._take)
        self.form.addRow("preset", self.preset)
        for name in ("start", "volume"):  # What is known of the molecule comes first.
            self._add_knob(name)
        self.form.addRow("method", self.method)
        for name in ("encoder", "schedule"):
            self._add_knob(name)
        self.form.addRow("device", self.device)
        self._place_rows()

    def _add_knob(self, name: str) -> None:
        """Add a row with the one field that a form has."""
        ((field, knob),) = self.forms[name].knobs.items()
        label = QLabel(field)
        label.setToolTip(tip_of(knob.field))
        self.form.addRow(label, knob.native)

    def _place_rows(self) -> None:
        self.place = QComboBox()
        for number, (name, (title, tip)) in enumerate(PLACES.items()):
            self.place.addItem(title, name)
            self.place.setItemData(number, tip, 3)  # Qt.ItemDataRole.ToolTipRole
        self.place.setCurrentIndex(max(0, self.place.findData(recall_choice("place", "window"))))
        self.place.currentIndexChanged.connect(self._take_place)
        self.slurm = QPlainTextEdit(recall_choice("slurm", "--gres=gpu:1\n--time=12:00:00"))
        self.slurm.setToolTip("Further options of sbatch, one a line: --partition=gpu")
        self.slurm.setFixedHeight(64)
        self.slurm_label = QLabel("sbatch options")
        self.folder = QLineEdit()
        self.folder.setToolTip("Folder of the run: everything that it writes. It must not hold a run yet")
        self.folder.textChanged.connect(self.changed)
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.folder, 1)
        browse = button("...", "Choose the folder in which the run gets its own", self._browse)
        browse.setFixedWidth(32)
        row.addWidget(browse)
        self.form.addRow("where", self.place)
        self.form.addRow(self.slurm_label, self.slurm)
        self.form.addRow("folder", row)
        self._take_place()

    def _group_form(self, group: type, names: tuple[str, ...] | None = None, leave: tuple[str, ...] = ()) -> GroupForm:
        form = GroupForm(group, names, leave)
        form.changed.connect(self._take)
        return form

    def _fill_advanced(self, unfolded: bool) -> None:
        layout = self.advanced.layout()
        assert layout is not None
        if not unfolded or layout.count():
            return
        for name, (title, group, elsewhere) in GROUPS.items():
            form = self._group_form(group, None, elsewhere)
            self.forms[f"{name} advanced"] = form
            form.show_values(getattr(self.session.settings, name))
            heading = text_label(title, bold=True)
            layout.addWidget(heading)
            layout.addWidget(form)

    def _reset_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        self.differs = heading_label("")
        self.reset = button("Reset", "Back to the preset as it is", self._take_preset)
        row.addWidget(self.differs, 1)
        row.addWidget(self.reset)
        return row

    # Settings

    def show_settings(self) -> None:
        """Show the session's settings."""
        settings = self.session.settings
        self.preset.setCurrentIndex(self.preset.findData(settings.preset))
        self.method.setCurrentIndex(self.method.findData(settings.method))
        for name, form in self.forms.items():
            form.show_values(getattr(settings, name.split()[0]))
        self._show_device(settings.machine.device)
        changed = [name for name in changes(settings) if not name.startswith(UNCOUNTED)]
        text = f"{len(changed)} setting{'s' if len(changed) > 1 else ''} changed" if changed else "the preset as it is"
        self.differs.setText(text)
        self.differs.setToolTip("\n".join(changed))
        self.reset.setVisible(bool(changed))
        self._complain(missing_reference(settings))

    def _take(self, *_: Any) -> None:
        """Hand the settings of the forms to the session, if they are admitted together."""
        settings = self.session.settings
        try:
            groups: dict[str, Any] = {}
            for name, form in self.forms.items():
                group = name.split()[0]
                groups[group] = form.applied_to(groups.get(group, getattr(settings, group)))
            machine = groups.get("machine", settings.machine)
            groups["machine"] = dataclasses.replace(machine, device=self.device.currentData())
            new = dataclasses.replace(settings, method=self.method.currentData(), **groups)
        except ValueError as error:
            self._complain(str(error))
            return
        self._complain(missing_reference(new))
        self.session.set_settings(new)

    def _take_preset(self, *_: Any) -> None:
        try:
            new = with_preset(self.session.settings, self.preset.currentData())
        except ValueError as error:  # The map to start from is kept, and not every preset can start from one.
            self.show_settings()
            self._complain(str(error))
            return
        self.session.set_settings(new)
        self.show_settings()  # A value that was refused is replaced by the one in use.

    def _complain(self, text: str) -> None:
        self.problem = text.removeprefix("settings: ")
        self.complaint.setText(self.problem)
        self.complaint.setVisible(bool(text))
        self.changed.emit()

    # Devices

    def showEvent(self, event: QShowEvent | None) -> None:
        super().showEvent(event)
        if not self._listed:
            self._listed = True
            QTimer.singleShot(DEVICES_AFTER, self._list_devices)

    def _list_devices(self) -> None:
        self.worker.ask(devices, then=self._take_devices, failed=self._listing_failed)

    def _take_devices(self, found: list[tuple[str, str]]) -> None:
        chosen = self.device.currentData()
        self.device.clear()
        for title, name in found:
            self.device.addItem(title, name)
        self._show_device(chosen)

    def _listing_failed(self, error: Exception) -> None:
        log.warning("devices cannot be listed: %s", error)

    def _show_device(self, name: str) -> None:
        if self.device.findData(name) < 0:
            self.device.addItem("automatic" if name == "auto" else name, name)
        self.device.setCurrentIndex(self.device.findData(name))

    # Place and folder

    def _take_place(self) -> None:
        place = self.place.currentData()
        remember_choice("place", place)
        self.place.setToolTip(PLACES[place][1])
        for widget in (self.slurm, self.slurm_label):
            widget.setVisible(place == "slurm")
        self.changed.emit()

    def propose_folder(self) -> None:
        """Propose a new folder, which is named after the particles."""
        source = self.session.source
        if source is not None:
            self._propose_in(Path(recall_choice("run folder") or preferences().run_folder), source.particles.stem)

    def _propose_in(self, parent: Path, stem: str) -> None:
        number = 1
        while (parent / f"{stem}-{number}").exists():
            number += 1
        self.folder.setText(str(parent / f"{stem}-{number}"))

    def _browse(self) -> None:
        parent = QFileDialog.getExistingDirectory(
            self, "Folder in which the run gets its own", recall_choice("run folder")
        )
        if parent:
            remember_choice("run folder", parent)
            source = self.session.source
            self._propose_in(Path(parent), source.particles.stem if source is not None else "run")

    @property
    def output(self) -> Path | None:
        """Folder of the next run; None: none is named."""
        text = self.folder.text().strip()
        return Path(text).expanduser() if text else None


def missing_reference(settings: Settings) -> str:
    """Say which map to start from is not there; empty: none is missing."""
    missing = next((path for path in settings.start.reference_paths if not path.is_file()), None)
    return "" if missing is None else f"reference: {missing}: no such file"
