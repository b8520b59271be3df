"""A run whose classes each start from a map of their own: it keeps the maps apart, from files to exports."""

import dataclasses
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import torch

from napari_cryospin.cli import main
from napari_cryospin.driving.reference import laid_on
from napari_cryospin.driving.run import drive_run, load_checkpoint, prepare
from napari_cryospin.evaluation.map_alignment import apply_alignment
from napari_cryospin.exporters.run_results import open_results
from napari_cryospin.exporters.table import export_run
from napari_cryospin.io.mrc import read_map, write_map
from napari_cryospin.io.open import open_particles
from napari_cryospin.physics.map_resampling import resample_map
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.reference import references_of
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import PRESETS, Settings, settings_from
from napari_cryospin.simulation.files import write_simulation
from napari_cryospin.simulation.images import SimulationSettings
from support.same_state import assert_same
from support.simulated import EXTENT, symmetric_phantom
from support.stacks import write_stack

BOX, COUNT, PIXEL_SIZE = 24, 200, 4.0  # pixels, particles, Angstrom
OTHER_BOX = 40  # pixels of the second map's own file


@dataclasses.dataclass(frozen=True)
class Mixture:
    """A stack of two molecules, and a map of each in a file of its own box and pixel size."""

    stack: Path
    second: np.ndarray  # (n,) whether the particle is the second molecule
    molecules: tuple[np.ndarray, np.ndarray]  # (n, n, n) each
    maps: tuple[Path, Path]

    def settings(self) -> Settings:
        quick, replace = PRESETS["quick"], dataclasses.replace
        return replace(
            quick,
            encoder=replace(quick.encoder, heads=2, encoder_box=16, shifts=False, encoder_batch=50),
            schedule=replace(quick.schedule, epochs=5, decoding_epochs=None, batch_size=50, switch=2),
            volume=replace(quick.volume, growth_steps=4, encoding_band=6, classes=2, scales="none"),
            start=replace(quick.start, reference=tuple(map(str, self.maps)), reference_resolution=20.0),
            machine=replace(quick.machine, device="cpu", threads=1),
        )


@pytest.fixture(scope="module")
def mixture(make_phantom, tmp_path_factory) -> Mixture:
    folder = tmp_path_factory.mktemp("mixture")
    molecules = (make_phantom(BOX), symmetric_phantom(BOX, "C1", blobs=12, width=5.0, seed=7))
    shown = SimulationSettings(count=COUNT, snr=2.0, seed=9)
    files = [
        write_simulation(each.numpy(), folder / name, shown, pixel_size=PIXEL_SIZE)
        for each, name in zip(molecules, ("first", "second"), strict=True)
    ]
    second = np.random.default_rng(3).random(COUNT) >= 0.6
    images = [mrcfile.read(folder / f"{name}.mrcs") for name in ("first", "second")]
    write_stack(folder / "first.mrcs", np.where(second[:, None, None], images[1], images[0]), PIXEL_SIZE)
    maps = (folder / "first_map.mrc", folder / "second_map.mrc")
    write_map(maps[0], 50 * molecules[0].numpy(), PIXEL_SIZE)
    finer = resample_map(molecules[1], PIXEL_SIZE, OTHER_BOX, EXTENT / OTHER_BOX, 2 * PIXEL_SIZE)
    write_map(maps[1], 0.01 * finer.numpy(), EXTENT / OTHER_BOX)
    return Mixture(files[0].particles, second, (molecules[0].numpy(), molecules[1].numpy()), maps)


@pytest.fixture(scope="module")
def finished(mixture, tmp_path_factory) -> RunFolder:
    path = tmp_path_factory.mktemp("finished") / "run"
    run = RunFolder.create(path, RunInput(particles=mixture.stack), mixture.settings())
    drive_run(run)
    return run


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


@pytest.mark.slow
def test_each_class_keeps_its_own_map(mixture, finished):
    results = open_results(finished).record
    in_second = results.class_number == 2  # The numbers are those of the maps.
    assert (in_second == mixture.second[results.rows]).mean() > 0.97
    for number in (1, 2):
        density, _ = read_map(finished.of_class(number).results_path / "map.mrc")
        own, other = mixture.molecules[number - 1], mixture.molecules[2 - number]
        assert correlation(density, own) > 0.8  # In the frame of the map that it started from.
        assert correlation(density, own) > correlation(density, other) + 0.2


@pytest.mark.slow
def test_the_run_tells_from_which_maps_it_started(mixture, finished, capsys):
    records = references_of(finished.path)
    assert [record.file for record in records] == [str(path) for path in mixture.maps]
    assert [record.box for record in records] == [BOX, OTHER_BOX]
    assert finished.settings.start.reference == tuple(map(str, mixture.maps))
    for number, molecule in enumerate(mixture.molecules, start=1):
        copy, pixel_size = read_map(finished.path / f"reference_{number}.mrc")
        assert pixel_size == pytest.approx(PIXEL_SIZE)
        assert correlation(copy, molecule) > 0.8
    assert main(["status", str(finished.path)]) == 0
    told = capsys.readouterr().out
    assert all(f"started from {path}" in told for path in mixture.maps)
    (split,) = [event for event in finished.read_events() if event.detail.get("change") == "split"]
    assert "sorted into 2 classes by the map that each starts from" in split.detail["reason"]


@pytest.mark.slow
def test_its_export_reads_back(finished, tmp_path):
    record = open_results(finished).record.in_order_of_rows()
    for number in (1, 2):
        export_run(finished, "relion", tmp_path / f"{number}.star", class_number=number)
        one = open_particles(tmp_path / f"{number}.star", require_stacks=False)
        own = record.class_number == number
        np.testing.assert_allclose(one.rotations, record.rotations[own], atol=1e-4)


@pytest.mark.slow
def test_a_run_that_stopped_before_the_switch_goes_on_without_the_files(mixture, finished, tmp_path):
    broken = RunFolder.create(tmp_path / "broken", RunInput(particles=mixture.stack), mixture.settings())
    _, reconstruction, _ = prepare(broken)
    for _ in range(6):
        reconstruction.advance()
    assert reconstruction.switched_at is None
    state = {"step": 6, "epoch": 1, "elapsed": 0.0, "reconstruction": reconstruction.state_dict()}
    with broken.writing_checkpoint(6) as part:
        torch.save(state, part)
    for path in broken.path.glob("reference*"):
        path.unlink()
    drive_run(broken)
    assert_same(load_checkpoint(broken)["reconstruction"], load_checkpoint(finished)["reconstruction"])


@pytest.mark.parametrize("classes", [1, 3])
def test_another_number_of_maps_than_classes_is_refused(classes, mixture, tmp_path, capsys):
    maps = [str(path) for path in mixture.maps]
    with pytest.raises(ValueError, match=rf"names 2 maps, volume.classes is {classes}; expected one map, or one a cla"):
        settings_from("quick", reference=maps, classes=classes)
    run = ["run", str(mixture.stack), "-o", str(tmp_path / "run"), "--classes", str(classes), "--reference", *maps]
    assert main(run) == 2
    complaint = capsys.readouterr().err
    assert "expected one map, or one a class" in complaint
    assert "Traceback" not in complaint
    assert not (tmp_path / "run").exists()


def test_no_map_at_all_is_refused(mixture, capsys):
    assert main(["inspect", str(mixture.stack), "--reference"]) == 2
    assert "expected a path or several, or None" in "".join(capsys.readouterr())


def test_the_card_names_the_map_that_cannot_be_used(mixture, tmp_path, capsys):
    maps = [str(mixture.maps[0]), str(tmp_path / "missing.mrc")]
    assert main(["inspect", str(mixture.stack), "--classes", "2", "--reference", *maps]) == 2
    assert maps[1] in capsys.readouterr().out
    assert main(["inspect", str(mixture.stack), "--classes", "2", "--reference", *map(str, mixture.maps)]) == 0
    card = capsys.readouterr().out
    assert all(f"{path}, " in card for path in mixture.maps)


def test_a_map_in_another_frame_is_laid_on_the_first(mixture, caplog):
    """As two maps of one molecule from two data bases are; maps of a symmetry stay where its axes are."""
    first, _ = mixture.molecules
    angle = np.radians(50)
    about_x = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    turned = apply_alignment(first, about_x, (3.0, -2.0, 0.0), PIXEL_SIZE)
    assert correlation(turned, first) < 0.7
    laid = laid_on(first, turned, PIXEL_SIZE, mixture.settings(), "turned.mrc")
    assert correlation(laid, first) > 0.95
    assert "turned.mrc was turned to lie on the map of the first class" in caplog.text
    symmetric = settings_from("quick", symmetry="C3", classes=2)
    assert laid_on(first, turned, PIXEL_SIZE, symmetric, "turned.mrc") is turned
    assert laid_on(first, 0.9 * first, PIXEL_SIZE, mixture.settings(), "same.mrc") == pytest.approx(0.9 * first)
