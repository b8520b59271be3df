"""The path as a user goes it: the button at the foot from an empty window to the result, with real clicks."""

from dataclasses import replace

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QMessageBox

from napari_cryospin.runs.messages import Status
from napari_cryospin.widgets import bottom_row
from napari_cryospin.widgets import workspace as workspace_module
from napari_cryospin.widgets.session.session import session_of
from napari_cryospin.widgets.workspace import open_workspace

PATIENCE = 60_000  # ms


@pytest.fixture
def column(viewer, monkeypatch):
    for module in (workspace_module, bottom_row):
        monkeypatch.setattr(module, "is_large", lambda widget: False)
    column = open_workspace(viewer)
    yield column
    session_of(viewer).close()


def press(qtbot, column):
    assert column.foot.button.isEnabled(), column.foot.button.text()
    qtbot.mouseClick(column.foot.button, Qt.MouseButton.LeftButton)


def lit(column):
    return column.bar.marks.present


def done(column):
    return set(column.bar.marks.done)


def test_from_nothing_to_the_result_by_the_button_at_the_foot(
    column, qtbot, tiny_particles, tiny_settings, monkeypatch
):
    session = session_of(column.viewer)
    session.set_settings(tiny_settings)
    column.show_panel("Export")
    assert (lit(column), done(column)) == ("Particles", set())
    chosen = ([str(tiny_particles.particles)], "")
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: chosen)
    press(qtbot, column)
    assert column.shown == "Particles"
    qtbot.waitUntil(lambda: session.particles is not None, timeout=PATIENCE)
    assert (lit(column), done(column)) == ("Run", {"Particles"})
    assert column.foot.button.text() == "Continue to the run ▸"
    press(qtbot, column)
    assert (column.shown, column.foot.button.text()) == ("Run", "Start")
    assert column.foot.detail.text() == f"Start takes the particles of {tiny_particles.particles.name}."
    run = column.panel("Run")
    assert run.start.isHidden()  # There is one such button.
    assert run.switch.isHidden()
    press(qtbot, column)
    qtbot.waitUntil(lambda: column.path.situation.standing == "waiting", timeout=PATIENCE)
    assert (lit(column), done(column)) == ("Switch", {"Particles", "Run"})
    assert column.foot.step.ready
    press(qtbot, column)
    assert column.shown == "Switch"
    session.thread_of_run.join(10)
    press(qtbot, column)
    assert column.foot.button.text() == "Switch requested..."
    qtbot.waitUntil(lambda: column.path.situation.standing == "finished", timeout=PATIENCE)
    assert lit(column) == "Result"
    assert done(column) == {"Particles", "Run", "Switch", "Result"}
    assert column.foot.button.text() == "See the result ▸"
    press(qtbot, column)
    assert (column.shown, column.foot.button.text()) == ("Result", "Export...")
    press(qtbot, column)
    assert column.shown == "Export"
    column.show_panel("Run")
    assert not run.start.isHidden()  # for another run


def test_a_run_that_failed_at_once_is_started_anew_with_other_settings(
    column, qtbot, tiny_particles, tiny_settings, tmp_path, said
):
    session = session_of(column.viewer)
    reference = tmp_path / "reference.mrc"
    reference.write_bytes(b"no map")
    start, sampled = (
        replace(tiny_settings.start, reference=str(reference)),
        replace(tiny_settings.posterior, posterior_sample=True),
    )
    session.set_settings(replace(tiny_settings, start=start, posterior=sampled))
    column.show_panel("Particles").opener.open_files([tiny_particles.particles])
    qtbot.waitUntil(lambda: session.particles is not None, timeout=PATIENCE)
    column.show_panel("Run")
    press(qtbot, column)
    qtbot.waitUntil(lambda: column.path.situation.standing == "failed", timeout=PATIENCE)
    assert column.foot.button.text() == "Start anew"
    assert column.foot.detail.text().startswith(f"Failed: {reference}")
    setup, line = column.panel("Run").setup, column.panel("Run").setup.forms["start"].knobs["reference"].number
    line.line_edit.value = str(tmp_path / "gone.mrc")
    qtbot.waitUntil(lambda: column.foot.button.text() == "Not ready to start yet", timeout=PATIENCE)
    assert "gone.mrc: no such file" in column.foot.detail.text()
    run = column.panel("Run")
    assert run.start.isHidden()  # Nothing is said twice.
    assert run.hint.isHidden()
    line.line_edit.value = ""
    assert setup.problem == ""
    qtbot.waitUntil(lambda: not session.driven_here, timeout=PATIENCE)
    press(qtbot, column)
    qtbot.waitUntil(lambda: column.path.situation.standing in ("running", "waiting"), timeout=PATIENCE)


def test_a_click_on_a_step_brings_its_panel(column, qtbot):
    for title in ("Switch", "Particles", "Result", "Run"):
        place = column.bar.tabRect(column.index_of(title)).center()
        qtbot.mouseClick(column.bar, Qt.MouseButton.LeftButton, pos=place)
        assert column.shown == title
        assert column.panel(title).isVisibleTo(column)
        assert column.foot.isVisibleTo(column)


@pytest.mark.parametrize("width", [320, 420, 900])
def test_bar_and_foot_are_whole_at_every_width(column, qtbot, width):
    column.resize(width, 500)
    column.show_panel("Run")
    image = column.bar.grab().toImage()
    assert len({image.pixel(x, image.height() // 2) for x in range(image.width())}) > 5
    if width >= 420:
        assert column.bar.tabRect(column.count() - 1).right() <= column.width()


def test_a_watched_run_is_shown_as_it_stands_and_switched_early_only_after_a_question(
    column, qtbot, new_run, monkeypatch
):
    session = session_of(column.viewer)
    run = column.panel("Run")
    status = Status(state="running", step=5, epoch=1, epochs=4, switch_reason="not yet: poses are uncertain")
    with new_run.driving():
        new_run.write_status(status)
        run.control.attach(new_run.path)
        told = "Not ready yet: poses are uncertain"
        qtbot.waitUntil(lambda: told in column.foot.detail.text(), timeout=PATIENCE)
        assert (lit(column), done(column)) == ("Run", {"Particles"})
        column.show_panel("Switch")
        answers = [QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes]
        monkeypatch.setattr(QMessageBox, "question", lambda *_: answers.pop(0))
        press(qtbot, column)
        assert not run.control.requested("switch")
        press(qtbot, column)
        assert run.control.requested("switch")
        assert not column.foot.button.isEnabled()
    new_run.write_status(replace(status, state="failed", message="out of memory"))
    qtbot.waitUntil(lambda: column.path.situation.standing == "failed", timeout=PATIENCE)
    assert "out of memory" in column.foot.detail.text()
    assert session.folder.path == new_run.path


def test_particles_that_are_opened_after_a_run_begin_the_path_anew(
    column, qtbot, finished_run, tiny_particles, tmp_path
):
    column.panel("Run").control.attach(finished_run.path)
    qtbot.waitUntil(lambda: lit(column) == "Result", timeout=PATIENCE)
    column.panel("Particles").opener.open_files([tiny_particles.particles])
    session = session_of(column.viewer)
    qtbot.waitUntil(lambda: session.particles is not None, timeout=PATIENCE)
    assert lit(column) == "Result"  # They are the run's own.
    other = replace(session.source, particles=finished_run.path / "results" / "particles.star")
    column.panel("Particles").opener.open_source(other)
    qtbot.waitUntil(lambda: session.source == other, timeout=PATIENCE)
    assert lit(column) == "Run"
    assert column.path.situation.standing == "none"
