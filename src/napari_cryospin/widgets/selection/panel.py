"""Panel of the one selection: scatter, condition, half and class choose particles; images show them."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from napari_cryospin.exporters.selection import Selection
from napari_cryospin.views.moment import Moment
from napari_cryospin.views.posterior.run_posteriors import RunPosteriors
from napari_cryospin.views.run_map import RunMap
from napari_cryospin.views.run_view import RunView
from napari_cryospin.widgets.kit.colours import theme_of
from napari_cryospin.widgets.kit.lasso import inside
from napari_cryospin.widgets.kit.line_label import LineLabel
from napari_cryospin.widgets.kit.option_names import with_fields
from napari_cryospin.widgets.kit.parts import ERROR, WARNING, button
from napari_cryospin.widgets.kit.selection_plot import SelectionPlot
from napari_cryospin.widgets.kit.torch_threads import compute_alone
from napari_cryospin.widgets.kit.two_parts import TwoParts
from napari_cryospin.widgets.kit.worker import Worker
from napari_cryospin.widgets.live_map.ghost_maps import GhostMap, ghosts_of
from napari_cryospin.widgets.selection.figures import FIGURE_TIPS, ParticleFigures, figure_label, read_figures
from napari_cryospin.widgets.selection.gallery import ParticleGallery, figure_combo
from napari_cryospin.widgets.session.docks import reveal
from napari_cryospin.widgets.session.panel import Panel

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from qtpy.QtGui import QShowEvent

SELECTION_EMPTY = "Start a run, or open one: with its first epoch, its particles can be sorted and selected here."
SELECTED_MAP = "cryoSPIN selected particles"
PARTS_OF_RUN = "Half, class"
TIPS_OF_PARTS = ("Figures of the particles, among which a lasso selects", "Images of the particles, sorted by a figure")


class SelectionPanel(Panel):
    """Panel in which particles are selected and looked at.

    Parameters
    ----------
    napari_viewer
        Viewer, given by napari.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer, empty=SELECTION_EMPTY)
        self.figures: ParticleFigures | None = None
        self._epoch: int | None = None
        self._posteriors: RunPosteriors | None = None
        self._asked: object = None
        self._cancelled = threading.Event()
        self.worker = Worker("cryospin-selection", self)
        self.gallery = ParticleGallery(self.session)
        self._make_fields()
        self._make_plot()
        self._lay_out()
        session = self.session
        session.run_changed.connect(self._new_run)
        for signal in (session.epochs_changed, session.status_changed, session.particles_changed):
            signal.connect(self._load)
        session.selection.changed.connect(self._show_selection)
        session.theme_changed.connect(self._apply_theme)
        session.closing.connect(self._end)
        self._apply_theme()
        self._new_run()

    def _make_fields(self) -> None:
        self.condition = QLineEdit()
        self.condition.setPlaceholderText("all; or: entropy > 2 and class == 1")
        self.condition.setToolTip(
            "Select by comparisons joined by and, or, not, of\n"
            + "\n".join(f"{name}: {text}" for name, text in FIGURE_TIPS.items() if " " not in name)
        )
        self.condition.returnPressed.connect(self._select_by_condition)
        self.part = QComboBox()
        self.part.setToolTip("Select the particles of a half set or of a class")
        self.part.activated.connect(self._select_part)
        self.clear = button("None", "Select nothing, which stands for all particles", self._clear)
        self.reconstruct = button(
            "Reconstruct these",
            "Make a map of the selected particles alone, each once at its pose, and show it beside the live map",
            self.make_map,
        )
        self.export = button("Export…", "Write the selected particles for another program", self._export)
        self.message = LineLabel()

    def _make_plot(self) -> None:
        self.axes = {
            "y": figure_combo("What is along y", "error"),
            "x": figure_combo("What is along x", "entropy"),
        }
        for axis in self.axes.values():
            axis.currentIndexChanged.connect(self._draw)
        self.plot = SelectionPlot()
        self.plot.lassoed.connect(self._select_lasso)
        self.plot.ranged.connect(self._select_range)

    def _lay_out(self) -> None:
        top, axes = QHBoxLayout(), QHBoxLayout()
        top.addWidget(self.condition, 2)
        top.addWidget(self.part)
        top.addWidget(self.clear)
        top.addWidget(self.message, 3)
        for action in (self.reconstruct, self.export):
            top.addWidget(action)
        axes.addWidget(self.axes["y"], 1)
        axes.addWidget(QLabel("against"))
        axes.addWidget(self.axes["x"], 1)
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(axes)
        column.addWidget(self.plot, 1)
        self.parts = TwoParts((left, self.gallery), ("Plot", "Images"), TIPS_OF_PARTS, widths=(1, 2))
        self.content.setContentsMargins(4, 2, 4, 2)
        self.content.setSpacing(2)
        self.content.addLayout(top)
        self.content.addWidget(self.parts, 1)

    # What is known of the run

    def _new_run(self) -> None:
        self._cancelled.set()
        folder = self.session.folder
        self.figures, self._epoch, self._asked = None, None, None
        self._posteriors = None if folder is None else RunPosteriors(folder)
        self.gallery.forget()
        self.show_empty()
        self._load()

    def _load(self, _: object = None) -> None:
        """Read the figures of the newest epoch, or of the results, if the panel is visible and has older ones."""
        session = self.session
        if session.folder is None or not session.epochs or not self.isVisible():
            return
        wanted = (session.folder.path, session.epochs[-1], session.live, session.truth_of_run)
        if wanted != self._asked:
            self._asked = wanted
            view = RunView(session.folder, session.truth_of_run)
            self.worker.ask(lambda: (wanted, read_figures(view)), then=self._take_figures, failed=self._reading_failed)

    def _take_figures(self, answer: tuple[object, ParticleFigures]) -> None:
        wanted, figures = answer
        if wanted != self._asked or self._posteriors is None:
            return
        self.figures, self._epoch = figures, self.session.epochs[-1]
        self.show_content()
        self.part.clear()
        self.part.addItems([PARTS_OF_RUN, *figures.parts])
        self.part.setVisible(self.part.count() > 1)
        self._draw()
        self._show_selection()
        self.gallery.show_figures(figures, self._posteriors, Moment(self._epoch))

    def _reading_failed(self, error: Exception) -> None:
        self._asked = None
        self.message.show_text(with_fields(error), WARNING)

    def _draw(self, _: object = None) -> None:
        figures = self.figures
        if figures is not None and not self.plot.drawing:
            x, y = (self.axes[axis].currentText() for axis in "xy")
            labels = figure_label(x), figure_label(y)
            self.plot.clear_lasso()
            self.plot.set_points(figures.column(x), figures.column(y), (x, y), labels)
            self._mark()

    # Selecting

    def _select_lasso(self, outline: NDArray) -> None:
        if self.figures is not None:
            chosen = inside(outline, self.plot.x, self.plot.y)
            self.session.selection.select(self.figures.rows[chosen], "drawn around in the plot")

    def _select_range(self, name: str, low: float, high: float) -> None:
        if self.figures is not None:
            values = self.figures.column(name)
            chosen = self.figures.rows[(values >= low) & (values <= high)]
            self.session.selection.select(chosen, f"a range of {name}")

    def _select_by_condition(self) -> None:
        text = self.condition.text().strip()
        if self.figures is None:
            return
        if not text:
            self._clear()
            return
        try:
            positions = Selection(expression=text).positions(self.figures.results)
        except ValueError as error:
            self.message.show_text(str(error), ERROR)
            return
        self.session.selection.select(self.figures.rows[positions], text)
        self._show_selection()

    def _select_part(self, _: int) -> None:
        if self.figures is not None:
            rows = self.figures.parts.get(self.part.currentText())
            if rows is None:
                self._clear()
            else:
                self.session.selection.select(rows, self.part.currentText())

    def _clear(self) -> None:
        self.condition.clear()
        self.part.setCurrentIndex(0)
        self.plot.clear_lasso()
        self.session.selection.clear()
        self._show_selection()

    def _show_selection(self) -> None:
        """Show what is selected, wherever that was done."""
        figures, selection = self.figures, self.session.selection
        for part in (self.reconstruct, self.export):
            part.setEnabled(len(selection) > 0)
        if figures is None:
            return
        self._mark()
        told = f"{len(selection):,} of {len(figures.rows):,} selected: {selection.origin}"
        self.message.show_text(told if len(selection) else f"{len(figures.rows):,} particles, none selected")

    def _mark(self) -> None:
        figures, selection = self.figures, self.session.selection
        if figures is not None and len(self.plot.x) == len(figures.rows):
            every = np.arange(len(figures.rows))
            self.plot.set_chosen(np.flatnonzero(selection.among(figures.rows)) if len(selection) else every)

    # What is done with them

    def make_map(self) -> None:
        """Make a map of the selected particles alone."""
        figures, rows, busy = self.figures, self.session.selection.rows, self.session.live
        if figures is None or rows is None:
            return
        record = figures.results.record
        chosen = record.select(np.flatnonzero(np.isin(record.rows, rows)))
        self._cancelled.set()
        self._cancelled = cancelled = threading.Event()
        self.reconstruct.setEnabled(False)
        self.message.show_text(f"reconstructing {len(chosen):,} particles …")

        def compute() -> tuple[threading.Event, RunMap]:
            compute_alone(busy)
            return cancelled, figures.view.map_of(chosen, cancelled)

        self.worker.ask(compute, then=self._take_map, failed=self._making_failed)

    def _take_map(self, answer: tuple[threading.Event, RunMap]) -> None:
        cancelled, made = answer
        if cancelled is self._cancelled and not cancelled.is_set():
            ghosts_of(self.viewer).show(GhostMap(SELECTED_MAP, made.density, made.pixel_size))
            self._show_selection()
            self.message.show_text(f"shown: the map {made.note}")

    def _making_failed(self, error: Exception) -> None:
        if not isinstance(error, CancelledError):
            self._show_selection()
            self.message.show_text(with_fields(error), ERROR)

    def _export(self) -> None:
        reveal(self.viewer, "Export")

    # Appearance

    def _apply_theme(self) -> None:
        self.plot.set_theme(theme_of(self.viewer))

    def showEvent(self, event: QShowEvent | None) -> None:
        super().showEvent(event)
        self._load()

    def _end(self) -> None:
        self._cancelled.set()
        self.worker.end()
