"""Scheduling of redraws: a panel is drawn soon, not too often, never while it is hidden, and together with others.

With OpenGL canvases in the window, each painting is one of the whole window. With software rendering that takes a
processor, which a run could use, a fiftieth of a second. So what changes together is painted together.
"""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QCoreApplication, QElapsedTimer, QEvent, QObject, QTimer
from qtpy.QtWidgets import QWidget

NEWS_INTERVAL = 2000  # ms between two drawings because of the news of a run
LAYOUT_LEVELS = 6  # depth of nested widgets; each call of Qt lays out one level
NEWS_WAIT = 700  # ms that a drawing waits for further news, so that panels are drawn together


class Redraw(QObject):
    """Timer that draws a widget soon after a request, not too often, and never while the widget is hidden.

    Parameters
    ----------
    widget
        Widget that is drawn; also the parent.
    draw
        Function that draws the widget.
    every
        Shortest time between two drawings, ms.
    news_every
        Shortest time between two drawings because of the news of a run, ms.
    """

    def __init__(
        self, widget: QWidget, draw: Callable[[], None], every: int = 200, news_every: int = NEWS_INTERVAL
    ) -> None:
        super().__init__(widget)
        self._widget, self._draw = widget, draw
        self._every, self._news_every = every, news_every
        self._requested = False
        self._since = QElapsedTimer()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._due)
        widget.installEventFilter(self)

    def request(self) -> None:
        """Request a drawing; a hidden widget is drawn as soon as it is visible."""
        self._requested = True
        if self._widget.isVisible():
            self._start(self._left(self._every))

    def request_for_news(self) -> None:
        """Request a drawing because of the news of a run; it comes rarely, and together with that of other panels."""
        self._requested = True
        if self._widget.isVisible():
            left = self._left(self._news_every)
            self._start(left + NEWS_WAIT if left else 0)

    def _left(self, every: int) -> int:
        return max(0, every - self._since.elapsed()) if self._since.isValid() else 0

    def _start(self, wait: int) -> None:
        if not self._timer.isActive() or self._timer.remainingTime() > wait:
            self._timer.start(wait)

    def _due(self) -> None:
        if self._requested and self._widget.isVisible():
            self._requested = False
            self._draw()
            lay_out()
            self._since.start()

    def eventFilter(self, widget: QObject | None, event: QEvent | None) -> bool:
        if event is not None and event.type() == QEvent.Type.Show and self._requested:
            self._timer.start(0)
        return False


def lay_out() -> None:
    """Lay out all widgets now; Qt would paint once before the layout and once afterwards."""
    for _ in range(LAYOUT_LEVELS):
        QCoreApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest.value)
