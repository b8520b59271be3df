"""A run from the window: started, paused, switched, stopped; failed and recovered; watched elsewhere; closed."""

import os
import signal
import threading
import time
from dataclasses import replace

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox, QToolTip

from napari_cryospin.driving.folder_channel import COMMANDS_EVERY
from napari_cryospin.engine.reconstruction import Reconstruction
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.launch import start_process
from napari_cryospin.runs.messages import Event, Status
from napari_cryospin.settings import PRESETS
from napari_cryospin.widgets.run.panel import RunPanel
from napari_cryospin.widgets.run.state import log_of, status_texts
from napari_cryospin.widgets.session import session as session_module
from napari_cryospin.widgets.session.docks import reveal
from napari_cryospin.widgets.session.session import session_of
from napari_cryospin.widgets.workspace import open_workspace

PATIENCE = 60_000  # ms: a busy machine
STEP = 0.05  # s that a step of a slow run takes at least


@pytest.fixture
def session(viewer, tiny_settings):
    session = session_of(viewer)
    session.set_settings(tiny_settings)
    return session


@pytest.fixture
def panel(viewer, session, qtbot):
    panel = RunPanel(viewer)
    qtbot.addWidget(panel)
    return panel


@pytest.fixture
def ready(panel, qtbot, tiny_particles):
    """The panel with particles opened."""
    opener = reveal(panel.viewer, "Particles").opener
    opener.open_files([tiny_particles.particles])
    qtbot.waitUntil(panel.start.isEnabled, timeout=PATIENCE)
    return panel


@pytest.fixture
def steps() -> list[float]:
    """When each step of a run with `long_settings` began, s."""
    return []


@pytest.fixture
def long_settings(tiny_settings, steps, monkeypatch):
    """A run that cannot end before it is caught in its middle, on however slow a machine."""
    advance = Reconstruction.advance

    def slowly(self):
        steps.append(time.monotonic())
        time.sleep(STEP)
        return advance(self)

    monkeypatch.setattr(Reconstruction, "advance", slowly)
    return replace(tiny_settings, schedule=replace(tiny_settings.schedule, epochs=1000))


def wait_for(qtbot, panel, *phases):
    qtbot.waitUntil(lambda: panel.control.standing in phases, timeout=PATIENCE)


def test_from_a_sample_to_the_map(viewer, session, qtbot, long_settings):
    session.set_settings(long_settings)
    open_workspace(viewer)
    panel = reveal(viewer, "Run")
    assert not panel.start.isEnabled()
    assert "Open particles first" in panel.hint.text()
    viewer.open_sample("napari-cryospin", "spliceosome")
    qtbot.waitUntil(panel.start.isEnabled, timeout=PATIENCE)
    folder = panel.setup.output
    assert folder.name == "spliceosome_40-1"
    panel.start.click()
    assert panel.start.text() == "Starting..."
    wait_for(qtbot, panel, "running")
    assert panel.start.isHidden()
    assert not panel.folded.is_open
    panel.pause.click()
    assert panel.pause.text() == "Pause requested..."
    wait_for(qtbot, panel, "paused")
    qtbot.waitUntil(lambda: panel.pause.text() == "Resume", timeout=PATIENCE)
    step = session.status.step
    qtbot.wait(300)
    assert session.status.step == step
    panel.pause.click()
    wait_for(qtbot, panel, "running")
    qtbot.waitUntil(lambda: session.status.epoch >= 1, timeout=PATIENCE)
    assert panel.switch.advice.text()
    panel.switch.button.click()
    assert panel.switch.button.text() == "Switch requested..."
    qtbot.waitUntil(lambda: panel.control.switched is not None, timeout=PATIENCE)
    assert panel.switch.button.text() == "Switched"
    assert "by hand" in panel.switch.advice.text()
    wait_for(qtbot, panel, "finished")
    assert (folder / "results" / "map.mrc").is_file()
    assert panel.state.rows["stage"].text() == "auto-decoding"
    assert not panel.start.isHidden()
    assert panel.setup.output.name == "spliceosome_40-2"
    assert any(layer.name.startswith("cryoSPIN") for layer in viewer.layers)
    session.thread_of_run.join(10)
    assert not session.driven_here


def test_a_stop_is_obeyed_at_once_and_the_run_can_be_continued(ready, qtbot, long_settings, steps):
    """Within a few steps, however slow the machine is."""
    session = ready.session
    session.set_settings(long_settings)
    ready.start.click()
    wait_for(qtbot, ready, "running")
    qtbot.waitUntil(lambda: session.status.step > 2, timeout=PATIENCE)
    ready.stop.click()
    assert ready.stop.text() == "Stop requested..."
    wait_for(qtbot, ready, "stopped")
    step = session.status.step
    assert not ready.continue_run.isHidden()
    session.thread_of_run.join()
    assert session.status.step == step
    ready.continue_run.click()
    wait_for(qtbot, ready, "running", "finished")
    assert [event.kind for event in session.events if event.kind in ("started", "continued")][-1] == "continued"
    qtbot.waitUntil(lambda: session.status.step > step + 2, timeout=PATIENCE)
    clicked = time.monotonic()
    ready.stop.click()
    wait_for(qtbot, ready, "stopped")
    session.thread_of_run.join()
    # Counted in steps, which a slow machine cannot make more of; benchmarks/window.py has the seconds.
    assert len([began for began in steps if began > clicked]) <= COMMANDS_EVERY / STEP + 1


def test_what_cannot_be_done_is_refused_with_the_reason(ready, qtbot, long_settings):
    ready.session.set_settings(long_settings)
    ready.start.click()
    wait_for(qtbot, ready, "running")
    ready.control.request("resume")
    qtbot.waitUntil(lambda: "resume was refused" in ready.state.message.text(), timeout=PATIENCE)
    assert "the run is not paused" in ready.state.message.text()
    assert not ready.control.requests.unanswered
    ready.stop.click()
    wait_for(qtbot, ready, "stopped", "finished")


def test_an_error_in_the_engine_reaches_the_user_and_the_buttons_recover(ready, qtbot, monkeypatch, said):
    advance = Reconstruction.advance

    def fails(self):
        if self.step == 3:
            raise RuntimeError("CUDA out of memory")
        return advance(self)

    monkeypatch.setattr(Reconstruction, "advance", fails)
    ready.start.click()
    wait_for(qtbot, ready, "failed")
    qtbot.waitUntil(lambda: any("CUDA out of memory" in text for text in said), timeout=PATIENCE)
    assert not any("Traceback" in text for text in said)
    assert "CUDA out of memory" in ready.state.message.text()
    qtbot.waitUntil(lambda: ready.state.failure is not None, timeout=PATIENCE)  # may come after the status
    assert "Traceback" in log_of(ready.state.folder, ready.state.failure)
    ready.state.log.click()
    monkeypatch.setattr(Reconstruction, "advance", advance)
    ready.session.thread_of_run.join(10) if ready.session.thread_of_run else None
    qtbot.waitUntil(ready.start.isEnabled, timeout=PATIENCE)
    ready.start.click()
    wait_for(qtbot, ready, "running", "finished")
    assert ready.state.message.isHidden()
    ready.stop.click()
    wait_for(qtbot, ready, "stopped", "finished")


def test_a_folder_that_is_taken_is_refused(ready, qtbot, finished_run, said):
    ready.setup.folder.setText(str(finished_run.path))
    ready.start.click()
    qtbot.waitUntil(lambda: bool(said), timeout=PATIENCE)
    assert "holds a run" in said[-1]
    assert ready.start.text() == "Start"
    assert ready.start.isEnabled()


def test_a_closed_panel_finds_the_run_again(viewer, session, qtbot, tiny_particles, long_settings):
    session.set_settings(long_settings)
    reveal(viewer, "Particles").opener.open_files([tiny_particles.particles])
    _, panel = viewer.window.add_plugin_dock_widget("napari-cryospin", "Run")
    qtbot.waitUntil(panel.start.isEnabled, timeout=PATIENCE)
    panel.start.click()
    wait_for(qtbot, panel, "running")
    with qtbot.waitSignal(panel.destroyed):
        viewer.window.remove_dock_widget(panel)
    assert session.driven_here
    _, panel = viewer.window.add_plugin_dock_widget("napari-cryospin", "Run")
    assert panel.control.standing == "running"
    assert not panel.folded.is_open
    panel.stop.click()
    wait_for(qtbot, panel, "stopped", "finished")


def test_a_finished_run_is_watched(panel, qtbot, finished_run, said):
    panel.control.attach(finished_run.path)
    wait_for(qtbot, panel, "finished")
    assert panel.state.rows["epoch"].text() == "4 of 4"
    assert panel.control.switched is not None
    assert not panel.switch.button.isEnabled()
    assert panel.continue_run.isHidden()
    assert said == []  # it finished long ago
    panel.control.attach(finished_run.path.parent)
    assert "no run in this folder" in said[-1]


def test_a_run_that_nobody_switched_asks_and_the_button_lets_it_go_on(viewer, session, qtbot, tiny_particles, said):
    column = open_workspace(viewer)
    reveal(viewer, "Particles").opener.open_files([tiny_particles.particles])
    panel = reveal(viewer, "Run")
    qtbot.waitUntil(panel.start.isEnabled, timeout=PATIENCE)
    qtbot.mouseClick(column.foot.button, Qt.MouseButton.LeftButton)
    wait_for(qtbot, panel, "waiting")
    assert "Waiting for your switch" in panel.state.title.text()
    assert any("the planned epochs are over" in text for text in said)
    assert not any("The run finished" in text for text in said)
    assert panel.continue_run.isHidden()
    assert panel.switch.button.isEnabled()
    assert "Look at the map" in panel.switch.advice.text()
    session.thread_of_run.join(10)
    column.show_panel("Switch")
    assert column.foot.step.ready
    qtbot.mouseClick(column.foot.button, Qt.MouseButton.LeftButton)
    assert panel.switch.button.text() == "Switch requested..."
    wait_for(qtbot, panel, "finished")
    assert panel.state.rows["stage"].text() == "auto-decoding"
    assert panel.switch.button.text() == "Switched"


def test_a_run_that_an_older_version_left_unswitched_can_be_switched(panel, qtbot, new_run):
    new_run.write_status(Status(state="finished", step=12, epoch=4, epochs=4))
    panel.control.attach(new_run.path)
    wait_for(qtbot, panel, "waiting")
    assert panel.switch.button.isEnabled()


def test_readiness_is_told_once_and_colours_the_button(panel, qtbot, new_run, said):
    with new_run.driving():
        for step in (5, 6):
            status = Status(
                state="running", step=step, epoch=1, epochs=4, switch_ready=True, switch_reason="ready: all"
            )
            new_run.write_status(status)
            panel.control.attach(new_run.path) if step == 5 else None
            qtbot.waitUntil(lambda step=step: getattr(panel.session.status, "step", 0) == step, timeout=PATIENCE)
        assert sum("is ready to switch" in text for text in said) == 1
        assert "background-color" in panel.switch.button.styleSheet()
        new_run.write_status(replace(status, step=7, switch_ready=False, switch_reason="not yet: poses are uncertain"))
        qtbot.waitUntil(lambda: panel.session.status.step == 7, timeout=PATIENCE)
        qtbot.waitUntil(lambda: not panel.switch.button.styleSheet(), timeout=PATIENCE)


def test_an_opened_run_brings_its_particles_and_truth(
    viewer, session, qtbot, finished_run, tiny_particles, tmp_path, said
):
    open_workspace(viewer)
    panel = reveal(viewer, "Run")
    panel.control.attach(finished_run.path)
    qtbot.waitUntil(lambda: session.particles is not None, timeout=PATIENCE)
    wait_for(qtbot, panel, "finished")
    assert session.truth_of_run == tiny_particles.truth
    assert panel.open_particles.isHidden()
    other = replace(session.source, particles=finished_run.path / "results" / "particles.star")
    reveal(viewer, "Particles").opener.open_source(other)
    qtbot.waitUntil(lambda: session.source == other, timeout=PATIENCE)
    assert session.truth_of_run is None  # The user's own particles stay, and one click brings those of the run.
    panel = reveal(viewer, "Run")
    qtbot.mouseClick(panel.open_particles, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: session.source != other, timeout=PATIENCE)
    assert session.truth_of_run == tiny_particles.truth
    assert panel.start.isEnabled()
    assert "Start takes the particles of tiny.star" in panel.hint.text()
    assert panel.state.rows["particles"].text() == "tiny.star"
    status = session.status
    shown = status_texts(replace(status, epoch=3, epochs=4), "finished")["epoch"]
    assert shown == "3, of 4 at most"  # It converged before.
    assert panel.open_particles.isHidden()
    session.source = replace(session.source, particles=finished_run.path / "results" / "particles.star")
    assert session.truth_of_run is None  # It is the truth of other particles.


@pytest.mark.parametrize(("verdict", "told"), [("not determined", "its poses are not determined"), ("converged", "")])
def test_the_end_of_a_run_says_what_to_doubt(panel, qtbot, new_run, said, verdict, told):
    with new_run.driving():
        running = Status(state="running", stage="auto-decoding", step=5, epoch=1, epochs=4)
        new_run.write_status(running)
        panel.control.attach(new_run.path)
        wait_for(qtbot, panel, "running")
        new_run.write_status(replace(running, state="finished", verdict=verdict, verdict_text="in words"))
        wait_for(qtbot, panel, "finished")
    (text,) = (text for text in said if "The run finished" in text)
    assert told in text
    assert ("poses" in text) == ("The step Result says why" in text) == bool(told)


@pytest.mark.slow
def test_a_run_in_a_process_of_its_own(ready, qtbot):
    ready.setup.place.setCurrentIndex(ready.setup.place.findData("process"))
    ready.start.click()
    qtbot.waitUntil(lambda: ready.session.process is not None, timeout=PATIENCE)
    assert not ready.session.driven_here
    wait_for(qtbot, ready, "waiting")
    assert ready.session.process.wait(30) == 0


def test_a_run_whose_process_is_gone_is_told(panel, qtbot, new_run):
    old = time.time() - 100
    new_run.write_status(Status(state="running", step=5, epoch=1, epochs=4, heartbeat=old))
    panel.control.attach(new_run.path)
    wait_for(qtbot, panel, "gone")
    assert "Nobody drives this run" in panel.state.message.text()
    assert not panel.continue_run.isHidden()
    assert panel.pause.isHidden()


def test_a_folder_that_is_deleted_is_named_and_may_come_back(panel, qtbot, new_run, tmp_path, said):
    new_run.write_status(Status(state="stopped", step=5, epoch=1, epochs=4))
    panel.control.attach(new_run.path)
    wait_for(qtbot, panel, "stopped")
    assert not panel.continue_run.isHidden()
    away = new_run.path.rename(tmp_path / "away")
    wait_for(qtbot, panel, "lost")
    assert str(new_run.path) in panel.state.message.text()
    assert panel.continue_run.isHidden()
    panel.control._check()
    qtbot.wait(100)
    assert not new_run.path.exists()  # Whoever asks for its driver does not make it again.
    away.rename(new_run.path)
    wait_for(qtbot, panel, "stopped")
    assert panel.state.message.text() == ""
    assert not panel.continue_run.isHidden()
    assert said == []


def test_a_verdict_is_a_visible_line_and_hides_the_resolution(panel, new_run):
    text = "not determined: the images leave most poses open. Try next: more particles"
    older = Status(state="finished", step=5, epoch=4, epochs=4, resolution=6.2)
    panel.state.show_status("finished", replace(older, verdict="not determined", verdict_text=text), new_run.path)
    assert panel.state.verdict.text() == f"Verdict: {text}"
    assert not panel.state.verdict.isHidden()
    assert panel.state.rows["resolution"].text() == "not told, as the poses are not determined"
    for standing, heading in (("running", "Verdict so far"), ("waiting", "Verdict before the switch")):
        early = replace(older, state="running", verdict="not determined", verdict_text=text)
        panel.state.show_status(standing, early, new_run.path)
        assert panel.state.verdict.text() == f"{heading}: {text}"
        assert panel.state.verdict.colour == ""  # Most runs begin so; it is no reason to stop.
    panel.state.show_status("finished", older, new_run.path)  # of a version without verdicts
    assert panel.state.verdict.isHidden()
    assert panel.state.rows["resolution"].text() == "6.2 Å"


@pytest.mark.slow
def test_a_killed_process_is_noticed_and_its_run_continued(panel, qtbot, new_run):
    process = start_process(new_run)
    panel.control.attach(new_run.path)
    qtbot.waitUntil(lambda: panel.session.status is not None and panel.session.status.step > 0, timeout=PATIENCE)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(qtbot, panel, "gone", "waiting")
    if panel.control.standing == "gone":
        panel.continue_run.click()
        wait_for(qtbot, panel, "waiting", "finished")


def test_without_slurm_the_user_is_told_what_to_do(ready, qtbot, monkeypatch, said):
    monkeypatch.setenv("PATH", "")
    ready.setup.place.setCurrentIndex(ready.setup.place.findData("slurm"))
    assert not ready.setup.slurm.isHidden()
    ready.start.click()
    qtbot.waitUntil(lambda: any("sbatch: not found" in text for text in said), timeout=PATIENCE)
    assert (ready.session.folder.path / "job.sh").is_file()


def test_settings_are_one_with_the_forms(panel, qtbot):
    setup, session = panel.setup, panel.session
    setup.preset.setCurrentIndex(setup.preset.findData("paper-synthetic"))
    setup.preset.activated.emit(setup.preset.currentIndex())
    assert session.settings.encoder == PRESETS["paper-synthetic"].encoder
    assert session.settings.schedule.switch == "by-hand"
    setup.forms["encoder"].knobs["heads"].number.native.setValue(4)
    assert session.settings.encoder.heads == 4
    assert "1 setting changed" in setup.differs.text()
    setup.folded.set_open(True)
    setup.forms["volume advanced"].knobs["volume_update"].choice.value = "wiener"
    assert "gauss-newton" in setup.complaint.text()  # does not go with the pose update
    assert session.settings.volume.volume_update == "adam"
    assert not panel.start.isEnabled()
    setup.forms["schedule advanced"].knobs["pose_update"].choice.value = "gauss-newton"
    assert session.settings.volume.volume_update == "wiener"
    setup.reset.click()
    assert session.settings.encoder.heads == 7
    assert setup.forms["volume advanced"].knobs["volume_update"].value == "adam"


def test_a_number_out_of_range_is_not_swallowed_without_a_word(panel, qtbot):
    panel.show()
    field = panel.setup.forms["encoder"].knobs["heads"].number.native
    field.setFocus()
    field.selectAll()
    QToolTip.hideText()
    qtbot.keyClicks(field, "12")
    assert not QToolTip.isVisible()
    field.selectAll()
    qtbot.keyClicks(field, "999")
    assert QToolTip.text() == "a number from 1 to 64"
    QToolTip.hideText()
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert panel.session.settings.encoder.heads == 9  # what is seen in the field


def test_devices_are_listed_after_the_panel_is_seen(panel, qtbot):
    panel.show()
    qtbot.waitUntil(lambda: "CPU" in [panel.setup.device.itemText(k) for k in range(panel.setup.device.count())])
    assert panel.setup.device.itemText(0).startswith("automatic: ")


@pytest.mark.parametrize("by", ["hand", "script"])
def test_closing_napari_asks_saves_and_ends(make_napari_viewer, qtbot, tiny_particles, long_settings, monkeypatch, by):
    viewer = make_napari_viewer(show=True)
    session = session_of(viewer)
    session.set_settings(long_settings)
    particles = reveal(viewer, "Particles")
    particles.opener.open_files([tiny_particles.particles])
    panel, window = reveal(viewer, "Run"), particles.window()
    qtbot.waitUntil(panel.start.isEnabled, timeout=PATIENCE)
    asked, answers = [], []

    def question(*args):
        asked.append(args[2])
        return getattr(QMessageBox.StandardButton, answers.pop())

    monkeypatch.setattr(QMessageBox, "question", question)
    panel.start.click()
    wait_for(qtbot, panel, "running")
    qtbot.waitUntil(lambda: session.status.step > 1, timeout=PATIENCE)
    thread, folder = session.thread_of_run, session.folder
    if by == "hand":
        answers[:] = ["Close", "Close", "Cancel"]
        assert not window.close()
        with monkeypatch.context() as napari:  # which may ask for itself
            napari.setattr(type(window), "closeEvent", lambda window, event: event.ignore())
            assert not window.close()
        assert not thread.stop.is_set()
        step = session.status.step
        qtbot.waitUntil(lambda: session.status.step > step, timeout=PATIENCE)  # still watched
    # The window waits for the run so long at most; here as long as it takes, so that no slow machine is a failure.
    monkeypatch.setattr(session_module, "CLOSING_WAIT", PATIENCE / 1000)
    if by == "hand":
        assert window.close()
    viewer.close()  # a script cannot be asked
    assert len(asked) == (3 if by == "hand" else 0)
    assert all("can be resumed" in text for text in asked)
    assert thread.stop.is_set()
    assert not thread.is_alive()  # it ended by itself
    assert folder.newest_checkpoint() is not None
    assert folder.read_status().state in ("stopped", "finished")


def test_a_thread_that_cannot_drive_says_why(session, panel, qtbot, new_run, said):
    held, release = threading.Event(), threading.Event()

    def drive():
        with RunFolder(new_run.path).driving():
            held.set()
            release.wait(60)

    other = threading.Thread(target=drive)
    other.start()
    assert held.wait(30)
    try:
        session.start(new_run)
        wait_for(qtbot, panel, "failed")
        assert any("going on in another process" in text for text in said)
    finally:
        release.set()
        other.join()


def test_a_request_is_answered_by_its_own_event_only(panel, qtbot, new_run):
    with new_run.driving():
        new_run.write_status(Status(state="running", step=5, epoch=1, epochs=4))
        panel.control.attach(new_run.path)
        wait_for(qtbot, panel, "running")
        panel.pause.click()
        assert not panel.pause.isEnabled()
        new_run.append_event(Event(kind="paused", step=5, detail={"id": "somebody's"}))
        qtbot.waitUntil(lambda: len(panel.session.events) == 1, timeout=PATIENCE)
        assert panel.control.requested("pause")
        (command,) = new_run.take_commands()
        new_run.append_event(Event(kind="refused", step=5, detail={"id": command.id, "reason": "not now"}))
        qtbot.waitUntil(lambda: not panel.control.requested("pause"), timeout=PATIENCE)
        assert panel.state.message.text() == "pause was refused: not now"
