"""The map that a run starts from, as a file: what is refused, what the run's folder keeps, what is shown of it."""

import dataclasses
import hashlib
import json
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import torch

import napari_cryospin as spin
from napari_cryospin.checks.preflight import preflight
from napari_cryospin.cli import main
from napari_cryospin.driving.run import drive_run, load_checkpoint, prepare
from napari_cryospin.io.mrc import read_map, write_map
from napari_cryospin.io.open import open_particles
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.reference import REFERENCE_MAP, REFERENCE_RECORD, references_of
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import Settings, settings_from
from napari_cryospin.simulation.files import write_simulation
from napari_cryospin.simulation.images import SimulationSettings
from support.same_state import assert_same

BOX, PIXEL_SIZE = 16, 6.0  # pixels, Angstrom: the phantom's 96 A


@pytest.fixture(scope="module")
def density(make_phantom) -> np.ndarray:
    return make_phantom(BOX).numpy()


@pytest.fixture(scope="module")
def stack(density, tmp_path_factory) -> Path:
    """60 particles, `.star`."""
    out = tmp_path_factory.mktemp("simulated") / "particles"
    return write_simulation(density, out, SimulationSettings(count=60, snr=1.0), pixel_size=PIXEL_SIZE).particles


@pytest.fixture
def reference(density, tmp_path) -> Path:
    write_map(tmp_path / "elsewhere.mrc", 3e4 * density, PIXEL_SIZE)
    return tmp_path / "elsewhere.mrc"


def from_map(path: Path | str, **changes) -> Settings:
    short = {"heads": 2, "encoder_box": 16, "epochs": 4, "decoding_epochs": None, "switch": 2, "batch_size": 15}
    machine = {"device": "cpu", "threads": 1, "checkpoint_every": 0.0}
    return settings_from(
        "quick", **{"reference": str(path), "reference_resolution": 24.0, **short, **machine, **changes}
    )


def small(path: Path, density: np.ndarray) -> None:
    write_map(path, density[4:12, 4:12, 4:12], PIXEL_SIZE)


def without_pixel_size(path: Path, density: np.ndarray) -> None:
    write_map(path, density, PIXEL_SIZE)
    with mrcfile.open(path, "r+") as mrc:
        mrc.voxel_size = 0.0


BAD = {
    "has no pixel size": (without_pixel_size, "header says no pixel size; expected one"),
    "is no cube": (lambda path, density: write_map(path, density[2:], PIXEL_SIZE), r"\(14, 16, 16\).* expected a cube"),
    "is small": (small, r"8 px at 6 A, 48 A wide; expected at least the diameter of the particles' mask, 88 A"),
    "is coarse": (
        lambda path, density: write_map(path, density, 10 * PIXEL_SIZE),
        "pixels of 60 A hold no detail below 120 A; expected at most 12 A for a map that is low-passed to 24 A",
    ),
    "holds no numbers": (lambda path, density: write_map(path, np.log(density - 1), PIXEL_SIZE), "no numbers"),
    "is flat": (lambda path, density: write_map(path, 0 * density + 3, PIXEL_SIZE), "every value is 3; expected a map"),
    "is a text": (
        lambda path, density: path.write_text("data_particles\n\nloop_\n"),
        "found a STAR file, expected an MRC",
    ),
    "is not there": (lambda path, density: None, "map.mrc"),
    "is a folder": (lambda path, density: path.mkdir(), "map.mrc"),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("bad", BAD)
def test_a_map_that_cannot_be_used_is_one_clear_problem(bad, density, stack, tmp_path, capsys):
    make, said = BAD[bad]
    path = tmp_path / "map.mrc"
    make(path, density)
    card = preflight(open_particles(stack), from_map(path))
    assert len(card.problems) == 1
    with pytest.raises(ValueError, match=said):
        card.require_possible()
    run = ["run", str(stack), "-o", str(tmp_path / "run"), "--reference", str(path)]
    assert main(run) == 2
    complaint = capsys.readouterr().err
    assert str(path) in complaint
    assert "Traceback" not in complaint
    assert not (tmp_path / "run").exists()


def test_a_resolution_that_leaves_nothing_is_refused(stack, reference, capsys):
    assert main(["inspect", str(stack), "--reference", str(reference), "--reference-resolution", "60"]) == 2
    assert "expected at most 48 A (--reference-resolution)" in capsys.readouterr().out


def test_a_reference_needs_poses_drawn_from_the_posterior():
    with pytest.raises(ValueError, match=r"start.reference is given; expected posterior.posterior_sample with it"):
        settings_from("paper-cpu", reference="map.mrc")
    assert settings_from("paper-cpu", reference="map.mrc", posterior_sample=True).start.reference == "map.mrc"


def test_the_card_and_the_status_tell_of_the_reference(stack, reference, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(reference.parent)
    assert main(["inspect", str(stack), "--reference", reference.name]) == 0
    said = f"{reference}, 16 px at 6 A, low-passed to 30 A"
    assert f"reference:     {said}" in capsys.readouterr().out
    view = spin.reconstruct(stack, tmp_path / "run", preset="quick", **overrides(from_map(reference.name)))
    assert Path(view.folder.settings.start.reference) == reference  # whatever folder it is resumed from
    main(["status", str(tmp_path / "run")])
    assert f"started from {said.replace('30 A', '24 A')}" in capsys.readouterr().out


def overrides(settings: Settings) -> dict:
    groups = dataclasses.asdict(settings)
    return {name: values for name, values in groups.items() if isinstance(values, dict)}


def test_a_run_keeps_its_reference_and_goes_on_without_the_file(stack, reference, density, tmp_path):
    digest = hashlib.sha256(reference.read_bytes()).hexdigest()
    folder = RunFolder.create(tmp_path / "run", RunInput(particles=stack), from_map(reference))
    _, first, _ = prepare(folder)
    reference.unlink()
    (record,) = references_of(folder.path)
    assert (record.file, record.box, record.sha256) == (str(reference), BOX, digest)
    copy, pixel_size = read_map(folder.path / REFERENCE_MAP)
    assert pixel_size == pytest.approx(PIXEL_SIZE)
    assert np.corrcoef(copy.ravel(), density.ravel())[0, 1] > 0.9
    _, again, _ = prepare(folder)
    assert_same(again.state_dict(), first.state_dict())
    drive_run(folder)
    assert folder.finished


def test_a_stopped_run_goes_on_as_if_never_stopped(stack, reference, tmp_path):
    whole = RunFolder.create(tmp_path / "whole", RunInput(particles=stack), from_map(reference))
    drive_run(whole)
    broken = RunFolder.create(tmp_path / "broken", RunInput(particles=stack), from_map(reference))
    _, reconstruction, _ = prepare(broken)
    for _ in range(2):  # within the first epoch, while the reference is held
        reconstruction.advance()
    state = {"step": 2, "epoch": 0, "elapsed": 0.0, "reconstruction": reconstruction.state_dict()}
    with broken.writing_checkpoint(2) as part:
        torch.save(state, part)
    for name in (REFERENCE_MAP, REFERENCE_RECORD):
        (broken.path / name).unlink()
    reference.unlink()
    drive_run(broken)
    assert_same(load_checkpoint(broken)["reconstruction"], load_checkpoint(whole)["reconstruction"])


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / REFERENCE_RECORD).write_text(json.dumps({"file": "map.mrc"}))
    with pytest.raises(ValueError, match=r"reference.json: not written by a run, or damaged"):
        references_of(tmp_path)
