"""Panel of exports: which particles, for which program, to which place; and the box for ChimeraX."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLineEdit,
    QMessageBox,
    QProgressBar,
    QToolButton,
    QVBoxLayout,
)

from napari_cryospin.exporters.options import ExportOptions
from napari_cryospin.exporters.run_results import RunResults, open_results
from napari_cryospin.exporters.selection import Selection
from napari_cryospin.exporters.table import EXPORTERS
from napari_cryospin.geometry.angles import euler_from_rotation
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.results import PARTICLES_FILE
from napari_cryospin.widgets.export.chimerax_box import ChimeraXBox, chimerax_view_of
from napari_cryospin.widgets.export.job import export_job_of
from napari_cryospin.widgets.export.particle_choice import ParticleChoice
from napari_cryospin.widgets.export.sharpen_box import SharpenBox
from napari_cryospin.widgets.kit.colours import theme_of
from napari_cryospin.widgets.kit.parts import ERROR, Fold, button, text_label, tint
from napari_cryospin.widgets.kit.worker import Worker
from napari_cryospin.widgets.session.panel import Panel

if TYPE_CHECKING:
    from napari.viewer import Viewer

EXPORT_EMPTY_TEXT = "Nothing to export yet.\n\nStart a run, or attach to the folder of one, in the Run panel."
EXPORT_WAITING_TEXT = "Particles can be chosen and exported when the run's first epoch has ended."
SUGGESTED_NAMES = {"relion": "particles.star"}
"""Program -> name that is proposed for the file, where it is not the program's."""
STAR_CHOICES = {"STAR version as the input's": "same", "STAR version 3.1 or later": "3.1"}
PRIMARY_CHOICES = {"Map: the best there is": None, "Map: sharpened": "sharpened", "Map: low-passed": "filtered",
           "Map: unfiltered": "unfiltered"}  # fmt: skip
PROGRAM_OPTIONS = {
    "relion": ("star", "statistics"),
    "maps": ("series", "sharpen"),
    "emdb": ("primary", "sharpen"),
    "chimerax": ("primary", "series", "sharpen"),
}
"""Program -> widgets of the options that its export uses."""


class ExportPanel(Panel):
    """Panel with the selection of particles, the programs to write for, and ChimeraX.

    Parameters
    ----------
    napari_viewer
        Viewer, given by napari.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer, EXPORT_EMPTY_TEXT)
        session = self.session
        self.job = export_job_of(session)
        self.worker = Worker("cryospin-results", self)
        self.choice = ParticleChoice(session)
        self.choice.changed.connect(self._show_state)
        self.content.addWidget(self.choice)
        self.content.addWidget(self._make_export())
        self.chimerax = ChimeraXBox(session, self.options)
        self.content.addWidget(self.chimerax)
        self.content.addStretch(1)
        session.run_changed.connect(self._new_run)
        session.epochs_changed.connect(self._load)
        session.status_changed.connect(self._load_at_end)
        session.snapshot_arrived.connect(self._first_map)
        session.theme_changed.connect(self._retheme)
        session.hand_changed.connect(self._show_state)
        session.closing.connect(self.worker.end)
        self.job.changed.connect(self._show_state)
        self._retheme()
        self._program_chosen()
        self._new_run()

    # Widgets

    def _make_export(self) -> QGroupBox:
        box = QGroupBox("What for")
        self.program = _combo({exporter.label: name for name, exporter in EXPORTERS.items()})
        self.program.currentIndexChanged.connect(self._program_chosen)
        self.about = text_label()
        self.program.setToolTip("The program that is to read what is written")
        self.star, self.primary = _combo(STAR_CHOICES), _combo(PRIMARY_CHOICES)
        self.star.setToolTip("Which version of STAR files is written, as the program that reads them needs")
        self.primary.setToolTip("Which of the run's maps; the best: sharpened with half sets, else low-passed")
        self.series = QCheckBox("the map of every epoch as well")
        self.series.setChecked(True)
        self.series.setToolTip("A series of maps, which ChimeraX plays as the run went on")
        self.statistics = QCheckBox("with the posterior's figures")
        self.statistics.setToolTip(
            "Of a run that is not over they are computed from its newest checkpoint, which reads all images"
        )
        self.sharpen = SharpenBox(self.session)
        self.fold = Fold("Sharpen", self.sharpen)
        self.fold.toggled.connect(self._load_figures)
        self.hand = text_label("In the other hand, as the map is shown: maps and poses alike.")
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.message = text_label()
        layout = QVBoxLayout(box)
        for part in (self.program, self.about, self.star, self.statistics, self.primary, self.series, self.fold):
            layout.addWidget(part)
        layout.addWidget(self.hand)
        layout.addLayout(self._make_place())
        layout.addWidget(self.bar)
        layout.addWidget(self.message)
        return box

    def _make_place(self) -> QFormLayout:
        self.place = QLineEdit()
        self._agreed: Path | None = None  # The place that the user chose in a dialog, which asked before replacing.
        self.place.textEdited.connect(self._show_state)
        self.place.textChanged.connect(self.place.setToolTip)
        browse = QToolButton()
        browse.setText("…")
        browse.setToolTip("Choose another place")
        browse.clicked.connect(self.ask_place)
        self.export_button = button("Export", "Write there; before anything is replaced you are asked", self.export)
        self.cancel_button = button("Cancel", "Break off; nothing is left half-written", self.job.cancel)
        self.folder_button = button("Open folder", "Show what was written", self._open_folder)
        row, buttons = QHBoxLayout(), QHBoxLayout()
        row.addWidget(self.place, 1)
        row.addWidget(browse)
        for part in (self.export_button, self.cancel_button, self.folder_button):
            buttons.addWidget(part, 1)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("To", row)
        form.addRow(buttons)
        return form

    def _retheme(self) -> None:
        theme = theme_of(self.viewer)
        for plot in (self.choice.plot, self.choice.junk.plot):
            plot.set_theme(theme)
        self.sharpen.set_theme(theme)

    # Particles of the run

    def _new_run(self) -> None:
        self.choice.forget(EXPORT_WAITING_TEXT)
        folder = self.session.folder
        if folder is None:
            self.show_empty(EXPORT_EMPTY_TEXT)
            return
        self._suggest_place()
        if self.session.snapshot is not None:
            self.show_content()
        self._load()
        self._load_figures()

    def _first_map(self, _: object) -> None:
        if self.is_empty:
            self.show_content()

    def _load_at_end(self, _: object = None) -> None:
        if not self.session.live and (self.choice.results is None or self.choice.results.live):
            self._load()
            self._load_figures()

    def _load(self, _: object = None) -> None:
        folder = self.session.folder
        if folder is not None:
            self.worker.ask(
                lambda: open_results(folder) if _has_poses(folder) else None,
                then=self._take,
                failed=self._reading_failed,
            )

    def _load_figures(self, _: object = None) -> None:
        if self.fold.is_open:
            self.sharpen.load()

    def _take(self, results: RunResults | None) -> None:
        folder = self.session.folder
        if results is not None and folder is not None and results.folder.path == folder.path:
            self.choice.show_results(results)
            self.show_content()

    def _reading_failed(self, error: Exception) -> None:
        self.choice.forget(f"What is known of the particles cannot be read: {error}")
        self.show_content()

    # Options

    @property
    def _name(self) -> str:
        return str(self.program.currentData())

    def _program_chosen(self, _: object = None) -> None:
        choices = PROGRAM_OPTIONS.get(self._name, ())
        for name, part in (("star", self.star), ("primary", self.primary), ("series", self.series)):
            part.setVisible(name in choices)
        self.fold.setVisible("sharpen" in choices)
        exporter = EXPORTERS[self._name]
        whole = ".\nOf the run as a whole: which particles are chosen makes no difference."
        self.about.setText(f"Writes {exporter.detail}" + (whole if exporter.of == "run" else "."))
        self._suggest_place()
        self._show_state()

    def _suggest_place(self) -> None:
        if self.session.folder is not None:
            self.place.setText(str(self.session.folder.path / "exported" / SUGGESTED_NAMES.get(self._name, self._name)))
            self.place.setCursorPosition(len(self.place.text()))  # The end of a path says more than its beginning.

    def options(self) -> ExportOptions:
        """Return the options of the export, from this panel and from how the map is shown."""
        view, choices = chimerax_view_of(self.session), PROGRAM_OPTIONS.get(self._name, ())
        chosen: dict[str, Any] = {"star": self.star.currentData(), "statistics": self.statistics.isChecked()}
        chosen |= {"primary": self.primary.currentData(), "series": self.series.isChecked(), **self.sharpen.options}
        if "sharpen" not in choices:
            chosen |= {"primary": None, "b_factor": None, "low_pass": None}
        rot, tilt, psi = (float(angle) for angle in euler_from_rotation(self.session.view))
        shown: dict[str, Any] = {"contour": view.enclosed, "colour": view.colour, "view": (rot, tilt, psi)}
        return ExportOptions(flip_hand=self.session.hand_flipped, **chosen, **shown)

    def ask_place(self) -> None:
        """Let the user choose the place."""
        suffix = EXPORTERS[self._name].suffix
        start = Path(self.place.text())
        start = next(path for path in (start, *start.parents) if path.is_dir()) if not suffix else start
        if suffix:
            chosen, _ = QFileDialog.getSaveFileName(self, "Export", str(start), f"*{suffix}")
        else:
            chosen = QFileDialog.getExistingDirectory(self, "Folder to export to", str(start))
        if chosen:
            self._agreed = Path(chosen) if suffix else None
            self.place.setText(chosen)
            self._show_state()

    # Exporting

    def export(self) -> None:
        """Start the export for the chosen program."""
        exporter, out = EXPORTERS[self._name], Path(self.place.text().strip()).expanduser().absolute()
        if exporter.suffix and out.suffix.lower() != exporter.suffix:
            out = out.with_name(out.name + exporter.suffix)
        run: RunFolder | RunResults | None = self.session.folder
        selection = Selection()
        if exporter.of == "particles":  # These particles were counted, though the run may have gone on.
            run, selection = self.choice.results, self.choice.selection
        if run is not None and self.may_replace(out):
            self.job.start(run, self._name, out, selection, self.options())

    def may_replace(self, out: Path) -> bool:
        """Ask whether what lies at a place may be replaced, unless nothing does, or the dialog asked already."""
        lies_there = any(out.iterdir()) if out.is_dir() else out.exists()
        if not lies_there or out == self._agreed:
            return True
        question = f"{out}\n\nexists already. Replace files of the same names?"
        buttons = QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.Cancel
        answer = QMessageBox.question(self, "Export", question, buttons, QMessageBox.StandardButton.Cancel)
        return answer == QMessageBox.StandardButton.Yes

    def _show_state(self, _: object = None) -> None:
        """Show which actions are possible, and the state of the export."""
        job = self.job
        ready = EXPORTERS[self._name].of == "run" or self.choice.chosen is not None
        self.export_button.setEnabled(ready and not job.busy and bool(self.place.text().strip()))
        self.export_button.setVisible(not job.busy)
        self.cancel_button.setVisible(job.busy)
        self.folder_button.setVisible(job.written is not None and not job.busy)
        self.hand.setVisible(self.session.hand_flipped)
        live = self.choice.results is not None and self.choice.results.live
        self.statistics.setVisible(live and "statistics" in PROGRAM_OPTIONS.get(self._name, ()))
        self.bar.setVisible(job.busy)
        self.bar.setValue(round(1000 * job.share))
        self.message.setText(job.message)
        self.message.setVisible(bool(job.message))
        tint(self.message, ERROR if job.failed else "")

    def _open_folder(self) -> None:
        written = self.job.written
        if written is not None:
            folder = written if written.is_dir() else written.parent
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))


def _has_poses(folder: RunFolder) -> bool:
    return (folder.results_path / PARTICLES_FILE).is_file() or bool(folder.history_paths())


def _combo(items: dict[str, Any]) -> QComboBox:
    """Make a combo box that stays narrow however long its texts are."""
    combo = QComboBox()
    combo.setMinimumContentsLength(12)
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    for text, value in items.items():
        combo.addItem(text, value)
        combo.setItemData(combo.count() - 1, text, Qt.ItemDataRole.ToolTipRole)
    return combo
