"""Panel with two runs side by side: their curves in one chart, a table of both, and their maps on the canvas."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QComboBox, QFileDialog, QFrame, QPushButton, QScrollArea, QStackedWidget

from napari_cryospin.views.curves import Along
from napari_cryospin.widgets.charts.chart_panel import ChartPanel
from napari_cryospin.widgets.charts.convergence import bulk_of
from napari_cryospin.widgets.charts.runs_table import RunsTable
from napari_cryospin.widgets.kit.curve_plot import Curve, CurvePlot
from napari_cryospin.widgets.kit.parts import button
from napari_cryospin.widgets.kit.plots import ACCENT, SECOND
from napari_cryospin.widgets.kit.two_parts import TwoParts
from napari_cryospin.widgets.live_map.comparisons import comparisons_of
from napari_cryospin.widgets.live_map.ghost_maps import GhostMap, ghosts_of

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_cryospin.views.two_runs import TwoRuns

TWO_RUNS_EMPTY = "Start a run, or open one: it can be compared with another run here, of another method or seed."
COMPARED_CURVES = {
    "Resolution (Å)": "resolution",
    "Loss (1: noise)": "loss",
    "Entropy (nats)": "entropy",
    "Pose change (°)": "pose_change",
}
"""Title of a plot -> metric of the runs."""
COMPARED_ALONG: dict[str, tuple[Along, str]] = {"Epochs": ("epoch", "epoch"), "Time": ("time", "time (min)")}
TIPS_OF_TWO_RUNS = ("Curves of both runs", "Figures of both runs, and how well they agree")
NOT_IN_BOTH = "not known of these runs"
PAIR_FOLLOWED_EVERY = (5_000, 60_000)
"""Shortest and longest time between two comparisons of runs that go on, ms."""
PAIR_SHARE = 0.05  # share of the time that following may take; chosen by hand
NO_DIFFERENCE = "no part of the maps differs by half of their contour"


class TwoRunsPanel(ChartPanel):
    """Panel that compares the watched run with another one.

    Parameters
    ----------
    napari_viewer
        The viewer, which napari passes.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer, TWO_RUNS_EMPTY, "cryospin-two-runs")
        self.found: TwoRuns | None = None
        self.ghosts, self.comparisons = ghosts_of(napari_viewer), comparisons_of(napari_viewer)
        resolution, *others = COMPARED_CURVES
        self.plots_by_title = {resolution: CurvePlot(resolution, resolution=("left",), legend=(1, 1))}
        self.plots_by_title |= {title: CurvePlot(title, legend=(1, 1), from_zero=True) for title in others}
        self.stack = QStackedWidget()
        for plot in self.plots_by_title.values():
            self.stack.addWidget(plot)
        self.table = RunsTable()
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidget(self.table)
        scroll.setMinimumWidth(self.table.minimumWidth() + 20)
        self._make_choices()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._follow)
        parts = TwoParts((self.stack, scroll), ("Curves", "Table"), TIPS_OF_TWO_RUNS, widths=(1, 1))
        self._connect()
        choices = (self.other, self.curve, self.along, self.apart, self.difference)
        self.lay_out_chart(choices, parts, tuple(self.plots_by_title.values()))
        self.on_news()

    def _make_choices(self) -> None:
        self.other = button("Other run…", "Choose the folder of another run, of another method or seed", self.ask_run)
        self.curve, self.along = QComboBox(), QComboBox()
        self.curve.addItems([*COMPARED_CURVES])
        self.curve.setToolTip("Which curve of both runs is drawn")
        self.along.addItems([*COMPARED_ALONG])
        self.along.setToolTip("What the curves are drawn over")
        self.apart = QPushButton("Side by side")
        self.apart.setToolTip("Both maps on the canvas, each in its own part, under one camera")
        self.difference = QPushButton("Difference")
        self.difference.setToolTip("Where one of the maps has more than the other one, which is laid upon it")
        for choice in (self.apart, self.difference):
            choice.setCheckable(True)

    def _connect(self) -> None:
        for combo in (self.curve, self.along):
            combo.currentIndexChanged.connect(self.request_drawing)
        self.apart.toggled.connect(self.ghosts.set_side_by_side)
        self.difference.toggled.connect(self._show_difference)
        self.comparisons.compared.connect(self._take)
        self.comparisons.told.connect(self.caption.setText)
        self.ghosts.changed.connect(self._follow_ghosts)
        self.session.epochs_changed.connect(self.on_news)

    @property
    def plot(self) -> CurvePlot:
        """The plot that is seen."""
        return self.plots_by_title[self.curve.currentText()]

    def forget(self) -> None:
        self._timer.stop()
        self.found = None
        self.caption.setText("")
        self._show_actions()

    def has_content(self) -> bool:
        return self.session.folder is not None and bool(self.session.epochs)

    def ask_run(self) -> None:
        """Let the user choose the folder of another run."""
        folder = self.session.folder
        start = "" if folder is None else str(folder.path.parent)
        chosen = QFileDialog.getExistingDirectory(self, "Folder of another run", start)
        if chosen:
            self.comparisons.compare_run(Path(chosen))

    def _take(self, found: TwoRuns) -> None:
        before = self.found
        same = before is not None and difference_names(before) == difference_names(found)
        if not same:
            self.difference.setChecked(False)  # It takes the maps of the pair before away.
        self.found = found
        self.caption.setText("")  # The table has it in full.
        self._update_difference()
        self._wait_for_news()
        self.request_drawing()

    def _wait_for_news(self) -> None:
        """Look again later whether a run has gone on: the later, the longer a comparison takes."""
        pair = self.comparisons.pair
        if pair.goes_on:
            shortest, longest = PAIR_FOLLOWED_EVERY
            self._timer.start(min(max(shortest, round(1000 * pair.seconds / PAIR_SHARE)), longest))

    def _follow(self) -> None:
        """Compare again, while the panel is seen."""
        if self.isVisible():
            self.comparisons.pair.follow()
        self._wait_for_news()

    def draw(self) -> None:
        """Draw the curves of both runs, and fill the table."""
        found = self.found
        plot, metric = self.plot, COMPARED_CURVES[self.curve.currentText()]
        along, x_name = COMPARED_ALONG[self.along.currentText()]
        curves = [] if found is None else curves_of(found, metric, along)
        self.stack.setCurrentWidget(plot)
        plot.set_x_name(x_name)
        plot.set_curves(curves)
        plot.set_note("" if curves else "choose another run" if found is None else NOT_IN_BOTH)
        end = max((float(curve.x[-1]) for curve in curves), default=1.0)
        tops = [bulk_of([curve]) for curve in curves] if metric == "loss" else []
        plot.set_range(x=(0, end), y=max(tops, key=lambda top: top[1] if top else 0.0, default=None))
        self.table.show_runs(found)
        self._show_actions()

    def _show_actions(self) -> None:
        for action in (self.apart, self.difference):
            action.setEnabled(self.found is not None)

    def _show_difference(self, shown: bool) -> None:
        """Show what each map has more than the other one, or take that away."""
        found = self.found
        if found is None:
            return
        differing = sides_of(found) if shown else {}
        for name, density in differing.items():
            self.ghosts.show(GhostMap(name, density, found.fitted.pixel_size, found.level))
        for name in difference_names(found):
            if name not in differing and name in self.ghosts.maps:
                self.ghosts.remove(name)
        if shown and not differing:
            self.caption.setText(NO_DIFFERENCE)

    def _update_difference(self) -> None:
        """Show the difference of now, unless the user has taken that of before away."""
        found = self.found
        if found is not None and self.difference.isChecked():
            if any(self.ghosts.shows(name) for name in difference_names(found)):
                self._show_difference(True)
            else:
                self.difference.setChecked(False)

    def _follow_ghosts(self) -> None:
        """Follow what the live map's menu and the user did with the maps."""
        self.apart.setChecked(self.ghosts.side_by_side)
        names = () if self.found is None else difference_names(self.found)
        if self.difference.isChecked() and not any(name in self.ghosts.maps for name in names):
            self.difference.blockSignals(True)
            self.difference.setChecked(False)
            self.difference.blockSignals(False)


def curves_of(found: TwoRuns, metric: str, along: Along) -> list[Curve]:
    """Make a curve of a metric for each of two runs that has it."""
    curves = []
    for facts, metrics, colour in zip(found.facts, found.curves[along], (ACCENT, SECOND), strict=True):
        if metric in metrics and len(metrics[metric].x):
            one = metrics[metric]
            y = 1 / one.y if metric == "resolution" else one.y  # As frequencies: a better resolution is higher.
            curves.append(Curve(name=facts.name, x=one.x, y=y, colour=colour, points=metric != "loss"))
    return curves


def sides_of(found: TwoRuns) -> dict[str, NDArray[np.float32]]:
    """Return what either map has more, where that is worth a look: name of the layer -> map."""
    sides = zip(difference_names(found), (found.difference, -found.difference), strict=True)
    return {name: density for name, density in sides if density.max() > found.level}


def difference_names(found: TwoRuns) -> tuple[str, str]:
    """Return the names of the layers with what either map has more."""
    first, second = (facts.name for facts in found.facts)
    return f"more in {first}", f"more in {second}"
