"""A run's folder: what is written is read again, one run a folder, one driver a run, no half files after a crash."""

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from napari_cryospin.runs import folder as folder_module
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import Command, Event, Status
from napari_cryospin.runs.snapshot import Snapshot
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import ScheduleSettings, Settings
from support.records import epoch_record, particle_record

SETTINGS = Settings(schedule=ScheduleSettings(epochs=9, switch="automatic"))


@pytest.fixture
def run(tmp_path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", RunInput(particles=Path("particles.star")), SETTINGS)


def make_snapshot(step: int) -> Snapshot:
    arrays = {
        "map": np.full((4, 4, 4), step),
        "noise": np.ones((1, 2)),
        "head_share": np.zeros(2),
    }
    numbers = {"pixel_size": 1.0, "loss": 1.0, "resolution": 9.0, "switch_ready": False, "switch_reason": ""}
    numbers |= {"band": 1, "max_shift": 0.0}
    return Snapshot(step=step, epoch=0, stage="auto-encoding", **arrays, **numbers, particles=particle_record())


def test_a_new_folder_names_its_settings_and_its_input(run, tmp_path, monkeypatch):
    assert run.settings == SETTINGS
    monkeypatch.chdir(tmp_path)
    assert run.source.particles.is_absolute()  # holds from any working directory
    assert run.read_status().state == "starting"
    assert not run.is_driven()


def test_input_survives_with_all_its_options(tmp_path):
    source = RunInput(
        particles=tmp_path / "a.cs", data_dir=tmp_path, passthrough=(tmp_path / "p.cs",), ctf=None, pixel_size=1.5
    )
    assert RunInput.from_json(source.to_json()) == source


def test_the_folder_of_another_run_is_refused(run, tmp_path):
    with pytest.raises(FileExistsError, match=r"holds a run of .*particles\.star already; resume it"):
        RunFolder.create(run.path, RunInput(particles=Path("other.star")), SETTINGS)
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError, match="is a file"):
        RunFolder.create(tmp_path / "file", RunInput(particles=Path("other.star")), SETTINGS)
    with pytest.raises(FileNotFoundError, match="no run in this folder"):
        RunFolder(tmp_path)
    with pytest.raises(FileExistsError, match="holds other files"):
        RunFolder.create(tmp_path, RunInput(particles=Path("other.star")), SETTINGS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "run"]


def test_a_folder_that_could_not_be_filled_is_not_in_the_way(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(folder_module, "_write_text", full)
        with pytest.raises(OSError, match="No space left"):
            RunFolder.create(tmp_path / "run", RunInput(particles=Path("particles.star")), SETTINGS)
    assert not (tmp_path / "run").exists()
    RunFolder.create(tmp_path / "run", RunInput(particles=Path("particles.star")), SETTINGS)


def test_a_run_that_failed_at_its_start_may_be_replaced(run):
    run.append_event(Event(kind="failed", step=0))
    run.write_status(Status(state="failed"))
    again = RunFolder.create(run.path, RunInput(particles=Path("other.star")), SETTINGS)
    assert again.source.particles.name == "other.star"
    assert again.read_events() == []
    with again.driving():
        pass
    again.write_status(Status(state="failed"))
    with again.writing_checkpoint(5) as part:
        part.write_bytes(b"state")
    with pytest.raises(FileExistsError):
        RunFolder.create(run.path, RunInput(particles=Path("third.star")), SETTINGS)


def test_commands_wait_in_the_order_of_their_times_and_are_done_once_obeyed(run):
    late, early = Command(kind="switch", time=20.0), Command(kind="pause", time=3.0)
    for command in (late, early):
        run.send(command)
    taken = []
    for command in run.take_commands():
        taken.append(command)
        assert len(list((run.path / "commands").glob("*.json"))) == 3 - len(taken)  # still there while obeyed
    assert taken == [early, late]
    assert list(run.take_commands()) == []
    assert len(list((run.path / "commands" / "done").glob("*-switch.json"))) == 1


def test_commands_of_before_are_set_aside(run):
    stale, fresh = Command(kind="stop", time=3.0), Command(kind="switch", time=20.0)
    for command in (stale, fresh):
        run.send(command)
    (run.path / "commands" / "by-hand.json").write_text("{}")
    assert run.set_aside_commands(before=10.0) == [stale]
    assert list(run.take_commands()) == [fresh]


def test_a_file_that_is_no_command_is_put_aside(run, caplog):
    (run.path / "commands" / "by-hand.json").write_text('{"kind": "pau')
    assert list(run.take_commands()) == []
    assert "by-hand.json: not a command" in caplog.text
    assert (run.path / "commands" / "done" / "by-hand.json").exists()


def test_a_torn_last_line_is_left_out_and_then_cut(run):
    run.append_event(Event(kind="started", step=0))
    with (run.path / "events.jsonl").open("a") as file:
        file.write('{"kind": "epoch", "st')
    assert [event.kind for event in run.read_events()] == ["started"]
    with run.driving():
        run.append_event(Event(kind="continued", step=4))
    assert [event.kind for event in run.read_events()] == ["started", "continued"]


def test_a_damaged_line_is_named(run):
    run.append_event(Event(kind="started", step=0))
    with (run.path / "events.jsonl").open("a") as file:
        file.write("garbage\n")
    with pytest.raises(ValueError, match=r"events.jsonl: line 2: found 'garbage', expected a record"):
        run.read_events()


def test_only_the_newest_snapshots_and_checkpoints_are_kept(run):
    for step in (5, 10, 100, 1000, 20000):
        run.write_snapshot(make_snapshot(step))
        with run.writing_checkpoint(step) as part:
            part.write_bytes(b"state")
    assert sorted(path.name for path in (run.path / "snapshots").iterdir())[-1] == "000020000.npz"
    assert len(list((run.path / "snapshots").iterdir())) == 3
    assert len(list((run.path / "checkpoints").iterdir())) == 2
    assert run.newest_checkpoint().name == "000020000.pt"
    newest = run.newest_snapshot()
    assert (newest.step, newest.map[0, 0, 0]) == (20000, 20000)


def test_what_is_half_written_never_takes_a_final_name(run):
    def fill_the_disk():
        with run.writing_checkpoint(7) as part:
            part.write_bytes(b"half a state")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fill_the_disk()
    assert list((run.path / "checkpoints").iterdir()) == []
    assert run.newest_checkpoint() is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_fails_the_append(run):
    (run.path / "metrics.jsonl").unlink()
    (run.path / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        run.append_metrics({"step": 1})


def test_rewind_forgets_what_came_after_the_checkpoint(run):
    for step in (5, 10, 15):
        run.append_metrics({"step": step})
        run.write_snapshot(make_snapshot(step))
        run.write_history(epoch_record(step // 5))
    run.rewind(step=10, epoch=2)
    assert [line["step"] for line in run.read_metrics()] == [5, 10]
    assert run.newest_snapshot().step == 10
    assert sorted(run.history_paths()) == [1, 2]


def test_one_driver_a_run(run):
    with run.driving():
        assert run.is_driven()
        refused = []

        def second():
            try:
                with RunFolder(run.path).driving():
                    pass
            except FileExistsError as error:
                refused.append(str(error))

        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        assert "going on in another process" in refused[0]
    assert not run.is_driven()


def test_a_killed_driver_lets_go(run):
    code = (
        "import pathlib, sys, time; from napari_cryospin.runs.folder import RunFolder\n"
        "with RunFolder(pathlib.Path(sys.argv[1])).driving(): print('driving', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, run.path], stdout=subprocess.PIPE, env=dict(os.environ))
    assert process.stdout.readline() == b"driving\n"
    assert run.is_driven()
    process.kill()
    process.wait()
    process.stdout.close()
    assert not run.is_driven()


def test_the_log_is_the_runs_own(run):
    with run.logging():
        logging.getLogger("napari_cryospin.somewhere").warning("half sets differ in size")
    logging.getLogger("napari_cryospin.somewhere").warning("said to nobody")
    text = (run.path / "log.txt").read_text()
    assert "half sets differ" in text
    assert "nobody" not in text


@pytest.mark.parametrize("name", ["input", "settings", "status"])
@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', "{"])
def test_a_damaged_file_is_named(run, name, content):
    (run.path / f"{name}.json").write_text(content)
    with pytest.raises(ValueError, match=f"{name}.json: not written by a run, or damaged"):
        {"input": lambda: run.source, "settings": lambda: run.settings, "status": run.read_status}[name]()


def test_wrong_settings_of_a_run_name_the_file_and_the_field(run):
    path = run.path / "settings.json"
    path.write_text(path.read_text().replace('"cryospin"', '"serach"').replace('"heads": 7', '"heads": 7.5'))
    with pytest.raises(ValueError) as error:
        _ = run.settings
    for text in (
        str(path),
        "method is 'serach'",
        "did you mean search?",
        "heads is 7.5; expected a whole number",
    ):
        assert text in str(error.value)
