"""The step of the switch: gauges of a run as it goes on, the coloured button, and the map before and after."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_cryospin.runs.messages import Event, Status
from napari_cryospin.widgets.run.switch_box import switch_words
from napari_cryospin.widgets.session.session import session_of
from napari_cryospin.widgets.workspace import open_workspace

PATIENCE = 60_000  # ms


@pytest.fixture
def column(make_napari_viewer):
    viewer = make_napari_viewer(show=True)  # What is hidden is not drawn.
    column = open_workspace(viewer)
    yield column
    session_of(viewer).close()


def epoch(number, entropy, agreed):
    line = {"step": 3 * number, "epoch": number, "elapsed": 10.0 * number, "stage": "auto-encoding", "loss": 1.0}
    return {**line, "switch_entropy": entropy, "heads_agree": agreed, "epoch_ended": True}


def places(column):
    return [row.gauge.condition.met for row in column.panel("Switch").gauge.rows]


def test_gauges_follow_the_run_and_colour_the_button_when_it_is_time(column, qtbot, new_run, said):
    panel = column.show_panel("Switch")
    assert panel.is_empty
    status = {"state": "running", "epochs": 9}
    with new_run.driving():
        new_run.append_metrics(epoch(1, 2.0, 0.4))
        new_run.write_status(Status(**status, step=3, epoch=1, switch_reason="not yet: poses are uncertain"))
        column.panel("Run").control.attach(new_run.path)
        qtbot.waitUntil(lambda: not panel.is_empty and panel.gauge.isVisibleTo(panel), timeout=PATIENCE)
        assert places(column) == [False, False, None]
        assert "7.4 likely poses" in panel.gauge.rows[0].told.text()
        assert not column.foot.step.ready
        new_run.append_metrics(epoch(2, 0.1, 0.9))
        ready = Status(**status, step=6, epoch=2, switch_ready=True, switch_reason="ready: all")
        new_run.write_status(ready)
        qtbot.waitUntil(lambda: places(column) == [True, True, None], timeout=PATIENCE)
        qtbot.waitUntil(lambda: column.foot.step.ready, timeout=PATIENCE)
        assert "background-color: #3FB37F" in column.foot.button.styleSheet()
        assert sum("is ready to switch" in text for text in said) == 1
        qtbot.mouseClick(column.foot.button, Qt.MouseButton.LeftButton)
        (command,) = new_run.take_commands()
        assert command.kind == "switch"
    curves = {curve.name: curve for curve in panel.agreed.curves}
    np.testing.assert_allclose(curves["agree (%)"].y, [40, 90])
    assert not panel.agreed.marks


def test_the_map_before_and_after_stand_side_by_side_on_request(column, qtbot, told_run, said):
    told_run.append_event(Event(kind="switched", step=40, detail={"epoch": 4, "reason": "by hand"}))
    panel = column.show_panel("Switch")
    column.panel("Run").control.attach(told_run.path)
    qtbot.waitUntil(lambda: panel.control.switched is not None and bool(panel.session.epochs), timeout=PATIENCE)
    assert panel.around is None  # It takes a while, and nobody has asked.
    qtbot.mouseClick(panel.compare.title, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "epoch 4" in panel.before.caption.text(), timeout=PATIENCE)
    assert panel.after.caption.text() == "after: epoch 6"
    assert panel.before.isVisibleTo(panel)
    assert panel.box.advice.text() == "Switched after epoch 4, by hand."


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("after 16 epochs", "as it was planned"),
        ("automatic: ready: poses are sharp", "by itself, as it was ready: poses are sharp"),
        ("by hand", "by hand"),
    ],
)
def test_why_a_run_switched_is_said_once(reason, words):
    switched = Event(kind="switched", step=9, detail={"epoch": 16, "reason": reason})
    assert switch_words(switched) == f"Switched after epoch 16, {words}."


def test_a_run_that_has_not_switched_has_nothing_to_compare(column, qtbot, new_run):
    panel = column.show_panel("Switch")
    column.panel("Run").control.attach(new_run.path)
    qtbot.waitUntil(lambda: not panel.is_empty, timeout=PATIENCE)
    panel.compare.set_open(True)
    assert "has not switched yet" in panel.missing.text()
    assert panel.before.isHidden()


def test_a_finished_run_shows_how_it_became_ready(column, qtbot, finished_run):
    panel = column.show_panel("Switch")
    column.panel("Run").control.attach(finished_run.path)
    qtbot.waitUntil(lambda: column.path.situation.standing == "finished", timeout=PATIENCE)
    panel.compare.set_open(True)
    qtbot.waitUntil(lambda: panel.after.caption.text().startswith("after: epoch 4"), timeout=PATIENCE)
    image = panel.after.picture.pixmap().toImage()
    assert image.width() == image.height() > 100
    assert "after epoch 2" in panel.box.advice.text()
