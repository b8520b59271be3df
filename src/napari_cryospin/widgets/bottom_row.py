"""The row beneath the canvas: the strip of the live map, and the plots of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QMainWindow, QToolButton, QVBoxLayout, QWidget

from napari_cryospin.widgets.kit.text_size import apply_text_size
from napari_cryospin.widgets.panel_tabs import BOTTOM_PANELS, PANELS, PanelTabs
from napari_cryospin.widgets.path.explanations import explain, question_button
from napari_cryospin.widgets.session.docks import dock_of
from napari_cryospin.widgets.session.session import session_of

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from qtpy.QtGui import QResizeEvent

LARGE_SCREEN = (1500, 850)
"""Width and height, pixels, from which a screen has room for all panels side by side."""
BOTTOM_HEIGHT, BOTTOM_HEIGHT_SMALL = 330, 280  # pixels
TAB_PADDING = (12, 5)
"""Pixels beside the word of a tab: where all tabs fit, and where they do not."""
TAB_EDGE = 2  # pixels that napari's themes draw at each side of a tab


class BottomRow(QWidget):
    """The strip of the live map, and beneath it the plots of the run, which can be folded away.

    Parameters
    ----------
    viewer
        Viewer of napari.
    """

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self._wanted = BOTTOM_HEIGHT  # pixels, the height that was asked for last
        self.tabs = PanelTabs(viewer, BOTTOM_PANELS)
        self.tabs.setUsesScrollButtons(False)  # They would hide the last tabs; words that still do not fit are cut.
        self.tabs.setElideMode(Qt.TextElideMode.ElideRight)
        self.fold = QToolButton()
        self.fold.setCheckable(True)
        self.fold.setAutoRaise(True)
        self.fold.setToolTip("Fold or unfold the plots")
        self.fold.toggled.connect(self._fold)
        self.explain = question_button()
        self.explain.clicked.connect(lambda _=False: explain(self.tabs.tabText(self.tabs.currentIndex()), self))
        self.tabs.put_in_corner((self.explain, self.fold), self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        self.live_map = PANELS["Live map"].make(viewer)
        layout.addWidget(self.live_map)
        layout.addWidget(self.tabs, 1)
        self.tabs.tabBarClicked.connect(lambda _: self.fold.setChecked(False))
        self.live_map.extended.connect(self.set_height)  # type: ignore[attr-defined]
        self.live_map.grown.connect(self._grow)  # type: ignore[attr-defined]
        self._fold(False)
        self._take_text_size()
        session_of(viewer).theme_changed.connect(self._take_text_size)

    def _take_text_size(self) -> None:
        apply_text_size(self)
        self._fit_tabs()

    def _fold(self, folded: bool) -> None:
        self.fold.setText("▴" if folded else "▾")
        # Only the row of tabs remains; a click on a tab unfolds the plots.
        bar = self.tabs.tabBar()
        assert bar is not None
        self.tabs.setMaximumHeight(bar.sizeHint().height() if folded else 16777215)
        self.set_height()
        QTimer.singleShot(0, self.set_height)  # What is inside is laid out by then.

    def set_height(self) -> None:
        """Resize the dock around it to its present content."""
        unfolded = BOTTOM_HEIGHT if is_large(self) else BOTTOM_HEIGHT_SMALL
        extension: int = self.live_map.extension  # type: ignore[attr-defined]
        self._resize(1 if self.fold.isChecked() else unfolded + extension)

    def _grow(self, by: int) -> None:
        """Give the live map more height or less, which the canvas gives or takes, not the plots."""
        self._wanted = 1 if self.fold.isChecked() else self.height() + by
        QTimer.singleShot(0, self._take_wanted)  # What is inside is laid out by then.

    def _take_wanted(self) -> None:
        self._resize(self._wanted)

    def _resize(self, height: int) -> None:
        dock = dock_of(self)
        window = None if dock is None else dock.parent()
        if dock is not None and isinstance(window, QMainWindow):
            # A dock that napari gave a smallest height keeps the largest one that its content ever needed.
            dock.setMinimumHeight(self.minimumSizeHint().height())
            window.resizeDocks([dock], [height], Qt.Orientation.Vertical)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        self._fit_tabs()

    def _fit_tabs(self) -> None:
        """Let the tabs come closer together where they do not fit beside each other."""
        bar, corner = self.tabs.tabBar(), self.tabs.cornerWidget(Qt.Corner.TopRightCorner)
        assert bar is not None
        assert corner is not None
        words = sum(bar.fontMetrics().horizontalAdvance(bar.tabText(place)) for place in range(bar.count()))
        usual, small = TAB_PADDING
        fits = words + bar.count() * 2 * (usual + TAB_EDGE) <= self.width() - corner.sizeHint().width()
        style = f"QTabBar::tab {{ padding: 5px {usual if fits else small}px; }}"
        if style != bar.styleSheet():
            bar.setStyleSheet(style)


def is_large(widget: QWidget) -> bool:
    """Return whether the screen of a widget has room for all panels side by side."""
    screen = widget.screen()
    size = screen.availableGeometry() if screen is not None else widget.window().rect()  # type: ignore[union-attr]
    return bool(size.width() >= LARGE_SCREEN[0] and size.height() >= LARGE_SCREEN[1])
