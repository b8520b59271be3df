"""Plots of curves and of bars, and an axis of spatial frequencies that is labelled in Angstrom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QBrush

from napari_cryospin.widgets.kit.colours import SWITCH_COLOUR, Theme
from napari_cryospin.widgets.kit.plots import ACCENT, QUIET, SECOND, SMALLER, Plot

AXIS_RESOLUTIONS = np.array([
    1000, 500, 300, 200, 150, 100, 70, 50, 40, 30, 25, 20, 17, 15, 12, 10, 9, 8, 7, 6, 5.5, 5, 4.5, 4, 3.5, 3.2, 3,
    2.8, 2.6, 2.4, 2.2, 2, 1.8, 1.6, 1.4, 1.2, 1,
])  # fmt: skip
"""Resolutions in A with which an axis may be labelled."""
LINE_APART = 16
"""Smallest distance of two labels along an axis at the side, pixels."""
COUNTED = ("epoch", "step", "micrograph", "optics group")
"""Names, up to a comma, of quantities along x that are whole numbers."""
MARK_WIDTH = 0.18  # of the narrow bars, over the distance of two bars
BAR_NUMBER_HEIGHT = 18  # pixels above a bar in which its number stands


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """A curve of a plot, which is also a column of its table."""

    name: str  # header of the column, with unit
    x: NDArray
    y: NDArray
    colour: str = ACCENT
    width: float = 1.6
    dashed: bool = False
    points: bool = False


@dataclass(frozen=True)
class Mark:
    """A straight line across a plot, with a text: an event or a threshold."""

    place: float
    text: str
    colour: str = SWITCH_COLOUR


class ResolutionAxis(pg.AxisItem):
    """Axis of spatial frequencies (1/A) that is labelled with resolutions in A."""

    apart = 34  # smallest distance of two labels, pixels

    def tickValues(self, low: float, high: float, size: float) -> list[tuple[float, NDArray]]:
        values, last = [], -np.inf
        apart = (self.apart if self.orientation == "bottom" else LINE_APART) * (high - low) / max(size, 1)
        for frequency in 1 / AXIS_RESOLUTIONS:
            if low <= frequency <= high and frequency - last >= apart:
                values.append(frequency)
                last = frequency
        if len(values) < 2 and low < high and size > 2 * self.apart:
            values = two_within(low, high)
        return [(1.0, np.array(values))]

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:
        return [f"{1 / value:.4g}" for value in values if value > 0]


def two_within(low: float, high: float) -> list[float]:
    """Return two frequencies of a range so narrow that it has no two of the usual resolutions."""
    places = (low + share * (high - low) for share in (0.2, 0.8))
    return [1 / float(f"{1 / place:.4g}") for place in places if place > 0]


class CountAxis(pg.AxisItem):
    """Axis with ticks at whole numbers alone, where these are counted."""

    whole = False  # whether what it shows is counted

    def tickSpacing(self, low: float, high: float, size: float) -> list[tuple[float, float]]:
        levels = super().tickSpacing(low, high, size)
        return [level for level in levels if level[0] >= 1] or [(1.0, 0.0)] if self.whole else levels


class CurvePlot(Plot):
    """Curves over a common quantity.

    Parameters
    ----------
    title
        Name of the quantity along y, with unit.
    resolution
        Axes ("left", "bottom") that are spatial frequencies and are labelled in A.
    legend
        Corner in which the names of several curves are shown: 1 or -1 along x and y.
    from_zero
        Whether y begins at 0.
    """

    def __init__(
        self,
        title: str,
        resolution: tuple[str, ...] = (),
        legend: tuple[int, int] | None = None,
        from_zero: bool = False,
    ) -> None:
        axes = {"bottom": CountAxis("bottom")} | {side: ResolutionAxis(side) for side in resolution}
        super().__init__(title, axes)
        self.resolution = resolution
        self.x_name = ""
        self.curves: tuple[Curve, ...] = ()
        self._lines: dict[str, pg.PlotDataItem] = {}
        self.marks: tuple[Mark, ...] = ()
        self._mark_lines: list[pg.InfiniteLine] = []
        self._legend = None
        if legend is not None:
            corner = (6 * legend[0], 4 * legend[1])
            self._legend = self.plotItem.addLegend(offset=corner, labelTextSize="7pt", verSpacing=-6, colCount=1)
        if from_zero:
            self.plotItem.vb.setLimits(yMin=0)

    def set_x_name(self, name: str) -> None:
        """Name the quantity along x, with unit."""
        if name != self.x_name:
            self.x_name = name
            axis = self.getAxis("bottom")
            if isinstance(axis, CountAxis):
                axis.whole = name.partition(",")[0] in COUNTED
                axis.picture = None  # It keeps a picture of its ticks.
            self.set_label(name)

    def set_curves(self, curves: Sequence[Curve]) -> None:
        """Show these curves and no others; a curve whose name was there before keeps its line."""
        self.curves = tuple(curves)
        for name in [name for name in self._lines if name not in {curve.name for curve in curves}]:
            self.removeItem(self._lines.pop(name))
        for curve in curves:
            line = self._lines.get(curve.name)
            if line is None:
                line = self._lines[curve.name] = self.plot(name=curve.name, antialias=True)
            style = Qt.PenStyle.DashLine if curve.dashed else Qt.PenStyle.SolidLine
            line.setPen(pg.mkPen(curve.colour, width=curve.width, style=style))
            symbols = "o" if curve.points and len(curve.x) < 60 else None
            line.setData(curve.x, curve.y, symbol=symbols, symbolSize=3.5, symbolPen=None, symbolBrush=curve.colour)
        if self._legend is not None:
            self._legend.setVisible(len(curves) > 1)

    def set_marks(self, marks: Sequence[Mark], horizontal: bool = False) -> None:
        """Draw lines with a text across the plot, vertical for events and horizontal for thresholds."""
        if tuple(marks) == self.marks:
            return
        self.marks = tuple(marks)
        for line in self._mark_lines:
            self.removeItem(line)
        self._mark_lines = [self._mark_line(mark, horizontal) for mark in marks]

    def _mark_line(self, mark: Mark, horizontal: bool) -> pg.InfiniteLine:
        pen = pg.mkPen(mark.colour, width=1, style=Qt.PenStyle.DashLine)
        words = {"position": 0.03 if horizontal else 0.94, "color": mark.colour, "movable": False}
        ends = [float(curve.x[-1]) for curve in self.curves if len(curve.x)]
        # The text goes to the side where there is room.
        left = not horizontal and mark.place > 0.6 * max(ends, default=np.inf)
        words["anchors"] = [(1.0, 0.5) if left else (0.0, 0.5)] * 2
        line = pg.InfiniteLine(
            mark.place, angle=0 if horizontal else 90, pen=pen, label=mark.text or None, labelOpts=words
        )
        if mark.text:
            line.label.setFont(self.small_font)
            line.label.fill = self._veil()
        self.addItem(line, ignoreBounds=True)
        return line

    def _veil(self) -> QBrush:
        """Make the brush behind words, through which curves hardly show."""
        return pg.mkBrush((*pg.mkColor(self.theme.background).getRgb()[:3], 190))

    def set_theme(self, theme: Theme) -> None:
        super().set_theme(theme)
        for mark, line in zip(self.marks, self._mark_lines, strict=True):
            if mark.text:
                line.label.fill = self._veil()
                line.label.update()
        if self._legend is not None:
            self._legend.setLabelTextSize(f"{theme.points - 2 * SMALLER:g}pt")
            self._legend.setLabelTextColor(theme.text)
            self._legend.setBrush(self._veil())
            for _, label in self._legend.items:
                label.setText(label.text, color=theme.text)

    def table(self) -> dict[str, NDArray]:
        """Return x and the value of each curve there; nan where a curve has none."""
        if not self.curves:
            return {self.x_name: np.zeros(0)}
        x = np.unique(np.concatenate([curve.x for curve in self.curves]))
        columns = {self.x_name if "bottom" not in self.resolution else "spatial frequency (1/Å)": x}
        for curve in self.curves:
            column = np.full(len(x), np.nan)
            column[np.searchsorted(x, curve.x)] = 1 / curve.y if "left" in self.resolution else curve.y
            columns[curve.name] = column
        return columns

    def readout(self, x: float, y: float) -> str:
        known = [(curve, int(np.abs(curve.x - x).argmin())) for curve in self.curves if len(curve.x)]
        if not known:
            return ""
        place = min((float(curve.x[at]) for curve, at in known), key=lambda found: abs(found - x))
        along = f"{1 / place:.3g} Å" if "bottom" in self.resolution and place > 0 else f"{place:.4g}"
        values = {curve.name: 1 / curve.y[at] if "left" in self.resolution else curve.y[at] for curve, at in known}
        lines = [f"{name}: {value:.4g}" for name, value in values.items()]
        return "\n".join([f"{self.x_name.partition(' (')[0]} {along}", *lines])


class BarPlot(Plot):
    """Plot of bars, each with a colour, a name and a number.

    Parameters
    ----------
    title
        Name of the numbers, with unit.
    x_name
        Name of what the bars stand for.
    tip
        Returns the text that is shown under the mouse, by the position of a bar.
    """

    clicked = Signal(int)  # position of a bar

    def __init__(self, title: str, x_name: str, tip: Callable[[int], str] = lambda _: "") -> None:
        super().__init__(title)
        self.scene().sigMouseClicked.connect(self._clicked)
        self.x_name, self.tip = x_name, tip
        self.names: tuple[str, ...] = ()
        self.values, self._places, self._right = np.zeros(0), np.zeros(0), 0.6
        self._bars = pg.BarGraphItem(x=[0], height=[0], width=0.8, pen=None, brush=QUIET)
        self.addItem(self._bars)
        self.marked = np.zeros(0)
        self._marks = pg.BarGraphItem(x=[], height=[], width=MARK_WIDTH, pen=None, brush=SECOND)
        self.addItem(self._marks)
        self._numbers: list[pg.TextItem] = []
        self.set_label(x_name)
        self.getAxis("bottom").setStyle(hideOverlappingLabels=False)
        self.plotItem.vb.sigResized.connect(self._fit)
        self.setMouseEnabled(x=False, y=False)

    def set_bars(self, names: Sequence[str], values: NDArray, colours: Sequence[str]) -> None:
        """Show bars with values in the unit of the title."""
        self.names, self.values = tuple(names), np.asarray(values, dtype=np.float64)
        self._places = places = np.arange(len(names), dtype=np.float64)
        self._bars.setOpts(x=places, height=self.values, width=0.78, brushes=[pg.mkBrush(one) for one in colours])
        self.getAxis("bottom").setTicks([list(zip(places, names, strict=True))])
        while len(self._numbers) < len(names):
            self._numbers.append(number := pg.TextItem(anchor=(0.5, 1.0), color=self.theme.text))
            number.setFont(self.small_font)
            self.addItem(number, ignoreBounds=True)
        for index, number in enumerate(self._numbers):
            number.setVisible(index < len(names))
            if index < len(names):
                value = self.values[index]
                number.setText(f"{value:.0f}" if value >= 9.95 else f"{value:.1f}")
                number.setPos(places[index], value)
        self._right = places.max(initial=0) + 0.6
        self._fit()

    def set_marked(self, values: NDArray) -> None:
        """Show a second, narrow bar beside each: that of the selected particles; none where `values` is empty."""
        self.marked = np.asarray(values, dtype=np.float64)
        self._marks.setOpts(x=np.arange(len(values)) + 0.28, height=self.marked, width=MARK_WIDTH)
        self._fit()

    def _clicked(self, event: Any) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            x = self.plotItem.vb.mapSceneToView(event.scenePos()).x()
            under = np.flatnonzero(np.abs(self._places - x) < 0.4)
            if len(under):
                self.clicked.emit(int(under[0]))

    def _fit(self) -> None:
        """Set the range so that all bars are seen, with room above the highest for its number."""
        height = max(self.plotItem.vb.height(), 30.0)
        top = (
            max(1.0, float(self.values.max(initial=0.0)), float(self.marked.max(initial=0.0)))
            * height
            / (height - BAR_NUMBER_HEIGHT)
        )
        self.setRange(xRange=(-0.6, self._right), yRange=(0, top), padding=0)

    def set_theme(self, theme: Theme) -> None:
        super().set_theme(theme)
        for number in self._numbers:
            number.setColor(theme.text)

    def table(self) -> dict[str, NDArray]:
        return {self.x_name: np.array(self.names), self.title: self.values}

    def readout(self, x: float, y: float) -> str:
        under = np.flatnonzero(np.abs(self._places - x) < 0.4)
        return self.tip(int(under[0])) if len(under) else ""
