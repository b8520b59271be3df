"""The row of classes in the live-map panel of a real viewer: what is shown of each, and what clicks and keys do."""

import dataclasses
import json

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractButton, QMessageBox

from napari_cryospin.io.mrc import write_map
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import Event, Status
from napari_cryospin.runs.results import PARTICLES_FILE, ResultsRecord, class_folder
from napari_cryospin.runs.snapshot import Snapshot
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import Settings
from napari_cryospin.widgets.live_map.class_commands import CHANGED_MEANWHILE, NOT_WITH_HALVES
from napari_cryospin.widgets.live_map.panel import LiveMapPanel
from napari_cryospin.widgets.session.session import session_of
from support.records import epoch_record, particle_record

PATIENCE = 120_000  # ms: a busy machine
BOX = 24
LEFT = Qt.MouseButton.LeftButton


def blob(place):
    """A map with a blob at a place (x, y, z), voxels from the centre."""
    z, y, x = np.indices((BOX,) * 3) - BOX // 2
    return np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2 + (z - place[2]) ** 2) / 8).astype(np.float32)


MAPS = tuple(blob(place) for place in ((6, 0, 0), (0, 6, 0), (-6, 0, 3)))
PROBABILITY = np.array([[0.9, 0.06, 0.04]] * 5 + [[0.1, 0.8, 0.1]] * 3 + [[0.0, 0.1, 0.9]] * 2, np.float32)


def record(classes, halves=0):
    """Ten particles in so many classes."""
    chosen = PROBABILITY[:, :classes] + 1e-6
    chosen /= chosen.sum(1, keepdims=True)
    sets = np.arange(10) % 2 + 1 if halves else np.zeros(10)
    known = {"class_number": chosen.argmax(1) + 1, "class_probability": chosen} if classes > 1 else {}
    return particle_record(10, half_sets=sets, **known)


def snapshot(step, classes=3, halves=()):
    maps = MAPS[:classes] if classes > 1 else ()
    if halves:
        maps = tuple(one for each in maps for one in (each, each[::-1]))
    return Snapshot(
        step=step, epoch=2, stage="auto-decoding", map=MAPS[0], half_maps=halves, class_maps=maps, pixel_size=4.0,
        band=6, noise=np.ones((2 if halves else 1, 12)), max_shift=0.0, head_share=np.ones(2) / 2, loss=1.0,
        resolution=12.3, switch_ready=False, switch_reason="", particles=record(classes, len(halves)),
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder.create(tmp_path / "run", RunInput(particles=tmp_path / "p.star"), Settings())
    folder.write_history(epoch_record(1, record(1), map=MAPS[0], pixel_size=4.0))
    folder.write_status(Status(state="running", stage="auto-decoding", step=1, epoch=2))
    folder.write_snapshot(snapshot(1))
    return folder


@pytest.fixture
def panel(viewer, folder, qtbot):
    """The panel on a run with three classes."""
    panel = LiveMapPanel(viewer)
    viewer.window.add_dock_widget(panel, area="bottom")
    viewer.window._qt_window.show()
    session_of(viewer).watch(folder)
    qtbot.waitUntil(lambda: len(panel.classes.shown) == 3, timeout=PATIENCE)
    return panel


@pytest.fixture
def answers(monkeypatch):
    """What the user is asked, and answers: the last of `give`, which may be a function."""
    asked, give = [], [QMessageBox.StandardButton.Yes]

    def ask(parent, title, text, *others):
        asked.append(text)
        return give[-1]() if callable(give[-1]) else give[-1]

    monkeypatch.setattr(QMessageBox, "question", ask)
    return asked, give


def texts(panel):
    return [one.text().split("\n") for one in panel.classes.buttons if not one.isHidden()]


def sent(folder):
    return [(command.kind, *command.arguments) for command in folder.take_commands()]


def shows(panel, density):
    return panel.live.picture is not None and np.array_equal(panel.live.picture.density, density)


def test_each_class_has_its_picture_share_and_resolution(panel):
    row = panel.classes
    assert row.isVisible()
    assert texts(panel) == [["Class 1", "48 %", "12.3 Å"], ["Class 2", "29 %"], ["Class 3", "23 %"]]
    sides = [np.sign(seen_centre(one)).astype(int).tolist() for one in row.buttons]
    assert sides == [[1, 0], [0, 1], [-1, 0]]  # right, up, left, as the blobs of the maps lie
    for place, one in enumerate(row.buttons):
        assert f"Class {place + 1}: {[5, 3, 2][place]} particles" in one.toolTip()


def seen_centre(button):
    """Where the bright part of a button's picture lies, in whole fifths of its side (right, up) from the middle."""
    image = button.icon().pixmap(44, 44).toImage()
    light = np.array([[image.pixelColor(x, y).lightness() for x in range(44)] for y in range(44)]) / 255
    rows, columns = np.indices(light.shape) - 21.5
    weights = light**2 / (light**2).sum()
    return np.fix(np.array([(columns * weights).sum(), -(rows * weights).sum()]) / 8.8)


def test_a_click_with_ctrl_or_the_menu_selects_the_particles_of_a_class(panel, qtbot):
    selection, buttons = panel.session.selection, panel.classes.buttons
    number_before = panel.live.display.class_number
    qtbot.mouseClick(buttons[1], LEFT, Qt.KeyboardModifier.ControlModifier)
    np.testing.assert_array_equal(selection.rows, [5, 6, 7])
    assert selection.origin == "class 2"
    assert panel.live.display.class_number == number_before  # only a click without Ctrl changes the map
    assert not buttons[1].isChecked()
    (action,) = buttons[2].actions()
    action.trigger()
    np.testing.assert_array_equal(selection.rows, [8, 9])


def test_a_click_or_a_key_brings_a_class_to_the_canvas(panel, qtbot):
    assert shows(panel, MAPS[0])
    assert "class 1 of 3" in panel.caption.text()
    assert "12.3" not in panel.caption.text()  # of the largest class, which need not be the one that is shown
    qtbot.mouseClick(panel.classes.buttons[1], LEFT)
    qtbot.waitUntil(lambda: shows(panel, MAPS[1]), timeout=PATIENCE)
    assert panel.live.display.class_number == 2
    assert "class 2 of 3" in panel.caption.text()
    third = panel.classes.buttons[2]
    assert third.focusPolicy() & Qt.FocusPolicy.TabFocus
    third.setFocus()
    qtbot.keyClick(third, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: shows(panel, MAPS[2]), timeout=PATIENCE)
    assert [one.isChecked() for one in panel.classes.buttons] == [False, False, True]


def test_new_snapshots_are_followed_and_one_class_needs_no_row(panel, qtbot, folder):
    qtbot.mouseClick(panel.classes.buttons[2], LEFT)
    folder.write_snapshot(snapshot(2, classes=2))  # The third was given up.
    qtbot.waitUntil(lambda: len(panel.classes.shown) == 2, timeout=PATIENCE)
    assert [text[1] for text in texts(panel)] == ["50 %", "50 %"]
    assert [one.isChecked() for one in panel.classes.buttons[:2]] == [False, True]
    assert "class 2 of 2" in panel.caption.text()
    folder.write_snapshot(snapshot(3, classes=1))
    qtbot.waitUntil(lambda: not panel.classes.isVisible(), timeout=PATIENCE)
    assert "class" not in panel.caption.text()
    assert "12.3 Å" in panel.caption.text()


def test_an_epoch_before_the_switch_has_one_class_and_no_commands(panel, qtbot):
    assert panel.classes.commands.isVisible()
    panel.session.show_epoch(1)
    qtbot.waitUntil(lambda: not panel.classes.isVisible(), timeout=PATIENCE)
    panel.session.show_epoch(None)
    qtbot.waitUntil(panel.classes.commands.isVisible, timeout=PATIENCE)


def test_every_control_has_a_tooltip(panel):
    controls = [one for one in panel.classes.findChildren(QAbstractButton) if not one.isHidden()]
    assert len(controls) == 5
    assert all(one.toolTip() for one in controls)


def test_a_class_is_dropped_after_a_question(panel, qtbot, folder, answers):
    asked, give = answers
    commands = panel.classes.commands
    qtbot.mouseClick(panel.classes.buttons[1], LEFT)
    qtbot.waitUntil(lambda: commands.number == 2, timeout=PATIENCE)
    give.append(QMessageBox.StandardButton.No)
    qtbot.mouseClick(commands.drop, LEFT)
    assert asked[-1].startswith("Drop class 2 of 3?\n\nIts 3 particles (29 %)")
    assert sent(folder) == []
    give.append(QMessageBox.StandardButton.Yes)
    qtbot.mouseClick(commands.drop, LEFT)
    assert commands.drop.text() == "Drop requested..."
    assert not commands.merge.isEnabled()
    (command,) = folder.take_commands()
    assert (command.kind, list(command.arguments)) == ("drop-class", ["2"])
    detail = {"command": command.kind, "id": command.id, "reason": "there is only one class"}
    folder.append_event(Event(kind="refused", step=2, detail=detail))
    qtbot.waitUntil(commands.message.isVisible, timeout=PATIENCE)
    assert commands.message.text() == "drop-class was refused: there is only one class"
    assert commands.drop.isEnabled()


def test_two_classes_are_merged_after_a_question(panel, qtbot, folder, answers):
    asked, _ = answers
    commands = panel.classes.commands
    qtbot.mouseClick(panel.classes.buttons[2], LEFT)
    qtbot.waitUntil(lambda: commands.number == 3, timeout=PATIENCE)
    assert [action.text() for action in commands.others.actions()] == ["Class 1 (48 %)", "Class 2 (29 %)"]
    commands.others.actions()[1].trigger()
    assert asked[-1].startswith("Merge classes 2 (29 %) and 3 (23 %)?")
    assert sent(folder) == [("merge-classes", "2", "3")]
    assert panel.live.display.class_number == 2  # which the merged class will be


def test_numbers_that_changed_during_the_question_are_not_sent(panel, qtbot, folder, answers):
    _, give = answers

    def classes_change():
        folder.write_snapshot(snapshot(2, classes=2))
        qtbot.waitUntil(lambda: len(panel.classes.shown) == 2, timeout=PATIENCE)
        return QMessageBox.StandardButton.Yes

    give.append(classes_change)
    qtbot.mouseClick(panel.classes.commands.drop, LEFT)
    assert sent(folder) == []
    assert panel.classes.commands.message.text() == CHANGED_MEANWHILE


def test_each_half_set_has_its_own_classes(panel, qtbot, folder):
    folder.write_snapshot(snapshot(2, classes=2, halves=(MAPS[0], MAPS[0][::-1])))
    qtbot.waitUntil(lambda: len(panel.classes.shown) == 2, timeout=PATIENCE)
    first = [one.count for one in panel.classes.shown]
    assert first == [int(np.sum(record(2, 2).of_half(1).class_number == number)) for number in (1, 2)]
    assert all(len(text) == 2 for text in texts(panel))  # The resolution is that of all classes together.
    assert "of half 1, which numbers its classes by itself" in panel.classes.buttons[0].toolTip()
    assert not panel.classes.commands.drop.isEnabled()
    assert panel.classes.commands.drop.toolTip() == NOT_WITH_HALVES
    panel.live.set_display(half=2)
    qtbot.waitUntil(lambda: panel.classes.shown[0].half == 2, timeout=PATIENCE)
    assert sum(one.count for one in panel.classes.shown) == 5


def test_buttons_wrap_where_the_panel_is_narrow(panel, qtbot, folder):
    row = panel.classes

    def place():
        return row.grid.getItemPosition(row.grid.indexOf(row.buttons[2]))[:2]

    row.resize(900, row.height())
    qtbot.waitUntil(lambda: place() == (0, 2), timeout=PATIENCE)
    row.resize(row.buttons[0].sizeHint().width() + row.commands.sizeHint().width() + 10, row.height())
    assert place() == (0, 2)  # Items are not replaced while Qt resizes the row, which would end the program.
    row._soon.timeout.emit()
    assert place() == (2, 0)


@pytest.fixture
def run_of_two(tiny_particles, tiny_settings, tmp_path):
    """A run with two classes from the second epoch on, which lasts."""
    settings = dataclasses.replace(
        tiny_settings,
        volume=dataclasses.replace(tiny_settings.volume, classes=2),
        schedule=dataclasses.replace(tiny_settings.schedule, epochs=400, decoding_epochs=398, switch=1),
    )
    return RunFolder.create(tmp_path / "two", RunInput(particles=tiny_particles.particles), settings)


def test_a_real_run_is_told_by_a_click(viewer, qtbot, run_of_two, answers):
    panel = LiveMapPanel(viewer)
    viewer.window.add_dock_widget(panel, area="bottom")
    viewer.window._qt_window.show()
    session = panel.session
    session.start(run_of_two)
    drop = panel.classes.commands.drop
    qtbot.waitUntil(lambda: drop.isVisible() and drop.isEnabled(), timeout=PATIENCE)
    qtbot.mouseClick(drop, LEFT)
    qtbot.waitUntil(lambda: any(one.detail.get("change") == "dropped" for one in session.events), timeout=PATIENCE)
    qtbot.waitUntil(lambda: not panel.classes.isVisible(), timeout=PATIENCE)
    assert session.snapshot.classes == 1


def write_results(folder, epoch):
    """Write of the results of a run what the row reads: classes with 11, 12 and 13 A, made after an epoch."""
    for number, density in enumerate(MAPS, start=1):
        place = class_folder(folder.results_path, number)
        place.mkdir(parents=True, exist_ok=True)
        write_map(place / "map.mrc", density, 4.0)
        (place / "postprocess.json").write_text(json.dumps({"resolution_angstrom": 10.0 + number}))
    ResultsRecord(epoch=epoch, stage="auto-decoding", particles=record(3)).save(folder.results_path / PARTICLES_FILE)


def test_a_run_that_ended_has_the_resolution_of_each_class_and_no_commands(panel, qtbot, folder):
    write_results(folder, epoch=2)
    folder.write_status(Status(state="finished", stage="auto-decoding", step=1, epoch=2))
    qtbot.waitUntil(
        lambda: [text[2:] for text in texts(panel)] == [["11.0 Å"], ["12.0 Å"], ["13.0 Å"]], timeout=PATIENCE
    )
    assert not panel.classes.commands.isVisible()


def test_results_of_an_earlier_stop_are_not_those_of_this_map(panel, qtbot, folder):
    write_results(folder, epoch=1)
    folder.write_status(Status(state="stopped", stage="auto-decoding", step=1, epoch=2))
    qtbot.waitUntil(lambda: not panel.classes.commands.isVisible(), timeout=PATIENCE)
    qtbot.wait(300)
    assert [text[2:] for text in texts(panel)] == [["12.3 Å"], [], []]
