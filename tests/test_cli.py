"""The command line: what it answers, with which exit status, and how fast the light commands start."""

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
from napari_cryospin.cli import COMMANDS, main
from napari_cryospin.cli.console import progress_shown
from napari_cryospin.cli.demo import simulated
from napari_cryospin.inference.run import reconstruct
from napari_cryospin.io.mrc import write_stack
from napari_cryospin.io.open import open_particles
from napari_cryospin.physics.simulate import SimulationSettings
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.launch import RunThread
from napari_cryospin.runs.messages import Event, Status
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import PRESETS, MachineSettings, Settings


@pytest.fixture
def run(tmp_path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", RunInput(particles=Path("particles.star")), Settings())


@pytest.fixture
def stack(tmp_path) -> Path:
    """Six noise images with a CTF."""
    rng = np.random.default_rng(0)
    write_stack(tmp_path / "images.mrcs", rng.normal(size=(6, 32, 32)).astype(np.float32), 2.0)
    names = "ImageName ImagePixelSize ImageSize Voltage SphericalAberration AmplitudeContrast DefocusU DefocusV "
    names += "DefocusAngle"
    header = "".join(f"_rln{name} #{number}\n" for number, name in enumerate(names.split(), start=1))
    rows = "".join(f"{i + 1}@images.mrcs 2.0 32 300 2.7 0.1 15000 14000 35\n" for i in range(6))
    (tmp_path / "particles.star").write_text(f"data_particles\nloop_\n{header}{rows}")
    return tmp_path / "particles.star"


def test_help_names_every_command(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name}" in shown for name in COMMANDS)
    assert main([]) == 2


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("napari-cryospin 0")


@pytest.mark.parametrize(
    ("command", "line"),
    [("run", "PARTICLES"), ("inspect", "FILE"), ("simulate", "MAP OUT"), ("send", "RUN {pause,"), ("status", "RUN")],
)
def test_help_names_what_is_asked_for(command, line, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert line in " ".join(capsys.readouterr().out.split("\n\n")[0].split())


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


def test_a_run_answers_every_command(tmp_path, stack, capsys):
    settings = dataclasses.replace(PRESETS["paper-cpu"], machine=MachineSettings(device="cpu"))
    schedule = dataclasses.replace(settings.schedule, epochs=100_000, switch="by-hand")
    settings = dataclasses.replace(settings, schedule=schedule)
    run = RunFolder.create(tmp_path / "run", RunInput(particles=stack), settings)
    run.append_event(Event(kind="stopped", step=3))  # of an earlier part of the run: no answer
    thread = RunThread(lambda stop: reconstruct(run, stop=stop))
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


def test_light_commands_do_not_load_torch(run, stack):
    code = "import sys; from napari_cryospin.cli import main; main(sys.argv[1:]); assert 'torch' not in sys.modules"
    for arguments in (["status", str(run.path)], ["send", str(run.path), "stop"], ["inspect", str(stack)]):
        subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)


def test_inspect_prints_the_card(stack, capsys):
    assert main(["inspect", str(stack)]) == 0
    shown = capsys.readouterr().out
    for text in ("6", "32 px at 2 A", "CTF"):
        assert text in shown


def test_inspect_names_all_missing_stacks_and_says_that_a_run_is_impossible(stack, capsys):
    stack.with_name("images.mrcs").unlink()
    assert main(["inspect", str(stack)]) == 2
    assert "images.mrcs" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["run", "inspect"])
def test_help_shows_settings_with_units_and_the_defaults_of_the_preset(command, capsys):
    for preset, heads in (("quick", PRESETS["quick"].encoder.heads), ("paper-experimental", 15)):
        with pytest.raises(SystemExit):
            main([command, "--preset", preset, "--help"])
        shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
        assert "Radius of the soft circular mask. Default: 0.46 of the box. Unit: A. (default: None)" in shown
        assert f"(M). (default: {heads})" in shown


def test_flags_override_the_preset(stack, capsys):
    assert main(["inspect", str(stack), "--preset", "paper-cpu", "--box", "16", "--half-sets"]) == 0
    assert "16 px at 4 A" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["inspect", "run"])
@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--box", "31"], "even"),
        (["--box", "8"], "16"),
        (["--box", "64"], "64"),
        (["--preset", "fast"], "quick"),
        (["--max-shift", "999"], "half of the box, 32 A"),
        (["--mask-radius", "1"], "3 to 64 A"),
        (["--data-dir", "nowhere"], "no such folder"),
    ],
)
def test_impossible_settings_are_status_2_and_no_traceback(command, options, named, stack, tmp_path, capsys):
    out = ["-o", str(tmp_path / "run")] if command == "run" else []
    try:
        code = main([command, str(stack), *out, *options])
    except SystemExit as exit_:  # the parser's own complaint
        code = exit_.code
    shown = capsys.readouterr()
    assert code == 2
    assert named in shown.out + shown.err
    assert "Traceback" not in shown.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "named"),
    [(None, "no such file"), ("", "particles.star"), ("data_\nloop_\n_rlnVoltage #1\n300\n", "rlnImageName")],
)
def test_bad_particle_files_are_one_clear_line(content, named, tmp_path, capsys):
    path = tmp_path / "particles.star"
    if content is not None:
        path.write_text(content)
    assert main(["run", str(path), "-o", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert named in error
    assert "particles.star" in error
    assert error.count("\n") == 1


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
    assert main(["posterior", str(run), "--particle", "64"]) == 2
    assert "particle 64" in capsys.readouterr().err


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
    assert {path.name for path in results.glob("*.png")} >= {"slices.png", "convergence.png", "posterior_0.png"}


def test_demo_replaces_an_earlier_demo(tmp_path):
    RunFolder.create(tmp_path / "run", RunInput(particles=tmp_path / "particles.star"), Settings())
    files = simulated(tmp_path, SimulationSettings(count=4, box=32))
    assert not (tmp_path / "run").exists()
    assert len(open_particles(files.particles)) == 4


def test_demo_leaves_the_runs_of_others_alone(run, capsys):
    assert main(["demo", "--output", str(run.path.parent)]) == 2
    assert "choose another --output" in capsys.readouterr().err
