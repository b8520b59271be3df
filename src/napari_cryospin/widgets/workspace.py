"""The workspace: a dock that docks every other panel in its place, on a large screen and on a laptop's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QMessageBox, QWidget

from napari_cryospin.widgets.bottom_row import BottomRow, is_large
from napari_cryospin.widgets.kit.colours import theme_of
from napari_cryospin.widgets.kit.preferences import PLUGIN_NAME, forget_choices, recall_settings
from napari_cryospin.widgets.kit.text_size import USUAL_POINTS, apply_text_size, text_scale
from napari_cryospin.widgets.live_map.kept_framing import keep_framing
from napari_cryospin.widgets.panel_tabs import RIGHT_PANELS, PanelTabs
from napari_cryospin.widgets.path.bar import PathBar, PathMarks
from napari_cryospin.widgets.path.explanations import explain, question_button
from napari_cryospin.widgets.path.foot import NextStepFoot
from napari_cryospin.widgets.path.model import path_of
from napari_cryospin.widgets.path.recent import remember_run
from napari_cryospin.widgets.path.recent_menu import RecentRunsMenu
from napari_cryospin.widgets.path.run_signs import show_run_signs
from napari_cryospin.widgets.path.shortcuts import USE_ARROWS, USE_SPACE, KeyCommand, Shortcuts
from napari_cryospin.widgets.path.start_page import StartPage
from napari_cryospin.widgets.path.steps import NextStep, done_steps, next_step, present_step
from napari_cryospin.widgets.path.window_keys import WindowKeys
from napari_cryospin.widgets.run.panel import RunPanel
from napari_cryospin.widgets.session.column_heights import ColumnHeights
from napari_cryospin.widgets.session.docks import WORKSPACE, dock_of
from napari_cryospin.widgets.session.panel import Panel
from napari_cryospin.widgets.session.session import session_of

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from qtpy.QtGui import QShowEvent

RIGHT_WIDTH, RIGHT_WIDTH_SMALL = 450, 470  # pixels, on a large and on a small screen
LAYERS_WIDTH = 306  # pixels that napari's controls of a map and the names of our layers need; measured with 0.9.2
UPPER_SHARES = {"Run": 0.44, "Switch": 0.6}
"""Title of a panel -> share of the right column's height that it has while a run goes on and has a map, beside the
posterior of a particle."""
READING_SHARE = 0.72
"""Share of the right column's height for all others, and for all while there is no map to ask about."""
EARLY = (
    "Switch to auto-decoding although it is not advised yet?\n\n{reason}\n\nEach particle keeps its best candidate, "
    "and its pose is refined from there on. There is no way back."
)
DUE = "Switch to auto-decoding?\n\n{reason}\n\nThere is no way back."
RESET = (
    "Set all settings of the next run back to the preset that the window begins with, and forget what it remembers: "
    "folders, recent runs, the place of ChimeraX?\n\nRuns and their files stay as they are."
)


class Workspace(PanelTabs):
    """The right column of the workspace; when it is first shown, it docks the other panels.

    Parameters
    ----------
    napari_viewer
        Viewer, given by napari.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        self.bar = PathBar()
        super().__init__(napari_viewer, RIGHT_PANELS, self.bar)
        self.bar.setExpanding(True)  # In document mode, a tab widget turns that off.
        self.arranged = False
        self.points = USUAL_POINTS  # of texts, pt
        self.heights: ColumnHeights | None = None
        session = session_of(napari_viewer)
        self.path = path_of(session)
        self.foot = NextStepFoot()
        self.foot.pressed.connect(self._act)
        self.panel_made.connect(self._take_panel)
        self.currentChanged.connect(self._show_page)
        self.path.changed.connect(self._show_path)
        session.snapshot_arrived.connect(self._share_height)
        session.run_changed.connect(self._share_height)
        self.path.changed.connect(self._share_height)  # when a run begins or ends
        session.theme_changed.connect(self._retheme)
        session.run_changed.connect(self._take_run)
        self.signs = show_run_signs(napari_viewer, self.path)
        self.shortcuts = Shortcuts(commands_of(self), self)
        self.window_keys = WindowKeys(napari_viewer, self.shortcuts)
        self._make_corner()
        self._retheme()
        self._show_path()

    def _make_corner(self) -> None:
        """Put the buttons of the explanation and of the menu beside the bar."""
        self.explain = question_button()
        self.explain.clicked.connect(self.explain_shown)
        self.menu = self.shortcuts.menu_button()
        self.recent = RecentRunsMenu(self)
        self.recent.chosen.connect(self.watch)
        self.shortcuts.add_menu(self.recent)
        self.put_in_corner((self.explain, self.menu), self)
        self.shortcuts.serve(self)

    def explain_shown(self) -> None:
        """Say what the marks of the panel that is shown mean."""
        explain(self.shown, self)

    @property
    def shown(self) -> str:
        """Title of the panel that is shown."""
        return self.tabText(self.currentIndex())

    # The path

    def _show_page(self) -> None:
        """Move the foot beneath the panel that is shown, and give the panel its room."""
        page = self.currentWidget()
        layout = None if page is None else page.layout()
        if layout is not None and layout.count():
            layout.addWidget(self.foot)
        self._show_path()
        self._share_height()

    def _show_path(self) -> None:
        now = self.path.situation
        step = next_step(now, self.shown)
        self.bar.set_marks(PathMarks(present_step(now), done_steps(now)))
        self.foot.show_step(step)
        for panel in self.findChildren(Panel):
            panel.take_action(step.action)

    def _take_panel(self, panel: object) -> None:
        """Take the obstacle to a start from the panel of the run, and leave the next action to the foot."""
        if isinstance(panel, RunPanel):
            panel.obstacle_changed.connect(self.path.set_obstacle)
            self.path.set_obstacle(panel.obstacle)
        self._show_path()

    def _act(self, step: NextStep) -> None:
        """Do what the button at the foot says."""
        if step.action == "export":
            self.show_panel("Export")
            return
        panel: Any = self.show_panel(step.step)
        if step.action == "choose particles":
            self.choose_particles()
        elif step.action == "start":
            panel.start.click()
        elif step.action == "continue":
            panel.continue_run.click()
        elif step.action == "switch" or (step.action == "switch early" and self._asked(EARLY)):
            self.make_switch()

    def ask_switch(self) -> None:
        """Switch to auto-decoding after a question, if the run can."""
        now = self.path.situation
        waits = now.standing == "waiting"
        if not (waits or (now.live and now.before_switch)) or now.asked:
            show_info("There is no run that could switch to auto-decoding now.")
        elif self._asked(DUE if waits or now.ready else EARLY):
            self.make_switch()

    def start_run(self) -> None:
        """Start a run of the opened particles, or say why none can be started."""
        panel: Any = self.show_panel("Run")
        if panel.obstacle or self.path.control.alive:
            show_info(panel.obstacle or "A run goes on; stop it before another one is started.")
        else:
            panel.start.click()

    def stop_run(self) -> None:
        """Stop the run that goes on."""
        if self.path.control.alive:
            self.path.control.request("stop")
        else:
            show_info("There is no run that goes on.")

    def ask_reset(self) -> None:
        """Forget, after a question, the settings of the next run and all that the window remembers."""
        if QMessageBox.question(self, "Reset settings", RESET) == QMessageBox.StandardButton.Yes:
            forget_choices()
            session_of(self.viewer).set_settings(recall_settings())

    def bring(self, title: str) -> None:
        """Bring a panel to the front."""
        self.show_panel(title)

    def make_switch(self) -> None:
        """Switch to auto-decoding; a run that waits for that goes on with it, where the Run panel says."""
        run: Any = self.panel("Run")
        run.switch.pressed.emit()

    def _asked(self, question: str) -> bool:
        """Ask whether the run should switch."""
        text = question.format(reason=self.path.situation.reason)
        return QMessageBox.question(self, "Switch to auto-decoding", text) == QMessageBox.StandardButton.Yes

    def _take_run(self) -> None:
        """Remember the run that is watched, and open its particles where none are open."""
        session = session_of(self.viewer)
        if session.folder is None:
            return
        remember_run(session.folder.path)
        particles: Any = self.panel("Particles")
        if session.source is None and not particles.opener.opening:
            particles.opener.bring(session.folder)

    def show_panel(self, title: str) -> QWidget:
        """Bring a panel to the front, and return it."""
        self.setCurrentIndex(self.index_of(title))
        return self.panel(title)

    def _retheme(self) -> None:
        theme = theme_of(self.viewer)
        apply_text_size(self)
        self.bar.set_theme(theme)
        if self.arranged and theme.points != self.points:
            self._set_width()
        self.points = theme.points

    def _set_width(self) -> None:
        """Give the column the width that its texts need, up to half of the window."""
        dock = dock_of(self)
        window = None if dock is None else dock.parent()
        if dock is not None and isinstance(window, QMainWindow):
            usual = RIGHT_WIDTH if is_large(self) else RIGHT_WIDTH_SMALL
            width = max(usual, min(round(usual * text_scale(self.font())), window.width() // 2))
            window.resizeDocks([dock], [width], Qt.Orientation.Horizontal)

    # The docks

    def _share_height(self, _: object = None) -> None:
        """Give the posterior's dock beneath the room that the present panel leaves it."""
        if self.heights is not None:
            session = session_of(self.viewer)
            follows = session.live and session.snapshot is not None
            self.heights.set_share(UPPER_SHARES.get(self.shown, READING_SHARE) if follows else READING_SHARE)

    def showEvent(self, event: QShowEvent | None) -> None:
        super().showEvent(event)
        self._show_page()
        if not self.arranged:
            QTimer.singleShot(0, self.arrange)

    def _lay_start_page(self, window: QMainWindow) -> None:
        """Lay the page with the beginnings over the empty canvas."""
        if window.findChild(StartPage) is not None:
            return
        page = StartPage(window, self.viewer)
        page.particles_wanted.connect(self.choose_particles)
        page.sample_wanted.connect(self.open_sample)
        page.run_wanted.connect(self.ask_run)
        page.run_chosen.connect(self.watch)

    def choose_particles(self) -> None:
        """Let the user choose particles."""
        panel: Any = self.show_panel("Particles")
        panel.opener.choose()

    def open_sample(self, key: str) -> None:
        """Open the particles of a sample."""
        panel: Any = self.show_panel("Particles")
        panel.opener.open_sample(key)

    def ask_run(self) -> None:
        """Let the user choose a run to watch."""
        panel: Any = self.show_panel("Run")
        panel.ask_run()

    def watch(self, path: Path) -> None:
        """Watch the run in a folder."""
        panel: Any = self.show_panel("Run")
        panel.control.attach(path)

    def arrange(self) -> None:
        """Dock the panels that are not docked yet, each in its place."""
        dock = dock_of(self)
        window = None if dock is None else dock.parent()
        if dock is None or not isinstance(window, QMainWindow):
            return
        first, self.arranged = not self.arranged, True
        self._lay_start_page(window)
        canvas = window.centralWidget()
        if canvas is not None:
            keep_framing(canvas, self.viewer)
        large = is_large(self)
        window.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)
        window.setCorner(Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.LeftDockWidgetArea)
        bottom = window.findChild(BottomRow)
        if bottom is None:
            bottom = BottomRow(self.viewer)
            self.shortcuts.serve(bottom)
            self.viewer.window.add_dock_widget(bottom, name="cryoSPIN map and plots", area="bottom")
            bottom.fold.setChecked(not large)
            bottom.set_height()
        if not large and self.index_of("Posterior") < 0:
            self.add("Posterior")
        elif self.index_of("Posterior") < 0:
            self._dock_posterior(window, dock)
        if first:  # Later, a width that the user chose stays.
            self._set_width()
            self._widen_layers(window)

    def _widen_layers(self, window: QMainWindow) -> None:
        """Give napari's lists of layers the width that they need for a map, before there is one.

        Otherwise the canvas and all beneath it move to the side when the first map comes.
        """
        area, width = Qt.DockWidgetArea.LeftDockWidgetArea, round(LAYERS_WIDTH * text_scale(self.font()))
        docks = [one for one in window.findChildren(QDockWidget) if window.dockWidgetArea(one) == area]
        narrow = [one for one in docks if one.isVisible() and one.width() < width]
        window.resizeDocks(narrow, [width] * len(narrow), Qt.Orientation.Horizontal)

    def _dock_posterior(self, window: QMainWindow, column: QDockWidget) -> None:
        known = [one.objectName() for one in window.findChildren(QDockWidget)]
        if any(name.startswith("Posterior") for name in known):
            return
        _, panel = self.viewer.window.add_plugin_dock_widget(PLUGIN_NAME, "Posterior")
        self.shortcuts.serve(panel)
        dock = dock_of(panel)
        if dock is not None and not dock.isFloating():
            window.splitDockWidget(column, dock, Qt.Orientation.Vertical)
            self.heights = ColumnHeights(window, column, dock)
            QTimer.singleShot(0, self._share_height)  # The window lays out the new dock first.


def commands_of(column: Workspace) -> list[KeyCommand]:
    """Return the commands of the workspace: those of its menu, and of napari's command palette."""
    session, run = session_of(column.viewer), column.path.control

    def step_epoch(by: int) -> Callable[[], None]:
        return lambda: session.step_epoch(by)

    def step_particle(by: int) -> Callable[[], None]:
        return lambda: session.step_particle(by)

    return [
        KeyCommand("particles", "Choose particles...", column.choose_particles),
        KeyCommand("watch", "Watch a run...", column.ask_run),
        KeyCommand("start", "Start a run of the opened particles", column.start_run),
        KeyCommand("pause", "Pause or resume the run", run.pause_or_resume, "Space", USE_SPACE, "layer"),
        KeyCommand("stop", "Stop the run", column.stop_run),
        KeyCommand("switch", "Switch to auto-decoding...", column.ask_switch, "S"),
        KeyCommand("epoch before", "Map of the epoch before", step_epoch(-1), "Left", USE_ARROWS, "sliders"),
        KeyCommand("next epoch", "Map of the next epoch", step_epoch(1), "Right", USE_ARROWS, "sliders"),
        KeyCommand("particle before", "Particle before", step_particle(-1), "Up", USE_ARROWS),
        KeyCommand("next particle", "Next particle", step_particle(1), "Down", USE_ARROWS),
        KeyCommand("export", "Export...", lambda: column.bring("Export")),
        KeyCommand("reset", "Reset settings...", column.ask_reset),
        KeyCommand("explain", "What the marks of this panel mean", column.explain_shown, "F1"),
    ]


def open_workspace(viewer: Viewer) -> Workspace:
    """Open the workspace; panels that are docked already stay as they are."""
    dock, workspace = viewer.window.add_plugin_dock_widget(PLUGIN_NAME, WORKSPACE)
    dock.show()
    workspace.arrange()
    assert isinstance(workspace, Workspace)
    return workspace
