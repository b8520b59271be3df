"""What every dock has in common: it scrolls, it finds its session, and while it is empty it says what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import QFrame, QLabel, QScrollArea, QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from napari_cryospin.widgets.session.guard import guard
from napari_cryospin.widgets.session.session import session_of

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from qtpy.QtGui import QShowEvent

MINIMUM_WIDTH = 320


class Panel(QWidget):
    """A dock's content: fill `self.content` (a vertical layout) in a subclass's `__init__`.

    Parameters
    ----------
    napari_viewer
        Given by napari.
    empty
        What the user should do before there is anything to see here; shown by `show_empty()`.
    """

    def __init__(self, napari_viewer: Viewer, empty: str = "") -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.session = session_of(napari_viewer)
        inner = QWidget()
        self.content = QVBoxLayout(inner)
        self.content.setContentsMargins(6, 6, 6, 6)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidget(inner)
        self._message = QLabel(empty)
        self._message.setWordWrap(True)
        self._message.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._message.setMargin(16)
        self._pages = QStackedWidget()
        self._pages.addWidget(scroll)
        self._pages.addWidget(self._message)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._pages)
        self.setMinimumWidth(MINIMUM_WIDTH)
        # Or napari adds a stretch below, which takes half of the dock.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        if empty:
            self.show_empty()

    def show_empty(self, text: str | None = None) -> None:
        """Show nothing but what to do next."""
        if text is not None:
            self._message.setText(text)
        self._pages.setCurrentIndex(1)

    def show_content(self) -> None:
        self._pages.setCurrentIndex(0)

    @property
    def is_empty(self) -> bool:
        return self._pages.currentIndex() == 1

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        # napari takes the panel out of a dock that is closed, and nothing else tells of it.
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None:
            QTimer.singleShot(0, self._end_if_left)

    def _end_if_left(self) -> None:
        """Go where nobody took the panel into another dock; it hears of nothing any more."""
        if self.parent() is None and not self.isVisible():
            self.deleteLater()

    def showEvent(self, event: QShowEvent | None) -> None:
        super().showEvent(event)
        # Only a widget in a dock knows the window whose closing has to be watched.
        guard(self.window(), self.session)
