"""Keys, their menu, explanations, the title of the window and the activity bar."""

from dataclasses import replace

import pytest
from napari.utils import progress
from npe2 import PluginManifest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QFileDialog, QLineEdit, QMessageBox

from napari_cryospin.runs.messages import Status
from napari_cryospin.settings import DEFAULT_PRESET
from napari_cryospin.widgets.bottom_row import BottomRow
from napari_cryospin.widgets.contributions import commands
from napari_cryospin.widgets.kit.preferences import recall_choice, recall_settings, remember_choice
from napari_cryospin.widgets.kit.settings_form import window_preset
from napari_cryospin.widgets.panel_tabs import PANELS
from napari_cryospin.widgets.path.explanations import EXPLANATIONS
from napari_cryospin.widgets.path.shortcuts import Shortcuts
from napari_cryospin.widgets.session.session import session_of
from napari_cryospin.widgets.workspace import open_workspace

PATIENCE = 60_000  # ms
RUNNING = Status(state="running", step=5, epoch=2, epochs=9, progress=0.3, switch_reason="not yet: heads still learn")


@pytest.fixture
def column(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    column = open_workspace(viewer)
    QApplication.setActiveWindow(column.window())  # The virtual screen has no window manager that would do so.
    qtbot.waitUntil(lambda: column.arranged)
    yield column
    session_of(viewer).close()


@pytest.fixture
def running(column, qtbot, new_run):
    """The column with a run that goes on elsewhere."""
    with new_run.driving():
        new_run.write_status(RUNNING)
        column.watch(new_run.path)
        qtbot.waitUntil(lambda: column.path.situation.standing == "running", timeout=PATIENCE)
        yield new_run


def kinds(run):
    return [command.kind for command in run.take_commands()]


def test_space_pauses_and_s_switches_after_a_question(column, qtbot, running, monkeypatch):
    panel = column.panel("Run")
    place = panel.state.rows["stage"]
    place.setFocus()
    qtbot.keyClick(place, Qt.Key.Key_Space)
    assert kinds(running) == ["pause"]
    asked = []

    def question(_, title, text):
        asked.append(text)
        return QMessageBox.StandardButton.No if len(asked) == 1 else QMessageBox.StandardButton.Yes

    monkeypatch.setattr(QMessageBox, "question", question)
    for expected in ([], ["switch"]):
        qtbot.keyClick(place, Qt.Key.Key_S)
        assert kinds(running) == expected
    assert "heads still learn" in asked[0]


def test_a_key_is_left_to_what_has_a_use_for_it(column, qtbot, running):
    panel = column.panel("Run")
    panel.stop.setFocus()
    qtbot.keyClick(panel.stop, Qt.Key.Key_Space)
    assert kinds(running) == ["stop"]
    panel.folded.set_open(True)
    panel.setup.folder.setFocus()
    panel.setup.folder.setText("")
    qtbot.keyClicks(panel.setup.folder, "s s")
    assert panel.setup.folder.text() == "s s"
    assert kinds(running) == []


def test_arrows_go_through_epochs_and_particles(column, qtbot, told_run):
    session = session_of(column.viewer)
    column.watch(told_run.path)
    qtbot.waitUntil(lambda: session.epochs == tuple(range(1, 7)) and session.snapshot is not None, timeout=PATIENCE)
    place = column.panel("Run").state.rows["stage"]
    place.setFocus()

    def press(key):
        qtbot.keyClick(place, key)
        return session.shown_epoch, session.particle

    assert press(Qt.Key.Key_Left)[0] == 6
    assert press(Qt.Key.Key_Left)[0] == 5
    assert press(Qt.Key.Key_Right)[0] == 6
    assert press(Qt.Key.Key_Right)[0] is None  # It follows the run again.
    session.choose_particle(1003)
    assert press(Qt.Key.Key_Down)[1] == 1004
    assert press(Qt.Key.Key_Up)[1] == 1003
    session.choose_particle(1000)
    assert press(Qt.Key.Key_Up)[1] == 1000  # There is none before.


def canvas_of(viewer):
    return viewer.window._qt_viewer.canvas.native


def test_keys_act_on_the_canvas_too(column, qtbot, running, monkeypatch):
    viewer = column.viewer.__wrapped__
    asked = []
    monkeypatch.setattr(QMessageBox, "question", lambda _, title, text: asked.append(title))
    for place in (canvas_of(viewer), viewer.window._qt_window):
        place.setFocus()
        qtbot.keyClick(place, Qt.Key.Key_Space)
        assert kinds(running) == ["pause"]
        column.path.control.requests.unanswered.clear()
        qtbot.keyClick(place, Qt.Key.Key_S)
        assert asked.pop() == "Switch to auto-decoding"
    qtbot.keyClick(canvas_of(viewer), Qt.Key.Key_F1)
    (box,) = column.findChildren(QMessageBox)
    box.close()


def test_arrows_on_the_canvas_belong_to_the_run_in_3d_and_to_napari_in_2d(column, qtbot, told_run):
    viewer, session = column.viewer.__wrapped__, session_of(column.viewer)
    column.watch(told_run.path)
    qtbot.waitUntil(lambda: len(session.epochs) == 6 and len(viewer.layers) == 1, timeout=PATIENCE)
    canvas = canvas_of(viewer)
    qtbot.keyClick(canvas, Qt.Key.Key_Left)
    assert session.shown_epoch == 6
    session.choose_particle(1003)
    qtbot.keyClick(canvas, Qt.Key.Key_Down)
    assert session.particle == 1004
    viewer.dims.ndisplay = 2
    qtbot.waitUntil(lambda: viewer.dims.nsteps[0] > 3, timeout=PATIENCE)
    before = viewer.dims.current_step[0]
    qtbot.keyClick(canvas, Qt.Key.Key_Left)
    assert viewer.dims.current_step[0] == before - 1
    assert session.shown_epoch == 6


def test_layers_of_the_user_keep_their_keys(column, qtbot, running, monkeypatch):
    viewer, asked = column.viewer.__wrapped__, []
    monkeypatch.setattr(QMessageBox, "question", lambda *_: asked.append(1))
    points = viewer.add_points([[1, 2]])
    points.mode = "add"
    canvas = canvas_of(viewer)
    qtbot.keyPress(canvas, Qt.Key.Key_Space)
    assert points.mode == "pan_zoom"  # as long as the key is held
    qtbot.keyRelease(canvas, Qt.Key.Key_Space)
    assert points.mode == "add"
    qtbot.keyClick(canvas, Qt.Key.Key_S)
    assert points.mode == "select"
    assert (kinds(running), asked) == ([], [])
    viewer.layers.remove(points)
    qtbot.keyClick(canvas, Qt.Key.Key_Space)
    assert kinds(running) == ["pause"]


def test_text_fields_anywhere_keep_their_keys(column, qtbot, running):
    field = QLineEdit()
    column.viewer.window.add_dock_widget(field)
    field.setFocus()
    qtbot.keyClicks(field, "s s")
    assert field.text() == "s s"
    assert kinds(running) == []


def test_a_workspace_that_is_gone_leaves_all_keys_to_napari(column, qtbot, running):
    viewer = column.viewer.__wrapped__
    assert len(viewer.keymap) == 7
    with qtbot.waitSignal(column.destroyed):
        viewer.window.remove_dock_widget(column)
        column.deleteLater()
    assert not viewer.keymap


def test_the_menu_lists_every_key_and_does_what_it_says(column, running):
    actions = column.menu.menu().actions()
    keys = [action.text().partition("\t")[2] for action in actions]
    assert [key for key in keys if key] == ["Space", "S", "Left", "Right", "Up", "Down", "F1"]
    next(action for action in actions if action.text().endswith("Space")).trigger()
    assert kinds(running) == ["pause"]


def in_palette(viewer, qtbot, words):
    """Find a command in napari's palette by some words, and press Enter."""
    viewer.window._toggle_command_palette()
    palette = viewer.window._qt_window._command_palette
    qtbot.keyClicks(palette._line, words)
    qtbot.keyClick(palette._line, Qt.Key.Key_Return)


def test_commands_are_found_in_naparis_palette(column, qtbot, running, monkeypatch, said):
    viewer = column.viewer.__wrapped__
    in_palette(viewer, qtbot, "pause or resume the reconstruction")
    assert kinds(running) == ["pause"]
    in_palette(viewer, qtbot, "stop the reconstruction")
    assert kinds(running) == ["stop"]
    in_palette(viewer, qtbot, "start a reconstruction")
    assert "A run goes on" in said[-1]
    in_palette(viewer, qtbot, "export the reconstruction")
    assert column.shown == "Export"
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")
    in_palette(viewer, qtbot, "watch a reconstruction")
    assert column.shown == "Run"


def test_every_command_of_the_manifest_is_one_of_the_workspace(column, monkeypatch):
    asked = []
    monkeypatch.setattr(Shortcuts, "act", lambda _, name: asked.append(name))
    functions = [value for value in vars(commands).values() if callable(value) and not value.__name__.startswith("_")]
    for function in functions:
        function()
    assert len(asked) == len(set(asked)) == 8
    assert {*asked} <= {command.name for command in column.shortcuts.commands}
    manifest = PluginManifest.from_distribution("napari-cryospin")
    named = {one.python_name for one in manifest.contributions.commands}
    assert {f"{commands.__name__}:{function.__name__}" for function in functions} <= named


def test_settings_are_reset_after_a_question(column, qtbot, monkeypatch):
    session = session_of(column.viewer)
    session.set_settings(replace(session.settings, encoder=replace(session.settings.encoder, heads=3)))
    remember_choice("place", "process")
    answers = [QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes]
    monkeypatch.setattr(QMessageBox, "question", lambda *_: answers.pop(0))
    reset = next(action for action in column.menu.menu().actions() if action.text().startswith("Reset"))
    reset.trigger()
    assert session.settings.encoder.heads == 3
    reset.trigger()
    assert session.settings == window_preset(DEFAULT_PRESET)
    assert recall_choice("place") == ""
    assert recall_settings() == session.settings


def test_every_panel_explains_its_marks(column, qtbot):
    assert {*PANELS} - {*EXPLANATIONS} == {"Live map"}  # It is no panel of a tab: its controls have tooltips.
    for title in ("Switch", "Result"):
        column.show_panel(title)
        qtbot.mouseClick(column.explain, Qt.MouseButton.LeftButton)
        (box,) = column.findChildren(QMessageBox)
        assert title in box.windowTitle()
        assert not box.isModal()
        with qtbot.waitSignal(box.destroyed):
            box.close()
    row = column.window().findChild(BottomRow)
    row.fold.setChecked(False)
    row.tabs.setCurrentIndex(row.tabs.index_of("Heads"))
    qtbot.mouseClick(row.explain, Qt.MouseButton.LeftButton)
    (box,) = row.findChildren(QMessageBox)
    assert "best of the heads" in box.text()
    box.close()


def test_title_and_activity_bar_follow_the_run(column, qtbot, running):
    viewer, plain = column.viewer, column.signs.plain_title
    assert viewer.title == f"new, epoch 2 of 9 - {plain}"
    qtbot.waitUntil(lambda: len(progress._all_instances) == 1, timeout=PATIENCE)
    (bar,) = progress._all_instances
    assert (bar.n, bar.total) == (300, 1000)
    assert "new: auto-encoding" in bar.desc
    running.write_status(replace(RUNNING, step=9, epoch=4, progress=0.5))
    qtbot.waitUntil(lambda: "epoch 4" in viewer.title, timeout=PATIENCE)
    qtbot.waitUntil(lambda: bar.n == 500, timeout=PATIENCE)
    running.write_status(replace(RUNNING, state="finished", epoch=9, progress=1.0))
    qtbot.waitUntil(lambda: not progress._all_instances, timeout=PATIENCE)


def test_news_that_come_while_the_bar_moves_do_not_move_it_from_within(column, qtbot, running, monkeypatch):
    session, depth = session_of(column.viewer), []

    def move(self, by):  # as napari's, which handles events meanwhile, and with them the next news
        depth.append(len(depth) - depth.count(0))
        if len(depth) < 50:
            session.status_changed.emit(replace(RUNNING, progress=0.01 * len(depth)))
            column.signs.move_bar()
        depth.append(0)

    monkeypatch.setattr(progress, "update", move)
    column.signs.move_bar()
    assert len(depth) == 2


def test_a_workspace_that_is_opened_again_shows_no_second_bar(column, qtbot, running):
    viewer = column.viewer
    with qtbot.waitSignal(column.destroyed):
        viewer.window.remove_dock_widget(column)
        column.deleteLater()
    assert open_workspace(viewer).signs is not None
    qtbot.waitUntil(lambda: len(progress._all_instances) == 1, timeout=PATIENCE)
