"""The workspace: a dock that docks every other panel in its place, on a large screen and on a laptop's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QTabWidget, QToolButton, QVBoxLayout, QWidget

from napari_cryospin.widgets.kit.focus_ring import FocusMark
from napari_cryospin.widgets.kit.preferences import PLUGIN_NAME
from napari_cryospin.widgets.kit.wheel import guard_wheel
from napari_cryospin.widgets.session.column_heights import ColumnHeights
from napari_cryospin.widgets.session.docks import WORKSPACE, dock_of
from napari_cryospin.widgets.session.session import session_of

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from qtpy.QtGui import QShowEvent

LARGE_SCREEN = (1500, 850)
"""Width and height, pixels, from which a screen has room for all panels side by side."""
RIGHT_WIDTH, RIGHT_WIDTH_SMALL = 430, 380  # pixels, on a large and on a small screen
UPPER_SHARE = 0.42
"""Share of the right column's height that the run has, beside the posterior of a particle."""
READING_SHARE = 0.72
"""Share of the right column's height for particles and export, and for all while there is no map to ask about."""
BOTTOM_HEIGHT, BOTTOM_HEIGHT_SMALL = 330, 280  # pixels


# The module of a panel is imported when the panel is made, because importing all of them would keep the window waiting.


def _particles(viewer: Viewer) -> QWidget:
    from napari_cryospin.widgets.particles.panel import ParticlesPanel

    return ParticlesPanel(viewer)


def _run(viewer: Viewer) -> QWidget:
    from napari_cryospin.widgets.run.panel import RunPanel

    return RunPanel(viewer)


def _export(viewer: Viewer) -> QWidget:
    from napari_cryospin.widgets.export.panel import ExportPanel

    return ExportPanel(viewer)


def _posterior(viewer: Viewer) -> QWidget:
    from napari_cryospin.widgets.posterior.panel import PosteriorPanel

    return PosteriorPanel(viewer)


def _live_map(viewer: Viewer) -> QWidget:
    from napari_cryospin.widgets.live_map.panel import LiveMapPanel

    return LiveMapPanel(viewer)


def _wall(viewer: Viewer) -> QWidget:
    from napari_cryospin.widgets.posterior.wall_panel import WallPanel

    return WallPanel(viewer)


def _selection(viewer: Viewer) -> QWidget:
    from napari_cryospin.widgets.selection.panel import SelectionPanel

    return SelectionPanel(viewer)


def _convergence(viewer: Viewer) -> QWidget:
    from napari_cryospin.widgets.charts.convergence import ConvergencePanel

    return ConvergencePanel(viewer)


def _heads(viewer: Viewer) -> QWidget:
    from napari_cryospin.widgets.charts.heads import HeadsPanel

    return HeadsPanel(viewer)


def _orientations(viewer: Viewer) -> QWidget:
    from napari_cryospin.widgets.charts.orientations import OrientationsPanel

    return OrientationsPanel(viewer)


def _scales(viewer: Viewer) -> QWidget:
    from napari_cryospin.widgets.charts.scales import ScalesPanel

    return ScalesPanel(viewer)


@dataclass(frozen=True)
class Place:
    """A panel of the workspace: the function that makes it, and its tooltip."""

    make: Callable[[Viewer], QWidget]
    tip: str


PANELS = {
    "Particles": Place(_particles, "Open particles and look at them before a run"),
    "Run": Place(_run, "Start, pause, stop a run; switch to auto-decoding"),
    "Export": Place(_export, "Save map, poses and figures; open them in ChimeraX"),
    "Posterior": Place(_posterior, "Pose posterior of a particle"),
    "Live map": Place(_live_map, "The map as it grows; back to earlier epochs"),
    "Convergence": Place(_convergence, "Loss, resolution, FSC, pose changes"),
    "In doubt": Place(_wall, "Posteriors of many particles, the most uncertain first"),
    "Selection": Place(_selection, "Sort and select particles; their images beside projections; a map of them alone"),
    "Heads": Place(_heads, "What share of the particles each head wins, and where"),
    "Orientations": Place(_orientations, "View directions of all particles"),
    "Scales": Place(_scales, "How strong the particle's signal is in the images"),
}
"""Title -> panel, which is made when it is first visible."""
RIGHT_PANELS = ("Particles", "Run", "Export")
BOTTOM_PANELS = ("Convergence", "In doubt", "Selection", "Heads", "Orientations", "Scales")


class PanelTabs(QTabWidget):
    """Tabs of panels, each of which is made when it is first visible.

    Parameters
    ----------
    viewer
        Viewer of napari.
    titles
        Titles of panels in `PANELS`.
    """

    def __init__(self, viewer: Viewer, titles: tuple[str, ...]) -> None:
        super().__init__()
        self.viewer = viewer
        self.setDocumentMode(True)
        bar = self.tabBar()
        assert bar is not None
        bar.setDrawBase(False)  # The base is a white line beside the tabs, in either theme.
        self.setStyleSheet("QTabBar::tab { padding: 5px 12px; }")
        for title in titles:
            self.add(title)
        self.currentChanged.connect(self._fill)
        guard_wheel(bar)
        self.focus_mark = FocusMark(bar, self)

    def add(self, title: str) -> None:
        """Add the tab of a panel."""
        page = QWidget()
        QVBoxLayout(page).setContentsMargins(0, 0, 0, 0)
        self.setTabToolTip(self.addTab(page, title), PANELS[title].tip)

    def index_of(self, title: str) -> int:
        """Return the position of a tab; -1: there is none with this title."""
        return next((index for index in range(self.count()) if self.tabText(index) == title), -1)

    def panel(self, title: str) -> QWidget:
        """Return the panel of a tab, which is made now if it was not visible yet."""
        index = self.index_of(title)
        self._fill(index)
        item = self.widget(index).layout().itemAt(0)  # type: ignore[union-attr]
        return item.widget()  # type: ignore[union-attr,return-value]

    def _fill(self, index: int) -> None:
        page = self.widget(index)
        layout = None if page is None else page.layout()
        if layout is not None and not layout.count():
            layout.addWidget(PANELS[self.tabText(index)].make(self.viewer))

    def showEvent(self, event: QShowEvent | None) -> None:
        self._fill(self.currentIndex())
        super().showEvent(event)


class BottomRow(QWidget):
    """The strip of the live map, and beneath it the plots of the run, which can be folded away.

    Parameters
    ----------
    viewer
        Viewer of napari.
    """

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self.tabs = PanelTabs(viewer, BOTTOM_PANELS)
        self.fold = QToolButton()
        self.fold.setCheckable(True)
        self.fold.setAutoRaise(True)
        self.fold.setToolTip("Fold or unfold the plots")
        self.fold.toggled.connect(self._fold)
        self.tabs.setCornerWidget(self.fold, Qt.Corner.TopRightCorner)
        FocusMark(self.fold, self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        self.live_map = PANELS["Live map"].make(viewer)
        layout.addWidget(self.live_map)
        layout.addWidget(self.tabs, 1)
        self.tabs.tabBarClicked.connect(lambda _: self.fold.setChecked(False))
        self.live_map.extended.connect(self.set_height)  # type: ignore[attr-defined]
        self._fold(False)

    def _fold(self, folded: bool) -> None:
        self.fold.setText("▴" if folded else "▾")
        # Only the row of tabs remains; a click on a tab unfolds the plots.
        bar = self.tabs.tabBar()
        assert bar is not None
        self.tabs.setMaximumHeight(bar.sizeHint().height() if folded else 16777215)
        self.set_height()

    def set_height(self) -> None:
        """Resize the dock around it to its present content."""
        dock = dock_of(self)
        window = None if dock is None else dock.parent()
        if dock is not None and isinstance(window, QMainWindow):
            unfolded = BOTTOM_HEIGHT if is_large(self) else BOTTOM_HEIGHT_SMALL
            extension: int = self.live_map.extension  # type: ignore[attr-defined]
            wanted = 1 if self.fold.isChecked() else unfolded + extension
            window.resizeDocks([dock], [wanted], Qt.Orientation.Vertical)


class Workspace(PanelTabs):
    """The right column of the workspace; when it is first shown, it docks the other panels.

    Parameters
    ----------
    napari_viewer
        Viewer, given by napari.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer, RIGHT_PANELS)
        # The title bar of napari covers the first pixels of a dock's widget.
        self.setStyleSheet("QTabBar::tab { padding: 9px 12px 5px 12px; }")
        self.arranged = False
        self.heights: ColumnHeights | None = None
        self.currentChanged.connect(self._share_height)
        session = session_of(napari_viewer)
        session.snapshot_arrived.connect(self._share_height)
        session.run_changed.connect(self._share_height)

    def _share_height(self, _: object = None) -> None:
        """Give the posterior's dock beneath the room that the present tab leaves it."""
        if self.heights is not None:
            running = self.tabText(self.currentIndex()) == "Run" and session_of(self.viewer).snapshot is not None
            self.heights.set_share(UPPER_SHARE if running else READING_SHARE)

    def showEvent(self, event: QShowEvent | None) -> None:
        super().showEvent(event)
        if not self.arranged:
            QTimer.singleShot(0, self.arrange)

    def arrange(self) -> None:
        """Dock the panels that are not docked yet, each in its place."""
        dock = dock_of(self)
        window = None if dock is None else dock.parent()
        if dock is None or not isinstance(window, QMainWindow):
            return
        first, self.arranged = not self.arranged, True
        large = is_large(self)
        window.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)
        window.setCorner(Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.LeftDockWidgetArea)
        bottom = window.findChild(BottomRow)
        if bottom is None:
            bottom = BottomRow(self.viewer)
            self.viewer.window.add_dock_widget(bottom, name="cryoSPIN map and plots", area="bottom")
            bottom.fold.setChecked(not large)
            bottom.set_height()
        if not large and self.index_of("Posterior") < 0:
            self.add("Posterior")
        elif self.index_of("Posterior") < 0:
            self._dock_posterior(window, dock)
        if not first:  # A width that the user chose stays.
            return
        width = RIGHT_WIDTH if large else RIGHT_WIDTH_SMALL
        window.resizeDocks([dock], [width], Qt.Orientation.Horizontal)

    def _dock_posterior(self, window: QMainWindow, column: QDockWidget) -> None:
        known = [one.objectName() for one in window.findChildren(QDockWidget)]
        if any(name.startswith("Posterior") for name in known):
            return
        _, panel = self.viewer.window.add_plugin_dock_widget(PLUGIN_NAME, "Posterior")
        dock = dock_of(panel)
        if dock is not None and not dock.isFloating():
            window.splitDockWidget(column, dock, Qt.Orientation.Vertical)
            self.heights = ColumnHeights(window, column, dock)
            QTimer.singleShot(0, self._share_height)  # The window lays out the new dock first.


def is_large(widget: QWidget) -> bool:
    """Return whether the screen of a widget has room for all panels side by side."""
    screen = widget.screen()
    size = screen.availableGeometry() if screen is not None else widget.window().rect()  # type: ignore[union-attr]
    return bool(size.width() >= LARGE_SCREEN[0] and size.height() >= LARGE_SCREEN[1])


def open_workspace(viewer: Viewer) -> Workspace:
    """Open the workspace; panels that are docked already stay as they are."""
    dock, workspace = viewer.window.add_plugin_dock_widget(PLUGIN_NAME, WORKSPACE)
    dock.show()
    workspace.arrange()
    assert isinstance(workspace, Workspace)
    return workspace
