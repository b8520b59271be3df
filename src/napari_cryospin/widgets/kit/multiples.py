"""A widget for several plots: side by side where there is room, otherwise one at a time with tabs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from qtpy.QtCore import Signal
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QGridLayout, QSizePolicy, QTabBar, QWidget

from napari_cryospin.widgets.kit.plots import Plot


class Multiples(QWidget):
    """A row of plots, a grid, or one plot with tabs, whichever the size admits.

    Parameters
    ----------
    plots
        In reading order.
    names
        Titles of the tabs.
    widths
        Share of the row's width for each plot.
    smallest
        Smallest useful width and height of a plot, pixels.
    """

    arranged = Signal()  # other plots are visible than before

    def __init__(
        self,
        plots: Sequence[Plot],
        names: Sequence[str],
        widths: Sequence[int] | None = None,
        smallest: tuple[int, int] = (150, 125),
    ) -> None:
        super().__init__()
        self.all_plots, self.smallest = tuple(plots), smallest
        self.all_widths = tuple(widths or [1] * len(plots))
        self.left_out: frozenset[Plot] = frozenset()
        self.columns = -1  # 0: one plot at a time, with tabs
        self.tabs = QTabBar()
        self.tabs.setDrawBase(False)
        self.tabs.setExpanding(False)
        for name in names:
            self.tabs.addTab(name)
        self.tabs.currentChanged.connect(self._show_one)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(4)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(200, 115)
        self._arrange(0)

    @property
    def used(self) -> tuple[int, ...]:
        """Positions of the plots that are not left out."""
        return tuple(place for place, plot in enumerate(self.all_plots) if plot not in self.left_out)

    @property
    def plots(self) -> tuple[Plot, ...]:
        """Plots that are not left out."""
        return tuple(self.all_plots[place] for place in self.used)

    @property
    def widths(self) -> tuple[int, ...]:
        """Shares of the row's width of these plots."""
        return tuple(self.all_widths[place] for place in self.used)

    def leave_out(self, plots: Iterable[Plot]) -> None:
        """Leave out plots that have nothing to show, with their tabs; the others take their room."""
        left_out = frozenset(plots)
        if left_out != self.left_out:
            self.left_out, self.columns = left_out, -1
            for place, plot in enumerate(self.all_plots):
                self.tabs.setTabVisible(place, plot not in left_out)
            self._arrange(self.fitting(self.width(), self.height()))

    @property
    def shown(self) -> tuple[Plot, ...]:
        """Plots that are visible now."""
        return tuple(plot for plot in self.plots if plot.isVisible())

    def fitting(self, width: int, height: int) -> int:
        """Return the number of columns for a size; 0: there is no room for all plots."""
        count = len(self.plots)
        least_width, least_height = self.smallest
        if width >= least_width * sum(self.widths) / min(self.widths) and height < 2 * least_height + 80:
            return count
        for columns in range(min(width // least_width, count - 1), 1, -1):
            if height >= -(-count // columns) * least_height:
                return self._even(columns)
        return 1 if count > 1 and height >= count * least_height and height > width else 0

    def _even(self, columns: int) -> int:
        """Return the smallest number of columns that gives as many rows: 5 plots as 3 + 2, not 4 + 1."""
        rows = -(-len(self.plots) // columns)
        return -(-len(self.plots) // rows)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        self._arrange(self.fitting(self.width(), self.height()))

    def _arrange(self, columns: int) -> None:
        if columns == self.columns:
            return
        self.columns = columns
        while self._grid.count():
            self._grid.takeAt(0)
        for index in range(len(self.all_plots)):
            self._grid.setColumnStretch(index, 0)
            self._grid.setRowStretch(index + 1, 0)
        self.tabs.setVisible(columns == 0)
        if columns == 0:
            self._grid.addWidget(self.tabs, 0, 0)
        for index, plot in enumerate(self.plots):
            row, column = divmod(index, columns) if columns else (0, 0)
            self._grid.setRowStretch(row + 1, 1)
            last = columns - column if columns and plot is self.plots[-1] else 1  # The last plot fills its row.
            self._grid.addWidget(plot, row + 1, column, 1, last)
            self._grid.setColumnStretch(column, self.widths[index] if columns == len(self.plots) else 1)
        self._show_one(self.tabs.currentIndex())

    def _show_one(self, index: int) -> None:
        for number, plot in enumerate(self.all_plots):
            plot.setVisible(number in self.used and (self.columns > 0 or number == index))
        self.arranged.emit()
