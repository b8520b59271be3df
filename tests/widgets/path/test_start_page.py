"""The page over the empty canvas: its cards and the last runs, with real clicks; it goes when there is a map."""

import json
import shutil

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QToolButton

from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import Settings
from napari_cryospin.views.run_glance import run_glance
from napari_cryospin.widgets.kit.preferences import recall_choice, remember_choice
from napari_cryospin.widgets.path.recent import MOST_RECENT, recent_runs, remember_run
from napari_cryospin.widgets.path.start_page import StartPage
from napari_cryospin.widgets.session.session import session_of
from napari_cryospin.widgets.workspace import open_workspace

PATIENCE = 60_000  # ms


@pytest.fixture
def opened(make_napari_viewer, qtbot):
    """Opens the workspace, and returns it with the page over the canvas."""

    def open_it():
        viewer = make_napari_viewer(show=True)
        viewer.window.resize(1366, 768)
        column = open_workspace(viewer)
        page = viewer.window._qt_window.findChild(StartPage)
        qtbot.waitUntil(page.isVisible)
        return column, page

    return open_it


def run_buttons(page):
    return [widget for widget in page.findChildren(QToolButton) if widget.text()]


def test_the_page_covers_the_canvas_and_each_card_begins(opened, qtbot, tiny_particles, finished_run, monkeypatch):
    column, page = opened()
    session = session_of(column.viewer)
    assert page.geometry() == page.parentWidget().rect()
    for card in page.cards.values():
        assert card.visibleRegion().boundingRect() == card.rect()
    chosen = ([str(tiny_particles.particles)], "")
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: chosen)
    qtbot.mouseClick(page.cards["particles"], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: session.particles is not None, timeout=PATIENCE)
    assert column.shown == "Particles"
    assert "60 particles of tiny.star are open" in page.message.text()
    assert page.beginnings.isHidden()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(finished_run.path))
    page.cards["run"].click()
    qtbot.waitUntil(lambda: session.snapshot is not None, timeout=PATIENCE)
    qtbot.waitUntil(page.isHidden, timeout=PATIENCE)
    column.viewer.layers.clear()
    qtbot.wait(50)
    assert page.isHidden()  # The map comes back by itself.
    session.close()


def test_a_sample_is_one_click_away(opened, qtbot):
    column, page = opened()
    menu = page.cards["sample"].menu()
    assert [action.data() for action in menu.actions()] == ["spliceosome", "spike", "hsp90"]
    menu.actions()[0].trigger()
    session = session_of(column.viewer)
    qtbot.waitUntil(lambda: session.particles is not None, timeout=PATIENCE)
    assert session.truth is not None
    session.close()


def test_the_last_runs_are_pictures_that_open_them(opened, qtbot, finished_run, tmp_path):
    gone = tmp_path / "gone"
    shutil.copytree(finished_run.path, gone)
    remember_run(finished_run.path)
    remember_run(gone)
    shutil.rmtree(gone)
    column, page = opened()
    qtbot.waitUntil(lambda: bool(run_buttons(page)), timeout=PATIENCE)
    (one,) = run_buttons(page)
    assert one.text().startswith("run\n")
    assert "not determined" in one.text()
    assert not one.icon().isNull()
    qtbot.waitUntil(one.isVisible)
    qtbot.mouseClick(one, Qt.MouseButton.LeftButton)
    session = session_of(column.viewer)
    qtbot.waitUntil(lambda: session.particles is not None, timeout=PATIENCE)  # It brings them.
    assert session.folder.path == finished_run.path
    assert column.shown == "Run"
    session.close()


def test_a_note_is_kept_in_the_folder_and_shown_among_the_recent_runs(opened, qtbot, told_run, tmp_path):
    remember_run(tmp_path / "gone")
    column, _ = opened()
    session = session_of(column.viewer)
    column.watch(told_run.path)
    qtbot.waitUntil(lambda: session.snapshot is not None, timeout=PATIENCE)
    state = column.panel("Run").state
    state.note.setFocus()
    qtbot.keyClicks(state.note, "seed 3, larger mask")
    qtbot.keyClick(state.note, Qt.Key.Key_Return)
    assert told_run.note == "seed 3, larger mask"
    assert run_glance(told_run.path, 40).note == "seed 3, larger mask"
    column.recent.aboutToShow.emit()
    (action,) = column.recent.actions()
    assert action.text() == "told: running, epoch 6, seed 3, larger mask"
    other = RunFolder.create(tmp_path / "other", told_run.source, Settings())
    column.watch(other.path)
    assert state.note.text() == ""
    column.recent.aboutToShow.emit()
    assert [one.data() for one in column.recent.actions()] == [other.path, told_run.path]
    column.recent.actions()[1].trigger()
    assert session.folder.path == told_run.path
    assert state.note.text() == "seed 3, larger mask"
    state.note.clear()
    qtbot.keyClick(state.note, Qt.Key.Key_Return)
    assert not (told_run.path / "note.txt").exists()
    session.close()


def test_layers_of_the_user_are_never_covered(opened, qtbot):
    column, page = opened()
    layer = column.viewer.add_points([[1, 2]])
    qtbot.waitUntil(page.isHidden)
    column.viewer.layers.remove(layer)
    qtbot.waitUntil(page.isVisible)
    column.viewer.window.resize(1500, 900)
    qtbot.waitUntil(lambda: page.geometry() == page.parentWidget().rect())


def test_a_run_whose_particles_are_gone_is_shown_all_the_same(opened, qtbot, told_run, said):
    column, page = opened()
    column.watch(told_run.path)
    session = session_of(column.viewer)
    qtbot.waitUntil(lambda: any("cannot be opened, but it can be looked at" in text for text in said), timeout=PATIENCE)
    assert session.folder.path == told_run.path
    qtbot.waitUntil(page.isHidden, timeout=PATIENCE)
    session.close()


def test_runs_are_remembered_once_the_newest_first(tmp_path):
    for number in (*range(MOST_RECENT + 2), 3):
        remember_run(tmp_path / str(number))
    names = [path.name for path in recent_runs()]
    assert names[:2] == ["3", str(MOST_RECENT + 1)]
    assert len(names) == len(set(names)) == MOST_RECENT
    for damaged in ("{", json.dumps({"a": 1}), json.dumps([1, 2])):
        remember_choice("recent runs", damaged)
        assert recent_runs() == []
    assert recall_choice("recent runs")


def test_a_run_at_a_glance(tmp_path, finished_run, told_run):
    assert run_glance(finished_run.path, 40).picture.shape == (40, 40, 4)
    assert run_glance(told_run.path, 40).state == "running, epoch 6"
    new = RunFolder.create(tmp_path / "begun", RunInput(particles=tmp_path / "p.star"), Settings())
    assert run_glance(new.path, 40).picture is None
    assert run_glance(tmp_path, 40) is None
