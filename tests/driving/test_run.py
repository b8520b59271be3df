"""Whole runs of the real engine on a few tiny images: killed, interrupted, stopped and resumed."""

import dataclasses
import gc
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from functools import cache
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import torch

import napari_cryospin
from napari_cryospin.driving import publisher
from napari_cryospin.driving import run as driving
from napari_cryospin.driving.run import drive_run
from napari_cryospin.engine.images import Interrupted, PreparedImages
from napari_cryospin.io.open import open_particles
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.launch import JOB_SCRIPT
from napari_cryospin.runs.messages import Command
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import PRESETS, MachineSettings, Settings
from napari_cryospin.simulation.files import write_simulation
from napari_cryospin.simulation.images import SimulationSettings

SAMPLE_MAP = Path(napari_cryospin.__file__).parent / "data" / "spliceosome_64.mrc"


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def particles(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "particles"
    return write_simulation(SAMPLE_MAP, out, SimulationSettings(count=96, box=32, snr=1.0)).particles


def tiny(preset: str, switch: int | str = 2, **preparation) -> Settings:
    """A preset with few and short steps, and a checkpoint after every one of them."""
    settings = PRESETS[preset]
    replace = dataclasses.replace
    return replace(
        settings,
        preparation=replace(settings.preparation, **preparation),
        encoder=replace(settings.encoder, trunk="small", encoder_box=32, heads=3),
        schedule=replace(settings.schedule, epochs=5, decoding_epochs=None, batch_size=32, switch=switch),
        machine=MachineSettings(device="cpu", threads=1, checkpoint_every=0.0, snapshot_every=0.1),
    )


def new_run(path: Path, particles: Path, settings: Settings) -> RunFolder:
    return RunFolder.create(path, RunInput(particles=particles), settings)


@pytest.fixture(scope="module")
def never_stopped(particles, tmp_path_factory) -> Callable[..., RunFolder]:
    """`never_stopped(preset, half_sets=False)`: a run that went to its end at one go; do not write into it."""

    @cache
    def drive(preset: str, half_sets: bool = False) -> RunFolder:
        folder = new_run(tmp_path_factory.mktemp(preset) / "run", particles, tiny(preset, half_sets=half_sets))
        drive_run(folder)
        return folder

    return drive


@pytest.fixture
def finished(never_stopped, tmp_path) -> Callable[[str], RunFolder]:
    """`finished(preset)`: a copy of such a run, to be changed."""
    return lambda preset: RunFolder(shutil.copytree(never_stopped(preset).path, tmp_path / f"finished_{preset}"))


def outcome(folder: RunFolder) -> tuple[np.ndarray, ...]:
    posed = open_particles(folder.path / "results" / "particles.star")
    return mrcfile.read(folder.path / "results" / "map.mrc"), posed.rotations, posed.shifts


def start(folder: RunFolder) -> subprocess.Popen:
    command = [sys.executable, "-m", "napari_cryospin", "resume", str(folder.path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for_step(folder: RunFolder, step: int, process: subprocess.Popen) -> None:
    """Until a checkpoint of at least this step is there."""
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        newest = folder.newest_checkpoint()
        if newest is not None and int(newest.stem) >= step:
            return
        time.sleep(0.005)
    pytest.fail(f"no checkpoint of step {step}: {folder.read_status()}")


@pytest.mark.parametrize(
    ("preset", "killed_at", "half_sets"), [("paper-cpu", (2, 8), False), ("quick", (4,), False), ("quick", (9,), True)]
)
def test_a_killed_and_resumed_run_is_as_if_never_stopped(
    preset, killed_at, half_sets, particles, tmp_path, never_stopped
):
    whole = never_stopped(preset, half_sets)
    killed = new_run(tmp_path / "killed", particles, tiny(preset, half_sets=half_sets))
    for step in killed_at:
        process = start(killed)
        wait_for_step(killed, step, process)
        process.kill()
        process.communicate()
        assert killed.read_status().state == "running"
        assert not (killed.path / "results" / "map.mrc").exists()
    drive_run(killed)
    for expected, found in zip(outcome(whole), outcome(killed), strict=True):
        np.testing.assert_array_equal(found, expected)
    kinds = [event.kind for event in killed.read_events()]
    assert kinds.count("continued") == len(killed_at)
    assert kinds[-1] == "finished"
    steps = [line["step"] for line in killed.read_metrics()]
    assert steps == sorted(steps)


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(never_stopped, finished, caplog):
    whole, folder = never_stopped("paper-cpu"), finished("paper-cpu")
    for share in (0.001, 0.5, 0.999):  # torch's reader fails in another way each time
        newest = folder.checkpoints()[0]
        newest.write_bytes(newest.read_bytes()[: int(share * newest.stat().st_size)])
        drive_run(folder)
        assert f"{newest} is damaged" in caplog.text
        caplog.clear()
        for expected, found in zip(outcome(whole), outcome(folder), strict=True):
            np.testing.assert_array_equal(found, expected)
    for path in folder.checkpoints():
        path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"\.pt: damaged, and so are all"):
        drive_run(folder)


def test_checkpoints_of_another_run_are_refused(finished):
    quick, paper = finished("quick"), finished("paper-cpu")
    for path in quick.checkpoints():
        path.unlink()
    shutil.copy(paper.newest_checkpoint(), quick.path / "checkpoints")
    with pytest.raises(ValueError, match="checkpoints: not of the particles and settings that this folder names"):
        drive_run(quick)


def test_checkpoints_of_another_version_are_refused(finished):
    """A state whose parts are named otherwise, as those of version 0.1 are."""
    folder = finished("paper-cpu")
    newest = folder.newest_checkpoint()
    state = torch.load(newest, weights_only=True)
    progress = state["reconstruction"].pop("progress")
    torch.save({**state, "reconstruction": {**state["reconstruction"], **progress}}, newest)
    with pytest.raises(ValueError, match=r"checkpoints: .*another version.*an older program\?"):
        drive_run(folder)


@pytest.mark.parametrize("images_before", [0, 3, 30, 60])
def test_a_run_broken_off_anywhere_goes_on_as_if_never_stopped(
    images_before, particles, tmp_path, monkeypatch, never_stopped
):
    whole, broken = never_stopped("quick"), new_run(tmp_path / "broken", particles, tiny("quick"))
    hurry, asked = threading.Event(), []

    def check(images):
        asked.append(images.interruptible)
        if len(asked) > images_before:
            hurry.set()
        if images.interruptible and hurry.is_set():
            raise Interrupted

    with monkeypatch.context() as patched:
        patched.setattr(PreparedImages, "check", check)
        drive_run(broken, hurry=hurry)
    assert broken.read_status().state == "stopped"
    assert not (broken.path / "results" / "map.mrc").exists()
    drive_run(broken)
    for expected, found in zip(outcome(whole), outcome(broken), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_ctrl_c_saves_writes_results_and_stops(particles, tmp_path):
    folder = new_run(tmp_path / "run", particles, tiny("paper-cpu"))
    process = start(folder)
    wait_for_step(folder, 1, process)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert "stopped after" in output
    assert "Traceback" not in output
    status = folder.read_status()
    assert status.state == "stopped"
    assert int(folder.newest_checkpoint().stem) == status.step
    assert len(outcome(folder)[1]) == min(96, 32 * status.step)  # those that it has looked at


@pytest.mark.parametrize("preset", ["quick", "paper-cpu"])
def test_the_memory_of_a_run_is_free_when_it_ends(preset, particles, tmp_path, monkeypatch):
    """Also without a collection of garbage, which takes long where much is loaded, as in a window."""
    made = []

    class Watched(driving.Reconstruction):
        def __init__(self, *args):
            super().__init__(*args)
            made.append(weakref.ref(self))

    monkeypatch.setattr(driving, "Reconstruction", Watched)
    gc.disable()
    try:
        drive_run(new_run(tmp_path / "run", particles, tiny(preset)), hurry=threading.Event())
        assert [reference() for reference in made] == [None]
    finally:
        gc.enable()


def test_what_the_folder_holds_at_the_end(particles, tmp_path):
    settings = tiny("quick", half_sets=True, subset=80)
    folder = new_run(tmp_path / "run", particles, settings)
    seen = []
    drive_run(folder, on_status=seen.append)
    assert [status.state for status in seen][:: len(seen) - 1] == ["starting", "finished"]
    assert sorted(folder.history_paths())[-1] == 5
    snapshot = folder.newest_snapshot()
    assert (snapshot.stage, snapshot.epoch, len(snapshot.half_maps)) == ("auto-decoding", 5, 2)
    switched = next(event for event in folder.read_events() if event.kind == "switched")
    assert switched.detail["reason"] == "after 2 epochs"
    results = open_particles(folder.path / "results" / "particles.star")
    assert len(results) == 80
    assert sorted(np.unique(results.half_sets)) == [1, 2]
    assert (folder.path / "results" / "half_map_2.mrc").exists()
    assert "switched" in (folder.path / "log.txt").read_text()


def test_switch_by_command_and_refusals(particles, tmp_path, monkeypatch):
    monkeypatch.setattr(publisher, "STATUS_EVERY", 0.0)  # the whole run may take less than the usual 0.5 s
    folder = new_run(tmp_path / "run", particles, tiny("paper-cpu", "by-hand"))
    folder.send(Command(kind="switch"))  # before the first epoch: too early
    sent = threading.Event()

    def after_two_epochs(status):
        if status.epoch >= 2 and not sent.is_set():
            sent.set()
            folder.send(Command(kind="switch"))
            folder.send(Command(kind="switch"))

    drive_run(folder, on_status=after_two_epochs)
    kinds = [event.kind for event in folder.read_events() if event.kind in ("switched", "refused")]
    assert kinds == ["refused", "switched", "refused"]


def test_a_run_that_nobody_switched_is_not_finished_until_it_is_continued(particles, tmp_path):
    """The run of an older version too, whose status says that it is finished."""
    folder = new_run(tmp_path / "run", particles, tiny("paper-cpu", "by-hand"))
    drive_run(folder)
    status = folder.read_status()
    assert (status.state, status.stage) == ("stopped", "auto-encoding")
    assert folder.waits_for_switch
    assert (folder.results_path / "map.mrc").is_file()
    folder.write_status(dataclasses.replace(status, state="finished", message=""))
    assert folder.waits_for_switch
    assert not folder.finished
    drive_run(folder)
    assert folder.finished
    assert not folder.waits_for_switch
    assert [event.kind for event in folder.read_events() if event.kind != "epoch"][-4:] == [
        "stopped",
        "continued",
        "switched",
        "finished",
    ]
    assert folder.read_status().stage == "auto-decoding"


def test_bad_input_is_a_failed_run_with_the_reason(tmp_path):
    folder = new_run(tmp_path / "run", tmp_path / "missing.star", tiny("quick"))
    with pytest.raises(FileNotFoundError):
        drive_run(folder)
    assert folder.read_status().state == "failed"
    assert "missing.star" in folder.read_status().message
    assert folder.read_events()[-1].kind == "failed"


def test_two_processes_do_not_drive_one_run(particles, tmp_path):
    folder = new_run(tmp_path / "run", particles, tiny("paper-cpu"))
    with folder.driving():
        process = start(folder)
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "going on in another process" in output
    assert folder.read_status().state == "starting"  # untouched
    assert os.listdir(folder.path / "checkpoints") == []


@pytest.mark.parametrize("state", ["running", "failed", "starting"])
def test_what_was_told_to_a_process_that_is_gone_is_refused(state, particles, tmp_path):
    folder = new_run(tmp_path / "run", particles, tiny("quick"))
    moment = time.time()
    folder.write_status(dataclasses.replace(folder.read_status(), state=state, heartbeat=moment - 10))
    # A process that is killed obeys nobody after its last sign of life; one that ended said so at that moment.
    stale = Command(kind="stop", time=moment - (5 if state == "running" else 15))
    folder.send(stale)
    drive_run(folder)
    events = folder.read_events()
    assert [event.detail["id"] for event in events if event.kind == "refused"] == [stale.id]
    assert events[-1].kind == "finished"


def test_what_is_told_to_a_job_before_it_begins_is_obeyed(particles, tmp_path):
    folder = new_run(tmp_path / "run", particles, tiny("quick"))
    moment = time.time()
    folder.write_status(dataclasses.replace(folder.read_status(), state="running", heartbeat=moment - 100))
    (folder.path / JOB_SCRIPT).write_text("submitted since then")
    os.utime(folder.path / JOB_SCRIPT, (moment - 50, moment - 50))
    folder.send(Command(kind="stop", time=moment - 20))
    drive_run(folder)
    assert folder.read_events()[-1].kind == "stopped"
