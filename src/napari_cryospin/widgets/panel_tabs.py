"""The panels of the workspace by their titles, and tabs that make a panel when it is first visible."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QTabBar, QTabWidget, QVBoxLayout, QWidget

from napari_cryospin.widgets.kit.focus_ring import FocusMark
from napari_cryospin.widgets.kit.wheel import guard_wheel
from napari_cryospin.widgets.path.steps import STEPS

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from qtpy.QtGui import QShowEvent

# The module of a panel is imported when the panel is made, because importing all of them would keep the window waiting.


def _particles(viewer: Viewer) -> QWidget:
    from napari_cryospin.widgets.particles.panel import ParticlesPanel

    return ParticlesPanel(viewer)


def _run(viewer: Viewer) -> QWidget:
    from napari_cryospin.widgets.run.panel import RunPanel

    return RunPanel(viewer)


def _switch(viewer: Viewer) -> QWidget:
    from napari_cryospin.widgets.run.switch_panel import SwitchPanel

    return SwitchPanel(viewer)


def _result(viewer: Viewer) -> QWidget:
    from napari_cryospin.widgets.result.panel import ResultPanel

    return ResultPanel(viewer)


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


def _two_runs(viewer: Viewer) -> QWidget:
    from napari_cryospin.widgets.charts.two_runs import TwoRunsPanel

    return TwoRunsPanel(viewer)


@dataclass(frozen=True)
class Place:
    """A panel of the workspace: the function that makes it, and its tooltip."""

    make: Callable[[Viewer], QWidget]
    tip: str


PANELS = {
    "Particles": Place(_particles, "Open particles and look at them before a run"),
    "Run": Place(_run, "Set up a run; start, pause and stop it"),
    "Switch": Place(_switch, "Whether it is time to switch to auto-decoding; the map before and after"),
    "Result": Place(_result, "What came out, how far it can be trusted, and what to do next"),
    "Export": Place(_export, "Save map, poses and figures; open them in ChimeraX"),
    "Posterior": Place(_posterior, "Pose posterior of a particle"),
    "Live map": Place(_live_map, "The map as it grows; back to earlier epochs"),
    "Convergence": Place(_convergence, "Loss, resolution, FSC, pose changes"),
    "In doubt": Place(_wall, "Posteriors of many particles, the most uncertain first"),
    "Selection": Place(_selection, "Sort and select particles; their images beside projections; a map of them alone"),
    "Heads": Place(_heads, "What share of the particles each head wins, and where"),
    "Orientations": Place(_orientations, "View directions of all particles"),
    "Scales": Place(_scales, "How strong the particle's signal is in the images"),
    "Two runs": Place(_two_runs, "The run beside another one: curves, figures, maps, agreement of poses"),
}
"""Title -> panel, which is made when it is first visible."""
RIGHT_PANELS = (*STEPS, "Export")
BOTTOM_PANELS = ("Convergence", "In doubt", "Selection", "Heads", "Orientations", "Scales", "Two runs")


class PanelTabs(QTabWidget):
    """Tabs of panels, each of which is made when it is first visible.

    Parameters
    ----------
    viewer
        Viewer of napari.
    titles
        Titles of panels in `PANELS`.
    bar
        Row of the tabs. Default: Qt's.
    """

    panel_made = Signal(object)  # the panel

    def __init__(self, viewer: Viewer, titles: tuple[str, ...], bar: QTabBar | None = None) -> None:
        super().__init__()
        self.viewer = viewer
        if bar is not None:
            self.setTabBar(bar)
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

    def put_in_corner(self, buttons: Sequence[QWidget], frame: QWidget) -> None:
        """Put buttons beside the bar; the one with the focus is marked by a line that a widget around it draws."""
        corner = QWidget()
        row = QHBoxLayout(corner)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        for part in buttons:
            row.addWidget(part)
        self.setCornerWidget(corner, Qt.Corner.TopRightCorner)
        self.corner_mark = FocusMark(corner, frame)

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
            panel = PANELS[self.tabText(index)].make(self.viewer)
            layout.addWidget(panel)
            self.panel_made.emit(panel)

    def showEvent(self, event: QShowEvent | None) -> None:
        self._fill(self.currentIndex())
        super().showEvent(event)
