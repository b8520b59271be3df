"""Export: which particles, for which program, where to; and the map in ChimeraX, live."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QSpinBox,
    QVBoxLayout,
)

from napari_cryospin.export.options import ExportCancelledError, Exported, ExportOptions
from napari_cryospin.export.run_results import COLUMNS, RunResults, open_results
from napari_cryospin.export.selection import Selection
from napari_cryospin.export.table import EXPORTERS, export
from napari_cryospin.io.angles import euler_from_rotation
from napari_cryospin.widgets.chimerax_box import ChimeraXBox
from napari_cryospin.widgets.colours import theme_of
from napari_cryospin.widgets.look import WARNING, button, text_label, tint
from napari_cryospin.widgets.panel import Panel
from napari_cryospin.widgets.selection_plot import SelectionPlot
from napari_cryospin.widgets.worker import Worker

if TYPE_CHECKING:
    from napari.viewer import Viewer

EMPTY = "Nothing to export yet.\n\nStart a run, or attach to the folder of one, in the Run panel."


class ExportPanel(Panel):
    """Selection of particles, the programs that can be written for, and ChimeraX.

    Parameters
    ----------
    napari_viewer
        Given by napari.
    """

    progressed = Signal(float, str)  # from the export's thread

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer, EMPTY)
        self.results: RunResults | None = None
        self.lasso: np.ndarray | None = None  # rows of the input
        self.stop = threading.Event()
        self.worker = Worker("cryospin-export", self)
        self.worker.answered.connect(self._done)
        self.worker.failed.connect(self._failed)
        self.progressed.connect(self._progress)
        self.content.addWidget(self._make_selection())
        self.content.addWidget(self._make_export())
        self.content.addWidget(ChimeraXBox(napari_viewer, self.session))
        self.content.addStretch(1)
        self.session.run_changed.connect(self._reset)
        self.session.epochs_changed.connect(self._load)
        self.session.status_changed.connect(self._load_at_end)
        self.session.theme_changed.connect(self._retheme)
        self.session.closing.connect(self._end)
        self._retheme()
        self._reset()

    # What is shown

    def _make_selection(self) -> QGroupBox:
        box = QGroupBox("Which particles")
        self.figures = {axis: QComboBox() for axis in ("x", "y")}
        for axis, start in (("x", "entropy"), ("y", "error")):
            self.figures[axis].setMinimumContentsLength(6)
            self.figures[axis].setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            for name, text in COLUMNS.items():
                self.figures[axis].addItem(name, name)
                self.figures[axis].setItemData(self.figures[axis].count() - 1, text, 3)  # Qt.ToolTipRole
            self.figures[axis].setCurrentText(start)
            self.figures[axis].currentIndexChanged.connect(self._draw)
        self.plot = SelectionPlot()
        self.plot.setFixedHeight(190)
        self.plot.lassoed.connect(self._take_lasso)
        self.expression = QLineEdit()
        self.expression.setPlaceholderText("all; or: entropy < 0.5 and head == 2")
        self.expression.setToolTip("Comparisons joined by and, or, not, of: " + ", ".join(COLUMNS))
        self.expression.editingFinished.connect(self._count)
        self.within = QSpinBox()
        self.within.setRange(0, 180)
        self.within.setSuffix("°")
        self.within.setSpecialValueText("any")
        self.within.setToolTip("Only particles seen from within so many degrees of the map's present view")
        self.within.valueChanged.connect(self._count)
        self.count = text_label()
        axes = QHBoxLayout()
        axes.addWidget(self.figures["y"], 1)
        axes.addWidget(QLabel("against"))
        axes.addWidget(self.figures["x"], 1)
        axes.addWidget(button("All", "Choose all particles again", self._choose_all))
        form = QFormLayout()
        form.addRow("Condition", self.expression)
        form.addRow("Near this view", self.within)
        layout = QVBoxLayout(box)
        layout.addLayout(axes)
        layout.addWidget(self.plot)
        layout.addLayout(form)
        layout.addWidget(self.count)
        return box

    def _make_export(self) -> QGroupBox:
        box = QGroupBox("What for")
        self.program = QComboBox()
        self.program.setMinimumContentsLength(12)
        self.program.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        for name, exporter in EXPORTERS.items():
            self.program.addItem(exporter.label, name)
        self.export_button = button("Export...", "Choose where to, and write", self.ask_and_export)
        self.cancel_button = button("Cancel", "Break off; no file is left half-written", self.stop.set)
        self.cancel_button.hide()
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.hide()
        self.said = text_label()
        row = QHBoxLayout()
        row.addWidget(self.export_button)
        row.addWidget(self.cancel_button)
        layout = QVBoxLayout(box)
        layout.addWidget(self.program)
        layout.addLayout(row)
        layout.addWidget(self.bar)
        layout.addWidget(self.said)
        return box

    def _retheme(self) -> None:
        self.plot.set_theme(theme_of(self.viewer))

    # What the run knows

    def _reset(self) -> None:
        self.results, self.lasso = None, None
        if self.session.folder is None:
            self.show_empty(EMPTY)
        else:
            self._load()

    def _load_at_end(self, _: object = None) -> None:
        if not self.session.live and (self.results is None or self.results.live):
            self._load()

    def _load(self, _: object = None) -> None:
        folder = self.session.folder
        if folder is not None and (self.session.epochs or (folder.path / "results").is_dir()):
            self.worker.ask("load", lambda: open_results(folder))

    def _draw(self, _: object = None) -> None:
        if self.results is None:
            return
        x, y = (self.figures[axis].currentData() for axis in ("x", "y"))
        self.plot.set_points(self.results.column(x), self.results.column(y), (x, y))
        self._count()

    def _take_lasso(self, positions: np.ndarray) -> None:
        assert self.results is not None
        self.lasso = self.results.rows[positions]
        self._count()

    def _choose_all(self) -> None:
        self.lasso = None
        self.expression.clear()
        self.within.setValue(0)
        self._draw()

    @property
    def selection(self) -> Selection:
        """What the user chose."""
        direction = None
        if self.within.value():
            rot, tilt, _ = euler_from_rotation(self.session.view)
            direction = (float(rot), float(tilt), float(self.within.value()))
        return Selection(expression=self.expression.text().strip(), direction=direction, rows=self.lasso)

    def _count(self, _: object = None) -> None:
        if self.results is None:
            return
        try:
            positions = self.selection.positions(self.results)
        except ValueError as error:
            self.count.setText(str(error))
            tint(self.count, WARNING)
            self.export_button.setEnabled(False)
            return
        self.plot.set_chosen(positions)
        state = " so far" if self.results.live else ""
        self.count.setText(f"{len(positions):,} of {len(self.results):,} particles{state}, epoch {self.results.epoch}")
        tint(self.count)
        self.export_button.setEnabled(True)

    # Exporting

    def ask_and_export(self) -> None:
        """Ask where to, and write."""
        assert self.session.folder is not None
        name = self.program.currentData()
        start = str(self.session.folder.path / "results")
        if EXPORTERS[name].suffix:
            suggested = str(Path(start) / f"exported{EXPORTERS[name].suffix}")
            chosen, _ = QFileDialog.getSaveFileName(self, "Export", suggested, f"*{EXPORTERS[name].suffix}")
        else:
            chosen = QFileDialog.getExistingDirectory(self, "Folder to export to", start)
        if chosen:
            self.export_to(Path(chosen))

    def export_to(self, out: Path) -> None:
        """Write for the chosen program."""
        folder, name, selection = self.session.folder, self.program.currentData(), self.selection
        assert folder is not None
        options = ExportOptions(flip_hand=self.session.hand_flipped)
        self.stop.clear()
        self.bar.setValue(0)
        self._set_busy(True)
        tell, stop = self.progressed.emit, self.stop
        self.worker.ask("export", lambda: export(folder, name, out, selection, options, tell, stop))

    def _set_busy(self, busy: bool) -> None:
        self.bar.setVisible(busy)
        self.cancel_button.setVisible(busy)
        self.export_button.setEnabled(not busy)

    def _progress(self, share: float, text: str) -> None:
        self.bar.setValue(round(1000 * share))
        self.said.setText(text)

    def _done(self, kind: str, answer: RunResults | Exported) -> None:
        if isinstance(answer, RunResults):
            if self.session.folder is not None and answer.folder.path == self.session.folder.path:
                self.results = answer
                self.show_content()
                self._draw()
            return
        self._set_busy(False)
        written = answer.paths[0] if len(answer.paths) == 1 else answer.paths[0].parent
        self.said.setText("\n".join((f"Wrote {written}", *answer.notes)))
        show_info(f"Exported to {written}")

    def _failed(self, kind: str, error: Exception) -> None:
        if kind == "load":
            return  # nothing is known of the particles yet: a run's first epoch, say
        self._set_busy(False)
        if isinstance(error, ExportCancelledError):
            self.said.setText("Cancelled.")
        else:
            self.said.setText(str(error))
            show_error(f"Export: {error}")

    def _end(self) -> None:
        self.stop.set()
        self.worker.end()
