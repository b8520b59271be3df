"""Plot of a histogram of particles by a figure, in which rare values are visible too."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray

from napari_cryospin.views.junk_and_scales import Histogram
from napari_cryospin.widgets.kit.plots import ACCENT, Plot

HEADROOM = 1.08
"""Upper end of the axis of counts, over the highest bar."""


class HistogramPlot(Plot):
    """Histogram whose bars are as high as the logarithm of one more than their count.

    A few hundred particles that differ from a million others would have no height on a linear axis.

    Parameters
    ----------
    title
        Title of the plot.
    x_name
        Name of the figure along x, with unit.
    """

    def __init__(self, title: str, x_name: str) -> None:
        super().__init__(title)
        self.x_name = x_name
        self.histogram = Histogram(np.zeros(1, np.int64), np.array([0.0, 1.0]))
        self._bars = pg.BarGraphItem(x0=[0], x1=[1], y0=0, y1=[0], pen=None, brush=ACCENT)
        self.addItem(self._bars)
        self.setMouseEnabled(False, False)
        self.set_label(x_name)

    def set_histogram(self, histogram: Histogram) -> None:
        """Show a histogram."""
        self.histogram = histogram
        self.set_note("")
        heights, edges = np.log10(histogram.counts + 1.0), histogram.edges
        # Bars are set with their colours in one call, because their number may differ.
        self._bars.setOpts(x0=edges[:-1], x1=edges[1:], y0=0, y1=heights, brushes=self.brushes())
        top = HEADROOM * max(float(heights.max()), np.log10(2))
        self.getAxis("left").setTicks([count_ticks(10**top)])
        self.setRange(xRange=(edges[0], edges[-1]), yRange=(0, top), padding=0)

    def clear_histogram(self, note: str) -> None:
        """Show a text instead of bars."""
        self.set_histogram(Histogram(np.zeros(1, np.int64), np.array([0.0, 1.0])))
        self.set_note(note)

    def brushes(self) -> list[object]:
        """Return the brush of each bar."""
        return [pg.mkBrush(ACCENT)] * len(self.histogram.counts)

    def table(self) -> dict[str, NDArray]:
        edges = self.histogram.edges
        return {"from": edges[:-1], "to": edges[1:], "particles": self.histogram.counts}

    def readout(self, x: float, y: float) -> str:
        edges = self.histogram.edges
        bar = int(np.searchsorted(edges, x, side="right")) - 1
        if self.note or not 0 <= bar < len(self.histogram.counts):
            return ""
        count = self.histogram.counts[bar]
        return f"{self.x_name} {edges[bar]:.3g} to {edges[bar + 1]:.3g}\n{count:,} particles"


def count_ticks(highest: float) -> list[tuple[float, str]]:
    """Return the ticks of counts up to the highest one: 0, 1, 10, 100, ... at the logarithm of one more."""
    counts = [0, *(10**power for power in range(int(np.log10(max(highest, 1))) + 1))]
    return [(float(np.log10(count + 1)), f"{count:,}") for count in counts]
