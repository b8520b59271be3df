"""What the charts of a run share: choices and a caption above them, and drawing when something is new."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_cryospin.widgets.kit.colours import theme_of
from napari_cryospin.widgets.kit.line_label import LineLabel
from napari_cryospin.widgets.kit.plots import Plot
from napari_cryospin.widgets.kit.redraw import NEWS_INTERVAL, Redraw
from napari_cryospin.widgets.kit.worker import Worker
from napari_cryospin.widgets.session.panel import Panel

if TYPE_CHECKING:
    from napari.viewer import Viewer


class ChartPanel(Panel):
    """Panel with a chart of the watched run.

    A subclass has the methods `has_content`, `forget` and `draw`; its `__init__` ends with `lay_out_chart`.

    Parameters
    ----------
    napari_viewer
        Viewer, given by napari.
    empty
        Text that says what to do before there is anything to show.
    thread
        Name of the thread that reads and computes.
    every, news_every
        Shortest time between two drawings, ms: in general, and because of the news of a run.
    """

    def __init__(
        self, napari_viewer: Viewer, empty: str, thread: str, *, every: int = 200, news_every: int = NEWS_INTERVAL
    ) -> None:
        super().__init__(napari_viewer, empty=empty)
        self.plots: Sequence[Plot] = ()
        self.caption = LineLabel()
        self.redraw = Redraw(self, self.draw, every=every, news_every=news_every)
        self.worker = Worker(thread, self)
        session = self.session
        session.theme_changed.connect(self.apply_theme)
        session.run_changed.connect(self.run_changed)
        session.epoch_shown.connect(self.request_drawing)
        session.closing.connect(self.worker.end)

    def lay_out_chart(self, choices: Sequence[QWidget], chart: QWidget, plots: Sequence[Plot]) -> None:
        """Put choices and caption in a row above the chart, whose plots take the colours of the theme."""
        row = QHBoxLayout()
        for choice in choices:
            row.addWidget(choice)
        row.addWidget(self.caption, 1)
        self.content.setContentsMargins(4, 2, 4, 2)
        self.content.setSpacing(2)
        self.content.addLayout(row)
        self.content.addWidget(chart, 1)
        self.plots = plots
        self.apply_theme()

    def has_content(self) -> bool:
        """Return whether there is anything to show."""
        raise NotImplementedError

    def forget(self) -> None:
        """Forget what was read of the run that was watched before."""
        raise NotImplementedError

    def draw(self) -> None:
        """Draw what is seen."""
        raise NotImplementedError

    def apply_theme(self) -> None:
        """Apply the colours of the theme, and request a drawing."""
        theme = theme_of(self.viewer)
        for plot in self.plots:
            plot.set_theme(theme)
        self.request_drawing()

    def run_changed(self) -> None:
        """Show another run."""
        self.forget()
        self.request_drawing()

    def request_drawing(self, _: Any = None) -> None:
        """Request a drawing after a choice of the user."""
        if self._show_what_there_is():
            self.redraw.request()

    def on_news(self, _: Any = None) -> None:
        """Request a drawing because of news; those of a run that goes on are drawn less often."""
        if not self._show_what_there_is():
            return
        if self.session.live:
            self.redraw.request_for_news()
        else:
            self.redraw.request()

    def _show_what_there_is(self) -> bool:
        if self.has_content():
            self.show_content()
            return True
        self.show_empty()
        return False
