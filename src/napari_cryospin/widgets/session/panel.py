"""Base of all docks: it scrolls, has the session of its viewer, and while it is empty shows what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import QFrame, QLabel, QScrollArea, QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from napari_cryospin.widgets.kit.focus_ring import FocusMark
from napari_cryospin.widgets.kit.text_size import apply_text_size
from napari_cryospin.widgets.kit.typed_numbers import tell_ranges
from napari_cryospin.widgets.kit.wheel import guard_wheel
from napari_cryospin.widgets.session.guard import guard
from napari_cryospin.widgets.session.session import session_of

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from qtpy.QtGui import QShowEvent

MINIMUM_WIDTH = 320


class Panel(QWidget):
    """Content of a dock. A subclass fills `self.content`, a vertical layout that scrolls, in its `__init__`.

    What it puts into `self.foot`, a layout beneath, is always in sight: the next action.

    Parameters
    ----------
    napari_viewer
        Viewer, given by napari.
    empty
        Text that says what to do before there is anything to show; `show_empty` shows it.

    Attributes
    ----------
    taken_action : str, optional
        Action for which a workspace shows a button of its own now, so that the panel shows none; empty: none of the
        panel's. None: the panel is in no workspace.
    """

    taken_action: str | None = None

    def __init__(self, napari_viewer: Viewer, empty: str = "") -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.session = session_of(napari_viewer)
        inner = QWidget()
        self.content = QVBoxLayout(inner)
        self.content.setContentsMargins(6, 6, 6, 6)
        self.scroll_area = scroll = QScrollArea()
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
        self.foot = QVBoxLayout()
        self.foot.setContentsMargins(6, 0, 6, 0)
        layout.addLayout(self.foot)
        self.setMinimumWidth(MINIMUM_WIDTH)
        # Otherwise napari adds a stretch below, which takes half of the dock.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        FocusMark(self, self)
        self._shown = False
        self.session.theme_changed.connect(self._take_text_size)
        if empty:
            self.show_empty()

    def _take_text_size(self) -> None:
        apply_text_size(self)

    def show_empty(self, text: str | None = None) -> None:
        """Show only the text that says what to do next."""
        if text is not None:
            self._message.setText(text)
        self._pages.setCurrentIndex(1)

    def show_content(self) -> None:
        self._pages.setCurrentIndex(0)

    @property
    def is_empty(self) -> bool:
        return self._pages.currentIndex() == 1

    def take_action(self, action: str) -> None:
        """Leave the button of an action to the workspace; empty: none."""
        if action != self.taken_action:
            self.taken_action = action
            self.show_actions()

    def show_actions(self) -> None:
        """Show the buttons of the actions that are possible and not taken by the workspace."""

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        # When a dock is closed, napari takes the panel out of it; there is no other sign of that.
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None:
            QTimer.singleShot(0, self._end_if_left)

    def _end_if_left(self) -> None:
        """Delete the panel unless it was moved into another dock; it then receives no more signals."""
        if self.parent() is None and not self.isVisible():
            self.deleteLater()

    def showEvent(self, event: QShowEvent | None) -> None:
        super().showEvent(event)
        # A widget knows its window, on which the guard is installed, only once it is in a dock.
        guard(self.window(), self.session)
        guard_wheel(self)
        tell_ranges(self)
        if not self._shown:  # What a panel was filled with has not been given its font before.
            self._shown = True
            self._take_text_size()
