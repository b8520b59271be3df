"""The workspace docks everything once, on large screens and small ones, at once and without torch."""

import dataclasses
import shutil
import subprocess
import sys

import numpy as np
import pytest
from npe2 import PluginManifest
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QDockWidget

from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.particle_record import ParticleRecord
from napari_cryospin.widgets import bottom_row, workspace
from napari_cryospin.widgets.bottom_row import BottomRow
from napari_cryospin.widgets.panel_tabs import PANELS
from napari_cryospin.widgets.particles.panel import ParticlesPanel
from napari_cryospin.widgets.posterior.panel import PosteriorPanel
from napari_cryospin.widgets.session.docks import dock_of, reveal
from napari_cryospin.widgets.session.session import session_of
from napari_cryospin.widgets.workspace import Workspace, open_workspace


def docks(viewer):
    return [*viewer.window.dock_widgets]


@pytest.fixture
def screen(monkeypatch):
    """Says which screen there is: `screen(large)`."""

    def set_size(large):
        for module in (workspace, bottom_row):
            monkeypatch.setattr(module, "is_large", lambda widget: large)

    return set_size


def test_everything_is_docked_once(make_napari_viewer, qtbot, screen):
    screen(True)
    viewer = make_napari_viewer(show=True)
    column = open_workspace(viewer)
    names = docks(viewer)
    assert len(names) == 3
    assert open_workspace(viewer) is column
    qtbot.wait(50)
    assert docks(viewer) == names
    assert [column.tabText(k) for k in range(column.count())] == ["Particles", "Run", "Switch", "Result", "Export"]
    window = column.window()
    areas = {dock.widget(): window.dockWidgetArea(dock) for dock in window.findChildren(QDockWidget)}
    bottom, posterior = window.findChild(BottomRow), window.findChild(PosteriorPanel)
    assert areas[column] == areas[posterior] == Qt.DockWidgetArea.RightDockWidgetArea
    assert areas[bottom] == Qt.DockWidgetArea.BottomDockWidgetArea
    assert posterior.mapTo(window, posterior.rect().topLeft()).y() > column.mapTo(window, column.rect().topLeft()).y()


def menu_action(viewer, title):
    """The entry of napari's own menus with a title, as a user finds it."""

    def search(menu):
        for action in menu.actions():
            if action.menu() is not None:
                action.menu().aboutToShow.emit()  # napari fills a menu when it opens.
                yield from search(action.menu())
            elif action.text().replace("&", "") == title:
                yield action

    return next(search(viewer.window._qt_window.menuBar()))


def workspaces(viewer):
    return [widget for widget in docks(viewer) if widget.startswith("cryoSPIN workspace")]


def test_the_menu_and_continue_open_one_workspace(make_napari_viewer, qtbot, screen, tiny_particles):
    screen(True)
    viewer = make_napari_viewer(show=True)
    menu_action(viewer, "cryoSPIN workspace").trigger()
    qtbot.waitUntil(lambda: len(docks(viewer)) == 3)
    names, window = docks(viewer), viewer.window._qt_window
    column, panel = window.findChild(Workspace), window.findChild(ParticlesPanel)
    panel.opener.open_files([tiny_particles.particles])
    qtbot.waitUntil(lambda: panel.session.particles is not None, timeout=60_000)
    assert panel.go_on.isHidden()  # The column has the button, at its foot.
    qtbot.mouseClick(column.foot.button, Qt.MouseButton.LeftButton)
    qtbot.wait(50)
    assert docks(viewer) == names
    assert column.tabText(column.currentIndex()) == "Run"
    assert open_workspace(viewer) is column
    menu_action(viewer, "Posterior").trigger()  # It is docked already: the menu hides it.
    qtbot.wait(50)
    assert docks(viewer) == names


@pytest.mark.parametrize(("large", "size"), [(True, (1600, 1000)), (False, (1366, 768))])
def test_the_next_action_is_in_sight_and_the_column_follows_the_task(
    make_napari_viewer, qtbot, screen, tiny_particles, finished_run, large, size, tmp_path
):
    screen(large)
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(*size)
    menu_action(viewer, "cryoSPIN workspace").trigger()
    window = viewer.window._qt_window
    column, session = window.findChild(Workspace), session_of(viewer)
    qtbot.waitUntil(lambda: column.arranged)
    panel = column.panel("Particles")
    panel.opener.open_files([tiny_particles.particles])
    qtbot.waitUntil(lambda: session.particles is not None, timeout=60_000)
    qtbot.waitUntil(lambda: panel.card.verdict.text() != "", timeout=60_000)
    button = column.foot.button
    assert button.visibleRegion().boundingRect() == button.rect()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    run = column.panel("Run")
    run.folded.set_open(True)
    qtbot.wait(100)
    assert button.text() == "Start"
    assert button.visibleRegion().boundingRect() == button.rect()
    if not large:
        return
    assert column.height() > 0.6 * window.height()  # There is no map yet that a posterior could be of.
    shutil.copytree(finished_run.path, tmp_path / "live")
    folder = RunFolder(tmp_path / "live")
    status = folder.read_status()
    with folder.driving():
        folder.write_status(dataclasses.replace(status, state="running"))
        run.control.attach(folder.path)
        qtbot.waitUntil(lambda: column.height() < 0.5 * window.height(), timeout=60_000)
        folder.write_status(status)
    qtbot.waitUntil(lambda: column.height() > 0.6 * window.height(), timeout=60_000)  # What came out is read.
    column.setCurrentIndex(column.index_of("Export"))
    qtbot.waitUntil(lambda: column.height() > 0.6 * window.height())
    qtbot.wait(50)
    docks = [dock_of(column), dock_of(window.findChild(PosteriorPanel))]
    window.resizeDocks(docks, [500, 450], Qt.Orientation.Vertical)  # as the user's dragging does
    qtbot.wait(50)
    dragged = column.height()
    for title in ("Run", "Particles"):
        column.setCurrentIndex(column.index_of(title))
        qtbot.wait(50)
        assert abs(column.height() - dragged) < 5


def test_the_menu_finds_the_workspace_that_a_file_opened(make_napari_viewer, qtbot, tiny_particles):
    viewer = make_napari_viewer(show=True)
    viewer.open(str(tiny_particles.particles), plugin="napari-cryospin")
    qtbot.waitUntil(lambda: session_of(viewer).particles is not None, timeout=60_000)
    for _ in range(2):  # The menu hides it, and shows it again.
        menu_action(viewer, "cryoSPIN workspace").trigger()
    qtbot.wait(50)
    assert len(workspaces(viewer)) == 1


def test_on_a_laptop_the_posterior_is_a_tab_and_the_bottom_row_folds(make_napari_viewer, qtbot, screen):
    screen(False)
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1366, 768)
    column = open_workspace(viewer)
    titles = [column.tabText(k) for k in range(column.count())]
    assert titles == ["Particles", "Run", "Switch", "Result", "Export", "Posterior"]
    row = column.window().findChild(BottomRow)
    qtbot.waitUntil(lambda: row.tabs.height() < 50)
    folded = row.height()
    row.fold.click()
    qtbot.waitUntil(lambda: row.tabs.height() > 100)
    assert column.window().size() == QSize(1366, 768)
    bar = row.tabs.tabBar()
    for place in range(bar.count()):  # Every tab is in sight, with all of its word.
        assert bar.tabRect(place).right() <= bar.width()
        assert bar.tabRect(place).width() > bar.fontMetrics().horizontalAdvance(bar.tabText(place))
    row.fold.click()
    qtbot.waitUntil(lambda: row.height() <= folded)


@pytest.mark.parametrize("large", [False, True])
def test_the_map_keeps_its_share_of_the_canvas_and_its_place(make_napari_viewer, qtbot, screen, finished_run, large):
    screen(large)
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(*((1600, 1000) if large else (1366, 768)))
    column = open_workspace(viewer)
    window = column.window()
    row, canvas = window.findChild(BottomRow), window.centralWidget()
    qtbot.waitUntil(lambda: column.arranged)
    qtbot.wait(100)
    left = canvas.mapTo(window, canvas.rect().topLeft()).x()
    session = session_of(viewer)
    session.watch(finished_run)
    qtbot.waitUntil(lambda: not row.live_map.is_empty, timeout=60_000)
    qtbot.wait(200)
    assert canvas.mapTo(window, canvas.rect().topLeft()).x() == left  # napari's controls of the map move nothing.

    def share():
        return viewer.camera.zoom / min(canvas.width(), canvas.height())

    before, height = share(), canvas.height()
    row.fold.click()
    qtbot.waitUntil(lambda: abs(canvas.height() - height) > 50)
    assert share() == pytest.approx(before)
    row.fold.setChecked(False)
    qtbot.waitUntil(lambda: row.tabs.height() > 100)
    qtbot.wait(50)
    plots, height = row.tabs.height(), canvas.height()
    row.live_map.slices_button.click()
    qtbot.waitUntil(lambda: canvas.height() < height - 150)
    assert abs(row.tabs.height() - plots) < 5  # The canvas makes room for slices, not the plots.
    assert share() == pytest.approx(before)
    row.live_map.slices_button.click()
    qtbot.waitUntil(lambda: abs(canvas.height() - height) < 5)
    assert abs(row.tabs.height() - plots) < 5
    session.close()


def test_on_a_laptop_no_panel_scrolls_sideways(make_napari_viewer, qtbot, screen, finished_run):
    screen(False)
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1366, 768)
    menu_action(viewer, "cryoSPIN workspace").trigger()
    window, session = viewer.window._qt_window, session_of(viewer)
    session.watch(finished_run)
    qtbot.waitUntil(lambda: session.snapshot is not None and len(session.epochs) > 0, timeout=60_000)
    qtbot.waitUntil(lambda: window.findChild(BottomRow) is not None, timeout=60_000)  # It comes later.
    wide = []
    for tabs in (window.findChild(Workspace), window.findChild(BottomRow).tabs):
        for index in range(tabs.count()):
            tabs.setCurrentIndex(index)
            panel = tabs.panel(tabs.tabText(index))
            qtbot.waitUntil(lambda panel=panel: panel.isVisible(), timeout=10_000)
            qtbot.wait(300)  # What is read comes in another thread.
            if panel.scroll_area.horizontalScrollBar().maximum():
                wide.append(tabs.tabText(index))
    assert not wide
    session.close()


def test_the_plots_keep_their_height_when_a_run_comes_to_have_classes(make_napari_viewer, qtbot, screen, told_run):
    screen(False)
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1366, 768)
    row = open_workspace(viewer).window().findChild(BottomRow)
    row.fold.click()
    session = session_of(viewer)
    session.watch(told_run)
    qtbot.waitUntil(lambda: not row.live_map.is_empty and row.tabs.height() > 100, timeout=20_000)
    before, strip = row.tabs.height(), row.live_map.height()
    one = session.snapshot
    classes = {"class_number": np.ones(400), "class_probability": np.full((400, 2), 0.5)}
    particles = ParticleRecord(**{**one.particles.arrays, **classes})
    told_run.write_snapshot(dataclasses.replace(one, step=61, class_maps=(one.map, one.map), particles=particles))
    qtbot.waitUntil(row.live_map.classes.isVisible, timeout=20_000)
    qtbot.waitUntil(lambda: row.live_map.height() >= strip + row.live_map.extension)
    qtbot.waitUntil(lambda: row.tabs.height() >= before)
    row.fold.click()
    qtbot.waitUntil(lambda: row.tabs.height() < 50)
    row.fold.click()
    qtbot.waitUntil(lambda: row.tabs.height() >= before)
    session.close()


def test_a_closed_dock_comes_back_and_its_panel_goes(make_napari_viewer, qtbot, screen):
    screen(True)
    viewer = make_napari_viewer(show=True)
    panel = open_workspace(viewer).window().findChild(PosteriorPanel)
    with qtbot.waitSignal(panel.destroyed):
        viewer.window.remove_dock_widget(panel)
        assert len(docks(viewer)) == 2
        del panel
    open_workspace(viewer)
    assert len(docks(viewer)) == 3


def test_panels_of_one_viewer_share_a_session_though_each_gets_a_proxy(make_napari_viewer):
    viewer = make_napari_viewer()
    _, first = viewer.window.add_plugin_dock_widget("napari-cryospin", "Particles")
    session = first.session
    viewer.window.remove_dock_widget(first)
    del first
    assert session_of(viewer) is session
    assert reveal(viewer, "Particles").session is session
    assert session_of(make_napari_viewer()) is not session


def test_every_panel_is_a_dock_of_its_own_in_the_manifest():
    manifest = PluginManifest.from_distribution("napari-cryospin")
    names = {widget.display_name for widget in manifest.contributions.widgets}
    assert {"cryoSPIN workspace", *PANELS} <= names


@pytest.mark.parametrize("title", list(PANELS))
def test_a_panel_opens_alone_twice_and_in_2d(make_napari_viewer, title):
    viewer = make_napari_viewer(ndisplay=2)
    dock, panel = viewer.window.add_plugin_dock_widget("napari-cryospin", title)
    again, same = viewer.window.add_plugin_dock_widget("napari-cryospin", title)
    assert (dock, panel) == (again, same)


CODE = """
import sys
import napari
from qtpy.QtCore import QSettings
from qtpy.QtTest import QTest
QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, sys.argv[1])  # no recent runs to draw
viewer = napari.Viewer()
QTest.qWait(200)
before = set(sys.modules)
from napari_cryospin.widgets.panel_tabs import PANELS
from napari_cryospin.widgets.workspace import open_workspace
column = open_workspace(viewer)
print("opened:", *(set(sys.argv[2:]) & (set(sys.modules) - before)))
for title in ("Run", "Export"):
    column.setCurrentIndex(column.index_of(title))
for title in PANELS:
    viewer.window.add_plugin_dock_widget("napari-cryospin", title)
print("torch" in sys.modules)
viewer.close()
"""
SLOW_TO_IMPORT = ("torch", "pandas", "scipy.ndimage", "scipy.optimize", "skimage", "healpy", "imageio", "gemmi")
"""Modules that take from a quarter of a second to several seconds, of 2.5 s that napari itself takes to open.
napari's own camera imports scipy.spatial."""


def test_opening_imports_nothing_slow_and_no_panel_imports_torch(tmp_path):
    command = [sys.executable, "-c", CODE, tmp_path, *SLOW_TO_IMPORT]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    opened, torch = result.stdout.splitlines()[-2:]
    assert opened.strip() == "opened:"
    assert torch == "False"


def test_a_panel_that_is_open_is_found_again(make_napari_viewer):
    viewer = make_napari_viewer()
    reveal(viewer, "Particles")
    viewer.window.add_plugin_dock_widget("napari-cryospin", "Particles")
    assert isinstance(reveal(viewer, "Particles"), ParticlesPanel)


def test_every_panel_bears_that_the_folder_of_its_run_is_deleted(
    make_napari_viewer, qtbot, screen, finished_run, tmp_path
):
    screen(True)
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1600, 1000)
    copy = tmp_path / "copy"
    shutil.copytree(finished_run.path, copy)
    column, session = open_workspace(viewer), session_of(viewer)
    column.watch(copy)
    qtbot.waitUntil(lambda: session.snapshot is not None and len(session.epochs) > 1, timeout=60_000)
    shutil.rmtree(copy)
    qtbot.waitUntil(lambda: column.path.situation.standing == "lost", timeout=60_000)
    for tabs in (column, column.window().findChild(BottomRow).tabs):  # Most are made only now.
        for index in range(tabs.count()):
            tabs.setCurrentIndex(index)
            qtbot.wait(200)
    session.step_epoch(-1)
    session.step_particle(1)
    qtbot.wait(300)
    assert not copy.exists()
    assert column.foot.button.text() == "Wait for the folder"
    session.close()
