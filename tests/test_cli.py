"""The command line: what it answers, with which exit status, and how fast the light commands start."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from napari_cryospin.cli import COMMANDS, main
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import Event, Status
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import Settings


@pytest.fixture
def run(tmp_path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", RunInput(particles=Path("particles.star")), Settings())


def test_help_names_every_command(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name}" in shown for name in COMMANDS)
    assert main([]) == 2


def test_unknown_command(capsys):
    assert main(["recontsruct"]) == 2
    assert "no command 'recontsruct'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["status", "resume"])
def test_a_folder_without_a_run_is_one_line_and_status_2(command, tmp_path, capsys):
    assert main([command, str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "no run in this folder" in error
    assert error.count("\n") == 1


def test_status_tells_of_a_run_whose_process_is_gone(run, capsys):
    status = Status(state="running", stage="auto-encoding", step=70, epoch=3, epochs=20, loss=0.5, resolution=12.3)
    run.write_status(status)
    run.append_event(Event(kind="refused", step=60, detail={"reason": "not yet"}))
    assert main(["status", str(run.path)]) == 0
    shown = capsys.readouterr().out
    assert "auto-encoding, epoch 3/20, step 70" in shown
    assert "12.3 A" in shown
    assert "its process is gone" in shown
    assert "not yet" in shown


def test_status_as_json(run, capsys):
    assert main(["status", str(run.path), "--json"]) == 0
    assert '"state": "starting"' in capsys.readouterr().out


def test_nothing_is_sent_to_a_run_that_nobody_drives(run, capsys):
    assert main(["send", str(run.path), "switch"]) == 2
    assert "nobody drives this run" in capsys.readouterr().err
    assert list((run.path / "commands").glob("*.json")) == []


@pytest.mark.parametrize(("answer", "code"), [("switched", 0), ("refused", 2)])
def test_send_reports_the_answer(run, capsys, answer, code):
    ready, done = threading.Event(), threading.Event()

    def drive():
        with run.driving():
            ready.set()
            while not done.is_set():
                for command in run.take_commands():
                    detail = {"id": command.id, "reason": "because"}
                    run.append_event(Event(kind=answer, step=12, detail=detail))
                time.sleep(0.02)

    thread = threading.Thread(target=drive)
    thread.start()
    ready.wait(5)
    assert main(["send", str(run.path), "switch"]) == code
    done.set()
    thread.join()
    assert f"{answer} at step 12: because" in capsys.readouterr().out


def test_light_commands_do_not_load_torch(run):
    code = "import sys; from napari_cryospin.cli import main; main(sys.argv[1:]); assert 'torch' not in sys.modules"
    for arguments in (["status", str(run.path)], ["send", str(run.path), "stop"]):
        subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)
