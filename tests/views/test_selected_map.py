"""A map of some particles alone: of all of them it is the run's, of others it is made from these only."""

import dataclasses
import threading
from concurrent.futures import CancelledError

import numpy as np
import pytest
import torch

from napari_cryospin.driving.run import drive_run
from napari_cryospin.evaluation.fsc import fsc
from napari_cryospin.io.mrc import read_map
from napari_cryospin.io.open import open_particles
from napari_cryospin.physics.map_crop import fourier_crop_map
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import PRESETS
from napari_cryospin.simulation.files import write_simulation
from napari_cryospin.simulation.images import SimulationSettings
from napari_cryospin.simulation.sample_maps import SAMPLE_MAPS
from napari_cryospin.views.run_view import RunView


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A short run of 300 particles of 32 px, and their true poses."""
    place = tmp_path_factory.mktemp("selected")
    files = write_simulation(SAMPLE_MAPS["spliceosome"], place / "p", SimulationSettings(count=300, box=32, snr=1.0))
    quick = PRESETS["quick"]
    settings = dataclasses.replace(
        quick,
        encoder=dataclasses.replace(quick.encoder, heads=2, encoder_box=16, encoder_batch=50, shifts=False),
        schedule=dataclasses.replace(quick.schedule, epochs=3, decoding_epochs=2, switch=2, batch_size=60),
        posterior=dataclasses.replace(quick.posterior, search_at_switch=False, mates=False),
        machine=dataclasses.replace(quick.machine, device="cpu"),
    )
    folder = RunFolder.create(place / "run", RunInput(particles=files.particles), settings)
    drive_run(folder)
    return folder, open_particles(files.truth)


def at_true_poses(finished):
    folder, truth = finished
    view = RunView(folder)
    record = view.results.particles
    return view, dataclasses.replace(
        record, rotations=np.asarray(truth.rotations)[record.rows], shifts=np.zeros((len(record), 2)), belongs=None
    )


def test_poses_decide_the_map_and_more_particles_give_a_better_one(finished):
    """At true poses it is the sample's map, whatever map the run itself has found."""
    view, record = at_true_poses(finished)
    true, _ = read_map(SAMPLE_MAPS["spliceosome"])

    def agreement(count):
        made = view.map_of(record.select(np.arange(count)))
        assert made.density.shape == (32, 32, 32)

        small = fourier_crop_map(torch.from_numpy(true.astype(np.float32)), 32).numpy()
        return fsc(made.density, small, 1).values[1 : view.record().band].mean()

    few, all_of_them = agreement(15), agreement(300)
    assert all_of_them > 0.9
    assert all_of_them > few + 0.05


def test_it_has_the_scale_of_the_runs_own_map(finished):
    view = RunView(finished[0])
    made = view.map_of(view.results.particles)
    own = view.map().density
    inner = np.corrcoef(made.density.ravel(), own.ravel())[0, 1]
    assert inner > 0.8
    assert made.density.std() == pytest.approx(own.std(), rel=0.5)
    assert "300 particles" in made.note


@pytest.mark.parametrize("preset", PRESETS)
def test_a_run_of_any_preset_makes_it(finished, preset, tmp_path):
    """The volume of the run itself may be one that cannot be had in closed form."""
    view, record = at_true_poses(finished)
    folder = RunFolder.create(tmp_path / "run", view.folder.source, PRESETS[preset])
    folder.write_history(view.record(view.epochs[-1]))
    made = RunView(folder).map_of(record)
    true, _ = read_map(SAMPLE_MAPS["spliceosome"])
    small = fourier_crop_map(torch.from_numpy(true.astype(np.float32)), 32).numpy()
    assert fsc(made.density, small, 1).values[1 : view.record().band].mean() > 0.8


def test_no_particles_are_refused_and_a_call_can_be_cancelled(finished):
    view = RunView(finished[0])
    record = view.results.particles
    with pytest.raises(ValueError, match="no particles"):
        view.map_of(record.select(np.zeros(0, int)))
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(CancelledError):
        view.map_of(record, cancelled)
