"""Heights of two docks of one column, which follow what the user does until he drags their border."""

from __future__ import annotations

from qtpy.QtCore import QObject, QSize, Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow

DRAGGED = 12
"""Pixels by which the border lies elsewhere than it was put, from which the user has dragged it. Chosen by hand."""


class ColumnHeights(QObject):
    """Heights of an upper and a lower dock.

    Parameters
    ----------
    window
        Window of the docks; also the parent.
    upper, lower
        The docks.
    """

    def __init__(self, window: QMainWindow, upper: QDockWidget, lower: QDockWidget) -> None:
        super().__init__(window)
        self.window, self.upper, self.lower = window, upper, lower
        self.share = 0.0
        self._put: tuple[QSize, int] | None = None  # size of the window, and height of the upper dock, px

    def set_share(self, share: float) -> None:
        """Give the upper dock a share of the window's height, unless the user dragged the border."""
        if share == self.share or self.dragged:
            return
        self.share = share
        height = self.window.height()
        sizes = [round(share * height), round((1 - share) * height)]
        self.window.resizeDocks([self.upper, self.lower], sizes, Qt.Orientation.Vertical)
        QTimer.singleShot(0, self._remember)  # The window lays its docks out first.

    def _remember(self) -> None:
        self._put = self.window.size(), self.upper.height()

    @property
    def dragged(self) -> bool:
        """Whether the border lies elsewhere than it was put, in a window of the same size."""
        if self._put is None:
            return False
        size, height = self._put
        return size == self.window.size() and abs(self.upper.height() - height) > DRAGGED
