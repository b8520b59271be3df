"""Runs by the command line: what is shown, asked and answered, and what a full disk leaves."""

import dataclasses
import json
import logging
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import napari_cryospin
from napari_cryospin.cli import main
from napari_cryospin.cli.console import progress_shown
from napari_cryospin.cli.demo import simulate_demo
from napari_cryospin.driving.run import drive_run
from napari_cryospin.io.open import open_particles
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.launch import RunThread
from napari_cryospin.runs.messages import Event, Status
from napari_cryospin.runs.source import RunInput
from napari_cryospin.runs.waiting import WAITS_FOR_SWITCH
from napari_cryospin.settings import PRESETS, MachineSettings, Settings
from napari_cryospin.simulation.files import write_simulation
from napari_cryospin.simulation.images import SimulationSettings
from napari_cryospin.simulation.sample_maps import SAMPLE_MAPS


def test_status_tells_of_a_run_whose_process_is_gone(run, capsys):
    status = Status(state="running", stage="auto-encoding", step=70, epoch=3, epochs=20, loss=0.5, resolution=12.3)
    run.write_status(status)
    run.append_event(Event(kind="refused", step=60, detail={"reason": "not yet"}))
    assert main(["status", str(run.path)]) == 0
    shown = capsys.readouterr().out
    assert "auto-encoding, epoch 3/20, step 70" in shown
    assert "12.3 A" in shown
    assert "its process is gone: `napari-cryospin resume` begins anew" in shown
    assert "not yet" in shown


def test_status_prints_the_verdict_in_one_line(run, capsys):
    run.write_status(Status(state="finished", verdict="ambiguous", verdict_text="ambiguous: mates. Try next: more"))
    assert main(["status", str(run.path)]) == 0
    assert "verdict: ambiguous: mates. Try next: more\n" in capsys.readouterr().out


def test_status_names_the_checkpoint_and_no_epoch(run, capsys):
    run.write_status(Status(state="running"))
    run.append_event(Event(kind="paused", step=1))
    for step in range(2, 9):
        run.append_event(Event(kind="epoch", step=step))
    with run.writing_checkpoint(8) as part:
        part.write_bytes(b"state")
    assert main(["status", str(run.path)]) == 0
    shown = capsys.readouterr().out
    assert "goes on from the last checkpoint" in shown
    assert "step 1: paused" in shown
    assert ": epoch" not in shown


def test_the_bar_shows_stage_loss_resolution_and_time_left(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress_shown() as progress:
        progress(
            Status(
                state="running",
                stage="auto-decoding",
                epoch=3,
                epochs=9,
                progress=0.25,
                elapsed=60,
                loss=0.5,
                resolution=7,
            )
        )
    shown = capsys.readouterr().err
    for text in ("auto-decoding 3/9", "25 %", "loss 0.5", "7.0 A", "03:00 left"):
        assert text in shown


def test_status_as_json(run, capsys):
    assert main(["status", str(run.path), "--json"]) == 0
    assert '"state": "starting"' in capsys.readouterr().out


def test_nothing_is_sent_to_a_run_that_nobody_drives(run, capsys):
    assert main(["send", str(run.path), "switch"]) == 2
    assert "nobody drives this run" in capsys.readouterr().err
    assert list((run.path / "commands").glob("*.json")) == []


def test_a_run_answers_every_command(tmp_path, stack, capsys):
    settings = dataclasses.replace(PRESETS["paper-cpu"], machine=MachineSettings(device="cpu"))
    schedule = dataclasses.replace(settings.schedule, epochs=100_000, switch="by-hand")
    settings = dataclasses.replace(settings, schedule=schedule)
    run = RunFolder.create(tmp_path / "run", RunInput(particles=stack), settings)
    run.append_event(Event(kind="stopped", step=3))  # of an earlier part of the run: no answer
    thread = RunThread(lambda stop: drive_run(run, stop=stop))
    thread.start()
    while not any(event.kind == "started" for event in run.read_events()):
        assert thread.is_alive()
        time.sleep(0.05)
    sent = ["pause", "resume", "resume", "pause", "pause", "save", "switch", "switch", "stop"]
    expected = [0, 0, 2, 0, 2, 0, 0, 2, 0]
    try:
        assert [main(["send", str(run.path), command]) for command in sent] == expected
    finally:
        thread.stop.set()
        thread.join()
    shown = capsys.readouterr().out.splitlines()
    kinds = ["paused", "resumed", "refused", "paused", "refused", "saved", "switched", "refused", "stopped"]
    assert [line.split()[0] for line in shown] == kinds
    assert shown[4].endswith(": the run is paused already")
    assert shown[6].endswith(": by hand: command line")
    assert shown[8] == f"stopped at step {run.read_status().step}"


LIMITED = """
import resource, signal, sys
from napari_cryospin.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a limit on the size of files")
@pytest.mark.parametrize(("limit", "suffix"), [(8_000, ".npz"), (300_000, ".pt")])
def test_a_full_disk_under_way_is_one_clear_line_and_status_1(limit, suffix, stack, tmp_path):
    run = tmp_path / "run"
    tiny = ["--epochs", "2", "--switch", "1", "--decoding-epochs", "1", "--device", "cpu", "--threads", "1"]
    command = [sys.executable, "-c", LIMITED, str(limit), "run", str(stack), "-o", str(run), *tiny]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "Traceback" not in result.stdout + result.stderr
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("the run failed")]
    assert f"{run}/" in line
    assert f"{suffix}: file too large" in line
    assert not [path for path in run.rglob("*") if path.suffix in (".part", ".pt")]
    assert RunFolder(run).read_status().state == "failed"


def test_simulate_replaces_simulations_only(stack, capsys):
    sample = Path(napari_cryospin.__file__).parent / "data" / "spliceosome_64.mrc"
    before = stack.read_text()
    assert main(["simulate", str(sample), str(stack.with_suffix("")), "--count", "2", "--box", "16"]) == 2
    assert "is no simulation" in capsys.readouterr().err
    assert stack.read_text() == before
    for _ in range(2):
        assert main(["simulate", str(sample), str(stack.with_name("new")), "--count", "2", "--box", "16"]) == 0


def test_beside_a_bar_only_warnings_are_shown(monkeypatch, capsys):
    for terminal, shown in ((True, ["careful"]), (False, ["by the way", "careful"])):
        monkeypatch.setattr(sys.stderr, "isatty", lambda terminal=terminal: terminal)
        with progress_shown():
            logging.getLogger("napari_cryospin.anything").info("by the way")
            logging.getLogger("napari_cryospin.anything").warning("careful")
        lines = capsys.readouterr().err.replace("\r", "\n").splitlines()
        assert [line for line in lines if line in ("by the way", "careful")] == shown


def test_a_run_never_overwrites_another(run, stack, capsys):
    assert main(["run", str(stack), "-o", str(run.path)]) == 2
    assert "holds a run of" in capsys.readouterr().err


def test_the_whole_way(tmp_path, capsys):
    stem, run = tmp_path / "simulated" / "particles", tmp_path / "run"
    sample = Path(napari_cryospin.__file__).parent / "data" / "spliceosome_64.mrc"
    assert main(["simulate", str(sample), str(stem), "--count", "64", "--box", "32", "--snr", "2"]) == 0
    tiny = [
        "--epochs",
        "3",
        "--switch",
        "2",
        "--batch-size",
        "32",
        "--heads",
        "2",
        "--device",
        "cpu",
        "--decoding-epochs",
        "None",
    ]
    assert main(["run", f"{stem}.star", "-o", str(run), *tiny]) == 0
    shown = capsys.readouterr()
    assert "finished after" in shown.out
    assert "switched" in shown.err  # no terminal: lines instead of a bar
    assert RunFolder(run).settings.encoder.heads == 2
    assert main(["evaluate", str(run), "--truth", f"{stem}_truth.star"]) == 0
    assert "rotation error median degrees" in capsys.readouterr().out
    assert main(["posterior", str(run), "--particle", "5", "--truth", f"{stem}_truth.star"]) == 0
    with np.load(run / "results" / "posterior_5.npz") as file:
        assert np.exp(file["log_posterior"]).sum() == pytest.approx(1, abs=1e-3)
        assert file["candidates"].shape == (2, 3, 3)
    for name in ("posterior_5.png", "convergence.png", "evaluation.json", "map.mrc", "map_filtered.mrc"):
        assert (run / "results" / name).stat().st_size > 0
    assert main(["posterior", str(run), "--particle", "5", "--out", str(tmp_path / "apo.5")]) == 0
    assert (tmp_path / "apo.5.png").exists()
    assert (tmp_path / "apo.5.npz").exists()
    assert main(["posterior", str(run), "--particle", "65"]) == 2
    assert "particle 65" in capsys.readouterr().err


@pytest.mark.slow
def test_demo_finds_the_truth(tmp_path, capsys):
    """As `scripts/demo` runs it, but for fewer particles."""
    assert main(["demo", "--output", str(tmp_path), "--count", "1000"]) == 0
    assert "map, poses and pictures" in capsys.readouterr().out
    results = tmp_path / "run" / "results"
    numbers = json.loads((results / "evaluation.json").read_text())
    assert numbers["within_10_degrees"] > 0.95
    assert numbers["rotation_error_median_degrees"] < 1
    assert numbers["shift_error_median_angstrom"] < 2  # shifts were looked for, and there are none
    assert numbers["fsc_to_80_percent_of_nyquist"] > 0.8
    assert {path.name for path in results.glob("*.png")} >= {"slices.png", "convergence.png", "posterior_1.png"}


def test_demo_replaces_an_earlier_demo(tmp_path):
    simulate_demo(tmp_path, SimulationSettings(count=6, box=32))
    RunFolder.create(tmp_path / "run", RunInput(particles=tmp_path / "particles.star"), Settings())
    files = simulate_demo(tmp_path, SimulationSettings(count=4, box=32))
    assert not (tmp_path / "run").exists()
    assert len(open_particles(files.particles)) == 4


def test_demo_leaves_the_files_of_others_alone(tmp_path, capsys):
    """Even where they have the names of its own, as the README's particles.star."""
    files = write_simulation(SAMPLE_MAPS["spliceosome"], tmp_path / "particles", SimulationSettings(count=4, box=32))
    RunFolder.create(tmp_path / "run", RunInput(particles=files.particles), Settings())
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert main(["demo", "--output", str(tmp_path)]) == 2
    assert "choose another --output" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_finished_run_has_nothing_to_go_on_with(run, capsys):
    run.write_status(Status(state="finished"))
    (run.path / "results" / "map.mrc").write_bytes(b"")
    assert main(["resume", str(run.path)]) == 0
    assert "has finished; map and poses" in capsys.readouterr().out
    assert main(["send", str(run.path), "stop"]) == 2
    assert "goes on with it" not in capsys.readouterr().err


def test_resume_finds_particles_that_were_moved(stack, tmp_path, capsys):
    run = tmp_path / "run"
    tiny = ["--switch", "1", "--device", "cpu", "--threads", "1", "--no-shifts"]
    assert main(["run", str(stack), "-o", str(run), "--epochs", "2", *tiny]) == 0
    RunFolder(run).write_status(Status(state="stopped"))
    (tmp_path / "moved").mkdir()
    for path in stack.parent.glob("particles*"):
        path.rename(tmp_path / "moved" / path.name)
    assert main(["resume", str(run)]) == 2
    assert "particles.star" in capsys.readouterr().err
    assert main(["resume", str(run), "--particles", str(tmp_path / "moved" / stack.name)]) == 0
    assert RunFolder(run).source.particles == tmp_path / "moved" / stack.name


def test_a_method_of_one_row_and_one_class_runs_and_is_told_of(guessing, stack, tmp_path, capsys):
    out = tmp_path / "run"
    flags = ["--method", "guessing", "--preset", "paper-cpu", "--epochs", "2", "--switch", "1", "--device", "cpu"]
    assert main(["run", str(stack), "--out", str(out), *flags]) == 0
    folder = RunFolder(out)
    assert folder.settings.method == "guessing"
    assert [event.kind for event in folder.read_events() if event.kind == "switched"] == ["switched"]
    assert (out / "results" / "map.mrc").exists()
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    assert "guessing: the best of three guesses" in " ".join(capsys.readouterr().out.split())


def test_a_run_that_waits_for_the_switch_says_how_it_goes_on(tmp_path, capsys, monkeypatch):
    settings = PRESETS["quick"]
    schedule = dataclasses.replace(settings.schedule, switch="by-hand")
    settings = dataclasses.replace(settings, schedule=schedule)
    folder = RunFolder.create(tmp_path / "run", RunInput(particles=tmp_path / "p.star"), settings)

    def drive(folder, *_, **__):
        status = Status(state="stopped", epoch=schedule.epochs, epochs=schedule.epochs, message=WAITS_FOR_SWITCH)
        folder.write_status(status)

    monkeypatch.setattr("napari_cryospin.driving.run.drive_run", drive)
    assert main(["resume", str(folder.path)]) == 0
    shown = capsys.readouterr().out
    assert f"{WAITS_FOR_SWITCH}: `napari-cryospin resume {folder.path}`" in shown
