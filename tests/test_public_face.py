"""What a script may write: names, settings, the run's folder, errors; README's lines and the examples as they are."""

import dataclasses
import math
import re
import signal
import subprocess
import sys
from pathlib import Path

import mrcfile
import numpy as np
import pytest

import napari_cryospin as spin

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
SMALL = {"epochs": 4, "decoding_epochs": 2, "switch": 2, "heads": 3, "threads": 1}


@pytest.fixture(scope="module")
def particles(tmp_path_factory):
    stem = tmp_path_factory.mktemp("simulated") / "small"
    return spin.simulate(spin.SAMPLE_MAPS["spliceosome"], stem, count=120, box=24, snr=1.0)


@pytest.fixture(scope="module")
def told_and_run(particles, tmp_path_factory):
    """Summaries of the epochs, and the run that told them."""
    told = []
    run = spin.reconstruct(particles, tmp_path_factory.mktemp("runs") / "run", callback=told.append, **SMALL)
    return told, run


def test_every_public_name_is_there_and_documented():
    for name in spin.__all__:
        assert getattr(spin, name).__doc__ or name in ("PRESETS", "SAMPLE_MAPS", "__version__"), name
    assert set(spin.__all__) <= set(dir(spin))
    assert re.fullmatch(r"\d+\.\d+.*", spin.__version__)
    with pytest.raises(AttributeError, match="no attribute 'colour'"):
        _ = spin.colour


def test_import_loads_neither_torch_nor_qt_nor_numpy():
    heavy = ["torch", "qtpy", "napari", "numpy", "pydantic"]
    code = f"import napari_cryospin as spin, sys; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_public_functions_stay_functions_whatever_else_is_imported():
    """A room of the same name as a function would take its place as soon as it is imported."""
    code = (
        "import pkgutil, importlib, napari_cryospin as spin\n"
        "for module in pkgutil.iter_modules(spin.__path__, 'napari_cryospin.'):\n"
        "    if not module.name.endswith(('__main__', 'widgets')): importlib.import_module(module.name)\n"
        "import napari_cryospin.exporters.table\n"
        "print([name for name in ('open', 'simulate', 'reconstruct', 'resume', 'view', 'export')"
        " if not callable(getattr(spin, name))])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_run_has_the_files_of_the_command_line_and_the_same_map(told_and_run, particles, tmp_path):
    _, run = told_and_run
    flags = ["--epochs", "4", "--decoding-epochs", "2", "--switch", "2", "--heads", "3", "--threads", "1"]
    command = [sys.executable, "-m", "napari_cryospin", "run", particles.source, "-o", tmp_path / "run", *flags]
    subprocess.run([*map(str, command)], check=True, capture_output=True)
    names = {path.name for path in (tmp_path / "run" / "results").iterdir()}
    assert names == {path.name for path in (run.folder.path / "results").iterdir()}
    here, there = (mrcfile.read(path / "results" / "map.mrc") for path in (run.folder.path, tmp_path / "run"))
    np.testing.assert_array_equal(here, there)


def test_callback_hears_of_every_epoch(told_and_run):
    told, _ = told_and_run
    assert [summary.epoch for summary in told] == [1, 2, 3, 4]
    assert [summary.stage for summary in told] == ["auto-encoding"] * 2 + ["auto-decoding"] * 2
    assert all(math.isfinite(summary.loss) for summary in told)
    assert len(told[0].head_shares) == 3
    assert sum(told[0].head_shares) == pytest.approx(1)
    assert str(told[-1]).startswith("epoch 4/4, auto-decoding, loss ")


def test_callback_presses_the_switch_and_stops(particles, tmp_path):
    def hear(summary):
        if summary.epoch == 2:
            summary.switch("of all epochs this one")
        if summary.epoch == 3:
            summary.stop()

    run = spin.reconstruct(particles, tmp_path / "run", callback=hear, **{**SMALL, "epochs": 8, "switch": "by-hand"})
    (switched,) = (event for event in run.folder.read_events() if event.kind == "switched")
    assert switched.detail["reason"] == "of all epochs this one"
    assert run.status.state == "stopped"
    again = spin.resume(run)
    assert again.status.state == "finished"
    assert spin.resume(again.folder.path).status.state == "finished"


def test_ctrl_c_saves_writes_results_and_is_raised(particles, tmp_path):
    """As on the command line; the handler of signals is afterwards the one of before."""
    before = signal.getsignal(signal.SIGINT)

    def interrupt(summary):
        if summary.epoch == 2:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="saved; it can be resumed"):
        spin.reconstruct(particles, tmp_path / "run", callback=interrupt, **SMALL)
    assert signal.getsignal(signal.SIGINT) is before
    stopped = spin.view(tmp_path / "run")
    assert (stopped.status.state, stopped.status.epoch) == ("stopped", 2)
    assert len(stopped.results.particles) == len(particles)
    assert spin.resume(stopped).status.state == "finished"


def test_a_run_whose_results_are_gone_is_no_finished_run(particles, tmp_path):
    run = spin.reconstruct(particles, tmp_path / "run", **{**SMALL, "epochs": 2, "switch": 1, "decoding_epochs": 1})
    density = run.results.map
    (run.folder.results_path / "map.mrc").unlink()
    np.testing.assert_array_equal(spin.resume(run).results.map, density)


def test_view_is_what_the_run_gave(told_and_run):
    _, run = told_and_run
    seen = spin.view(run.folder.path)
    np.testing.assert_array_equal(seen.map().density, run.map().density)
    assert seen.status.state == "finished"


def test_exported_as_asked(told_and_run, tmp_path):
    _, run = told_and_run
    exported = spin.export(run, tmp_path / "poses.star", select="row <= 40")
    assert exported.paths == (tmp_path / "poses.star",)
    assert len(spin.open(exported.paths[0])) == 40
    with pytest.raises(ValueError, match=r"export: compress: no such option; expected some of star, statistics"):
        spin.export(run, tmp_path / "other.star", compress=True)
    with pytest.raises(ValueError, match="nothing is written for 'eman'"):
        spin.export(run, tmp_path / "other.star", to="eman")


def test_settings_by_their_own_names():
    settings = spin.settings_from("paper-cpu", heads=9, half_sets=True, method="cryospin", schedule={"switch": 60})
    expected = spin.PRESETS["paper-cpu"]
    assert settings.encoder == dataclasses.replace(expected.encoder, heads=9)
    assert settings.preparation.half_sets
    assert settings.schedule == dataclasses.replace(expected.schedule, switch=60)
    assert spin.settings_from() == spin.PRESETS["quick"]


@pytest.mark.parametrize(
    ("preset", "changes", "text"),
    [
        ("quik", {}, r"preset is 'quik'; expected one of quick, .* \(did you mean quick\?\)"),
        ("quick", {"headz": 3, "epoch": 2}, r"(?s)headz is no setting \(did you mean heads\?\).*epoch is no setting"),
        ("quick", {"heads": 7.5, "padding": "2"}, r"(?s)encoder.heads is 7.5; expected a whole number.*volume.padding"),
        ("quick", {"encoder": {"colour": 1}}, r"encoder.colour is no setting"),
        ("quick", {"encoder": 3}, r"encoder is 3; expected a group of settings"),
        ("quick", {"preset": "paper-cpu"}, None),
    ],
)
def test_wrong_settings_are_refused_together(preset, changes, text):
    if text is None:
        with pytest.raises(TypeError):
            spin.settings_from(preset, **changes)
        return
    with pytest.raises(ValueError, match=text):
        spin.settings_from(preset, **changes)


def test_bad_input_leaves_no_folder(particles, tmp_path):
    for changes, text in (({"heads": 0}, "encoder.heads"), ({"box": 512}, "box 512 px"), ({"device": "tpu"}, "tpu")):
        with pytest.raises(ValueError, match=text):
            spin.reconstruct(particles, tmp_path / "run", **changes)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.star"):
        spin.reconstruct(tmp_path / "nowhere.star", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_chosen_rows_are_not_taken_for_the_whole_file(particles, tmp_path):
    with pytest.raises(ValueError, match="not that file as it lies"):
        spin.reconstruct(particles.select(range(50)), tmp_path / "run")


def test_run_of_a_bare_stack_remembers_how_it_was_opened(particles, tmp_path):
    stack = spin.open(particles.stacks[0], pixel_size=5.0)
    settings = {**SMALL, "epochs": 2, "switch": 1, "decoding_epochs": 1}
    run = spin.reconstruct(stack, tmp_path / "run", **settings)
    assert run.folder.source.pixel_size == 5.0
    assert run.input.ctf is None


@pytest.mark.slow
def test_lines_of_the_readme_give_the_map_of_the_command_line(tmp_path):
    (script,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in script.splitlines() if line.strip()]) <= 12
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True, timeout=600)
    command = [sys.executable, "-m", "napari_cryospin", "run", "sample.star", "-o", "again", "--heads", "5"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=600)
    here, there = (mrcfile.read(tmp_path / name / "results" / "map.mrc") for name in ("first-run", "again"))
    np.testing.assert_array_equal(here, there)


@pytest.mark.slow
def test_examples_run(tmp_path):
    def example(name, *arguments):
        command = [sys.executable, ROOT / "examples" / name, *arguments]
        return subprocess.run([*map(str, command)], check=True, capture_output=True, text=True, timeout=600).stdout

    shown = example("first_map.py", tmp_path, "--count", 300)
    assert (tmp_path / "posterior_12.png").is_file()
    assert (tmp_path / "poses.star").is_file()
    assert "auto-decoding" in shown
    shown = example("hand_on_the_switch.py", tmp_path / "sample.star", tmp_path / "by-hand", "--latest", 2)
    assert re.search(r"switched at step \d+: epoch \d", shown)
    particles, reference = tmp_path / "sample.star", spin.SAMPLE_MAPS["spliceosome"]
    flags = ("--symmetry", "C1", "--resolution", 60, "--epochs", 3)
    shown = example("real_particles.py", particles, reference, tmp_path / "twice", *flags)
    assert re.search(r"^from nothing: .*", shown, re.MULTILINE)
    assert re.search(r"^from the map: .*\n  its map agrees with the given one to [\d.]+ A", shown, re.MULTILINE)
    left = re.search(r"([\d.]+) degrees are left", example("physics.py"))
    assert float(left.group(1)) < 0.5
