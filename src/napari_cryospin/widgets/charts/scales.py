"""Panel with the scale of the signal in the images: a histogram, and the mean of each micrograph or optics group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.particles import Particles
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.run_particles import open_run_particles
from napari_cryospin.views.junk_and_scales import SignalScales, scales_of
from napari_cryospin.views.moment import Moment
from napari_cryospin.widgets.charts.chart_panel import ChartPanel
from napari_cryospin.widgets.kit.curve_plot import Curve, CurvePlot, Mark
from napari_cryospin.widgets.kit.histogram_plot import HistogramPlot
from napari_cryospin.widgets.kit.multiples import Multiples
from napari_cryospin.widgets.kit.plots import QUIET

if TYPE_CHECKING:
    from napari.viewer import Viewer

SPREAD, MEANS = "Particles by the scale of their signal", "Mean scale"
NO_GROUPS = "no micrographs and one optics group"


class ScalesPanel(ChartPanel):
    """Panel that shows how strong the particle's signal is in the images, relative to the mean of all.

    Parameters
    ----------
    napari_viewer
        The viewer, which napari passes.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        empty = "Start a run, or open one: the scales of its images appear here."
        super().__init__(napari_viewer, empty, "cryospin-scales", every=1000, news_every=5000)
        self.spread = HistogramPlot(SPREAD, "scale (mean of all: 1)")
        self.means = GroupPlot()
        plots = (self.spread, self.means)
        self.multiples = Multiples(plots, ("All particles", "By group"), smallest=(200, 125))
        self.found: SignalScales | None = None
        self._asked: object = None
        self._input: tuple[RunFolder, Particles] | None = None  # used in the worker's thread alone
        self.session.snapshot_arrived.connect(self.on_news)
        self.session.epochs_changed.connect(self.on_news)
        self.lay_out_chart((), self.multiples, plots)

    def forget(self) -> None:
        self.found, self._asked = None, None

    def has_content(self) -> bool:
        return self.session.snapshot is not None

    def draw(self) -> None:
        """Request the scales of the shown moment, unless that was done before."""
        session, snapshot = self.session, self.session.snapshot
        if snapshot is None or session.folder is None:
            return
        folder = session.folder
        kept = [epoch for epoch in session.epochs if session.shown_epoch is not None and epoch <= session.shown_epoch]
        moment = Moment(kept[-1]) if kept else Moment(snapshot.epoch, snapshot)
        wanted = (folder.path, moment.snapshot or moment.epoch)
        if wanted != self._asked:
            self._asked = wanted
            self.worker.ask(
                lambda: (wanted, moment.epoch, self._read(folder, moment)),
                then=self._take_scales,
                failed=self._reading_failed,
            )

    def _read(self, folder: RunFolder, moment: Moment) -> SignalScales:
        snapshot = moment.snapshot
        record = folder.history(moment.epoch).particles("scale") if snapshot is None else snapshot.particles
        return scales_of(record, lambda: self._read_input(folder))

    def _read_input(self, folder: RunFolder) -> Particles:
        """Return the input of the run, which is read once."""
        if self._input is None or self._input[0].path != folder.path:
            self._input = folder, open_run_particles(folder, require_stacks=False)
        return self._input[1]

    def _take_scales(self, answer: tuple[object, int, SignalScales]) -> None:
        wanted, epoch, found = answer
        if wanted == self._asked:
            self.found = found
            self.spread.set_histogram(found.histogram)
            self.means.set_scales(found)
            self.caption.setText(f"{spread_words(found)}   epoch {epoch}")

    def _reading_failed(self, error: Exception) -> None:
        self.found = None
        self.caption.setText("")
        self.spread.clear_histogram(str(error))
        self.means.clear()


class GroupPlot(CurvePlot):
    """Plot of the mean scale of each group, in the order of the input; the mouse shows a group's name."""

    def __init__(self) -> None:
        super().__init__(MEANS)
        self.scales: SignalScales | None = None
        self.clear()

    def clear(self) -> None:
        """Show nothing."""
        self.scales = None
        self.set_curves([])
        self.set_note("not known")

    def set_scales(self, scales: SignalScales) -> None:
        """Show the means of the groups of these scales."""
        self.scales = scales
        self.set_title(f"{MEANS} by {scales.kind}" if scales.kind else MEANS)
        self.set_note("" if scales.kind else NO_GROUPS)
        self.set_x_name(f"{scales.kind}, in the order of the input" if scales.kind else "")
        number = np.arange(1, len(scales.groups) + 1)
        self.set_curves([Curve(name=MEANS, x=number, y=scales.means, points=True)] if scales.kind else [])
        self.set_marks([Mark(1.0, "", QUIET)] if scales.kind else [], horizontal=True)

    def table(self) -> dict[str, NDArray]:
        if self.scales is None:
            return {}
        found = self.scales
        return {found.kind or "group": np.array(found.groups), MEANS: found.means, "particles": found.counts}

    def readout(self, x: float, y: float) -> str:
        scales, group = self.scales, round(x) - 1
        if scales is None or not 0 <= group < len(scales.groups):
            return ""
        return f"{scales.groups[group]}\nmean scale {scales.means[group]:.3g} of {scales.counts[group]:,} particles"


def spread_words(scales: SignalScales) -> str:
    """Write the spread of the scales in one line."""
    low, middle, high = np.percentile(scales.values, (5, 50, 95))
    words = [f"{len(scales.values):,} particles", f"median {middle:.2f}", f"nine in ten from {low:.2f} to {high:.2f}"]
    return "   ".join(words)
