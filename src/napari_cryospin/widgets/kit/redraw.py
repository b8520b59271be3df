"""When a panel is drawn anew: soon, not too often, never while it is hidden, and together with others.

OpenGL canvases make each painting one of the whole window: with software rendering, a fiftieth of a second of a
processor that a run could use. What changes together has to be painted together.
"""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QCoreApplication, QElapsedTimer, QEvent, QObject, QTimer
from qtpy.QtWidgets import QWidget

NEWS_INTERVAL = 2000  # ms between two drawings of what a run that goes on has to tell
LAYOUT_LEVELS = 6  # of widgets within widgets: each call of Qt's lays out one of them
NEWS_WAIT = 700  # ms after which it is drawn although nothing more was heard


class Redraw(QObject):
    """Draws a widget soon after it is asked to, not too often, and never while the widget is hidden.

    Parameters
    ----------
    widget
        What is drawn; also the parent.
    draw
        Draws it.
    every
        ms between two drawings at the least.
    news_every
        The same for the news of a run that goes on.
    """

    def __init__(
        self, widget: QWidget, draw: Callable[[], None], every: int = 200, news_every: int = NEWS_INTERVAL
    ) -> None:
        super().__init__(widget)
        self._widget, self._draw = widget, draw
        self._every, self._news_every = every, news_every
        self._wanted = False
        self._since = QElapsedTimer()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._due)
        widget.installEventFilter(self)

    def ask(self) -> None:
        """Have it drawn; when it is hidden: as soon as it is seen again."""
        self._wanted = True
        if self._widget.isVisible():
            self._start(self._left(self._every))

    def ask_for_news(self) -> None:
        """Have it drawn because a run goes on: rarely, and at a time when all panels hear of news."""
        self._wanted = True
        if self._widget.isVisible():
            left = self._left(self._news_every)
            self._start(left + NEWS_WAIT if left else 0)

    def _left(self, every: int) -> int:
        return max(0, every - self._since.elapsed()) if self._since.isValid() else 0

    def _start(self, wait: int) -> None:
        if not self._timer.isActive() or self._timer.remainingTime() > wait:
            self._timer.start(wait)

    def _due(self) -> None:
        if self._wanted and self._widget.isVisible():
            self._wanted = False
            self._draw()
            lay_out()
            self._since.start()

    def eventFilter(self, widget: QObject | None, event: QEvent | None) -> bool:
        if event is not None and event.type() == QEvent.Type.Show and self._wanted:
            self._timer.start(0)
        return False


def lay_out() -> None:
    """Have everything put in its place now: Qt would paint once before, and once afterwards."""
    for _ in range(LAYOUT_LEVELS):
        QCoreApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest.value)
