"""A run of half sets with classes, from file to file: each half sorts by itself, results have one number for both."""

import dataclasses

import mrcfile
import numpy as np
import pytest
import torch

from napari_cryospin.driving.run import drive_run
from napari_cryospin.exporters.run_results import open_results
from napari_cryospin.exporters.table import export_run
from napari_cryospin.io.mrc import read_map, write_map
from napari_cryospin.io.open import open_particles
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import PRESETS, settings_from
from napari_cryospin.simulation.files import write_simulation
from napari_cryospin.simulation.images import SimulationSettings
from support.simulated import EXTENT
from support.stacks import write_stack

pytestmark = pytest.mark.slow

BOX, COUNT, PIXEL_SIZE = 24, 400, 4.0  # pixels, particles, Angstrom


@dataclasses.dataclass(frozen=True)
class Finished:
    folder: RunFolder
    second: np.ndarray  # (n,) whether the arm is there


@pytest.fixture(scope="module")
def finished(make_phantom, tmp_path_factory) -> Finished:
    """A run of half sets on a molecule with and without an arm, 60 : 40, that started from the molecule without it."""
    folder = tmp_path_factory.mktemp("halves")
    body = make_phantom(BOX)
    line = (torch.arange(BOX) - BOX // 2) * EXTENT / BOX
    x, y, z = (torch.exp(-((line - at) ** 2) / (2 * 7.0**2)) for at in (22.0, -16.0, 10.0))
    states = (body, body + 1.5 * torch.einsum("z,y,x->zyx", z, y, x))
    shown = SimulationSettings(count=COUNT, snr=3.0, seed=9)
    files = [
        write_simulation(each.numpy(), folder / name, shown, pixel_size=PIXEL_SIZE)
        for each, name in zip(states, ("body", "both"), strict=True)
    ]
    second = np.random.default_rng(3).random(COUNT) >= 0.6
    first, other = (mrcfile.read(folder / f"{name}.mrcs") for name in ("body", "both"))
    write_stack(folder / "body.mrcs", np.where(second[:, None, None], other, first), PIXEL_SIZE)
    write_map(folder / "body.mrc", body.numpy(), PIXEL_SIZE)
    quick, replace = PRESETS["quick"], dataclasses.replace
    settings = replace(
        quick,
        encoder=replace(quick.encoder, heads=2, encoder_box=16, shifts=False, encoder_batch=60),
        schedule=replace(quick.schedule, epochs=9, decoding_epochs=None, batch_size=60, switch=2),
        preparation=replace(quick.preparation, half_sets=True),
        volume=replace(quick.volume, growth_steps=4, encoding_band=6, classes=2, scales="none"),
        start=replace(quick.start, reference=str(folder / "body.mrc"), reference_resolution=20.0),
        machine=replace(quick.machine, device="cpu", threads=1),
    )
    run = RunFolder.create(folder / "run", RunInput(particles=files[0].particles), settings)
    drive_run(run)
    return Finished(run, second)


def right(numbers: np.ndarray, second: np.ndarray) -> float:
    """Share of the particles in the class of their state, whatever its number."""
    return max(((numbers == 2) == second).mean(), ((numbers == 2) != second).mean())


def test_it_ends_with_both_halves_sorted_alike(finished):
    results = open_results(finished.folder).record
    assert finished.folder.read_status().state == "finished"
    assert finished.folder.classes == 2
    for half in (1, 2):
        own = results.rows[results.half_sets == half]
        numbers = results.class_number[results.half_sets == half]
        assert len(own) == COUNT // 2
        assert right(numbers, finished.second[own]) > 0.9
    assert right(results.class_number, finished.second[results.rows]) > 0.9  # The same number in both halves.


def test_each_class_has_half_maps_that_agree(finished):
    for number in (1, 2):
        folder = finished.folder.of_class(number).results_path
        halves = [read_map(folder / f"half_map_{half}.mrc")[0] for half in (1, 2)]
        assert np.corrcoef(halves[0].ravel(), halves[1].ravel())[0, 1] > 0.7


def test_relion_and_cryosparc_get_the_matched_classes(finished, tmp_path):
    record = open_results(finished.folder).record.in_order_of_rows()
    export_run(finished.folder, "relion", tmp_path / "all.star")
    assert len(open_particles(tmp_path / "all.star", require_stacks=False)) == COUNT
    for number in (1, 2):
        export_run(finished.folder, "relion", tmp_path / f"{number}.star", class_number=number)
        one = open_particles(tmp_path / f"{number}.star", require_stacks=False)
        assert len(one) == (record.class_number == number).sum()
        assert set(np.unique(one.half_sets)) == {1, 2}
    exported = export_run(finished.folder, "cryosparc", tmp_path / "out")
    again = open_particles(exported.paths[1], require_stacks=False)
    np.testing.assert_allclose(again.rotations, record.rotations, atol=1e-6)


def test_a_new_run_goes_on_from_one_class_alone(finished, tmp_path):
    """From the map and the particles in the results of a class, without an export."""
    results = finished.folder.of_class(2).results_path
    settings = settings_from(
        "quick",
        reference=str(results / "map.mrc"),
        reference_resolution=20.0,
        heads=2,
        encoder_box=16,
        shifts=False,
        batch_size=60,
        epochs=4,
        decoding_epochs=None,
        switch=2,
        encoding_band=6,
        device="cpu",
        threads=1,
    )
    run = RunFolder.create(tmp_path / "run", RunInput(particles=results / "particles.star"), settings)
    drive_run(run)
    record, before = open_results(run).record, open_results(finished.folder).record.in_order_of_rows()
    assert len(record) == (before.class_number == 2).sum()
    own, other = (read_map(finished.folder.of_class(k).results_path / "map.mrc")[0].ravel() for k in (2, 1))
    found = read_map(run.results_path / "map.mrc")[0].ravel()
    # It stays in the frame of its reference, and is that class and not the other.
    assert np.corrcoef(found, own)[0, 1] > 0.8
    assert np.corrcoef(found, own - other)[0, 1] > np.corrcoef(found, other - own)[0, 1] + 0.2
