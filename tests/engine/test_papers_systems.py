"""The other systems of the paper: each learns, has all that a run has, and goes on from a checkpoint."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from napari_cryospin.engine.commands import Commands
from napari_cryospin.engine.hierarchical_search import HierarchicalSearch
from napari_cryospin.engine.methods import METHODS
from napari_cryospin.engine.proposers import Heads, StoredPose
from napari_cryospin.engine.reconstruction import Reconstruction
from napari_cryospin.engine.volume_steps import AdamStep, WholeAverage
from napari_cryospin.evaluation.against_truth import compare_poses
from napari_cryospin.methods import DESCRIPTIONS
from napari_cryospin.models.hartley_volume import HartleyVolume
from napari_cryospin.models.implicit_volume import ImplicitVolume
from napari_cryospin.models.wiener_volume import WienerVolume
from napari_cryospin.particles import Particles
from napari_cryospin.runs.messages import RefusedError
from napari_cryospin.settings import PRESETS, Settings, settings_from

COUNT, BOX = 160, 16
SYSTEMS = {
    "cryoposenet": (Heads, AdamStep, HartleyVolume),
    "cryoai": (Heads, AdamStep, ImplicitVolume),
    "cryoai-explicit": (Heads, AdamStep, HartleyVolume),
    "hierarchical": (HierarchicalSearch, AdamStep, HartleyVolume),
    "known-poses": (StoredPose, WholeAverage, WienerVolume),
}
"""Preset and method -> its proposer, volume step and volume."""
ONE_HEAD = ["cryoposenet", "cryoai", "cryoai-explicit"]


@pytest.fixture(scope="module")
def particles(make_phantom, simulate) -> Particles:
    return simulate(make_phantom(BOX), count=COUNT, snr=2.0, seed=4).particles


def small(preset: str, **changes: object) -> Settings:
    """The preset with a small encoder and few epochs, on centred particles."""
    sizes = {"trunk": "small", "encoder_box": BOX, "encoder_learning_rate": 1e-3} if preset in ONE_HEAD else {}
    common = {"shifts": False, "batch_size": 40, "epochs": 4, "device": "cpu"}
    return settings_from(preset, **(common | sizes | changes))


def finished(particles: Particles, settings: Settings) -> tuple[Reconstruction, list[float]]:
    """A run to its end, and its mean error epoch by epoch."""
    run, errors = Reconstruction(particles, settings), []
    while not run.finished:
        run.advance()
        if run.epoch_ended:
            errors.append(float(run.fits[0].particles.error.mean()))
    return run, errors


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_preset_is_its_method_with_all_that_this_requires(system, particles):
    assert PRESETS[system].method == system
    assert DESCRIPTIONS[system].preset == system
    proposer, volume_step, volume = SYSTEMS[system]
    run = Reconstruction(particles, small(system))
    (stage,) = run.first_stages
    assert [type(each) for each in stage.proposers] == [proposer]
    assert type(stage.volume_step) is volume_step
    assert type(run.fits[0].volume) is volume
    assert METHODS[system].switch is None
    assert run.fits[0].heads == {"cryoposenet": 1, "cryoai": 2, "cryoai-explicit": 2}.get(system, 0)


@pytest.mark.parametrize("system", ONE_HEAD)
def test_one_head_learns(system, particles):
    """Each epoch explains more, and four of them at least a tenth of what an empty map leaves unexplained."""
    run, errors = finished(particles, small(system))
    fit = run.fits[0]
    batch = fit.batch(torch.arange(COUNT))
    power = (batch.images.abs().square() * batch.weights).sum(1).mean()
    empty = float(power) / fit.noise_error(len(batch.points))
    assert errors == sorted(errors, reverse=True)
    assert empty - errors[-1] > 0.1 * (empty - 1)


def test_search_from_coarse_to_fine_learns_map_and_poses(make_phantom, simulate):
    particles = simulate(make_phantom(BOX), count=400, snr=2.0, seed=4).particles
    run, errors = finished(particles, small("hierarchical", epochs=16, growth_steps=100, batch_size=64))
    found = run.results()
    posed = dataclasses.replace(particles, rotations=found.particles.rotations, shifts=found.particles.shifts)
    assert compare_poses(posed, particles, "C1")[0].median < 8
    assert errors[-1] < 0.3 * errors[0]


def test_known_poses_stay_and_their_map_is_the_average(particles):
    run, errors = finished(particles, small("known-poses", epochs=2))
    fit = run.fits[0]
    assert torch.equal(fit.particles.rotations, torch.from_numpy(particles.rotations).float())
    assert not fit.particles.shifts.any()
    assert set(fit.particles.winner.tolist()) == {-1}  # No candidate won: there was none.
    density = run.results().map.copy()
    stage = run.first_stages[0]
    stage.volume_step.remake()  # All particles once, with the present noise.
    remade = run.results().map
    assert np.corrcoef(density.ravel(), remade.ravel())[0, 1] > 0.999
    assert errors[-1] < 1.5


@pytest.mark.parametrize(("update", "rate"), [("adam", 0.05), ("implicit", 3e-4)])
def test_a_volume_is_learned_by_gradients_at_known_poses(update, rate, particles):
    changes = {"epochs": 5, "batch_size": 20, "padding": 1, "volume_learning_rate": rate}
    run, errors = finished(particles, small("known-poses", volume_update=update, **changes))
    assert errors[-1] < 0.5 * errors[0]
    assert run.results().map.shape == (BOX,) * 3


def test_off_centre_poses_are_those_of_the_file(make_phantom, simulate):
    shifted = simulate(make_phantom(BOX), count=40, snr=2.0, seed=4, shift_sd=5.0).particles
    run = Reconstruction(shifted, small("known-poses", shifts=True, subset=30))
    expected = torch.from_numpy(shifted.shifts[run.indices]).float()
    run.advance()
    assert torch.equal(run.fits[0].particles.shifts, expected)


def test_what_a_file_lacks_is_named(particles):
    nothing = dataclasses.replace(particles, rotations=None, shifts=None)
    with pytest.raises(ValueError) as caught:
        Reconstruction(nothing, small("known-poses", shifts=True))
    assert str(caught.value) == (
        "memory.star: the poses are not known: found no rotations (rlnAngleRot, rlnAngleTilt, rlnAnglePsi) and no "
        "shifts (rlnOriginXAngst, rlnOriginYAngst); expected them in the file, for a method that takes them as known"
    )
    unshifted = dataclasses.replace(particles, shifts=None)
    with pytest.raises(ValueError, match=r"found no shifts .*; expected them in the file, or centred particles"):
        Reconstruction(unshifted, small("known-poses", shifts=True))
    Reconstruction(unshifted, small("known-poses"))


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_resumed_run_goes_on_as_if_never_stopped(system, particles):
    settings = small(system, epochs=3)
    whole, resumed = Reconstruction(particles, settings), Reconstruction(particles, settings)
    for _ in range(6):
        whole.advance()
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    assert [resumed.advance() for _ in range(3)] == [whole.advance() for _ in range(3)]


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_run_has_snapshots_history_and_results(system, particles):
    run, _ = finished(particles, small(system, epochs=1, half_sets=True))
    heads = run.fits[0].heads
    assert run.snapshot().head_share.shape == (heads + 1,)
    assert run.history().particles.candidates.shape == (COUNT, heads, 3, 3)
    assert run.results().particles.rotations.shape == (COUNT, 3, 3)
    with pytest.raises(RefusedError, match=f"the method {system} has no second stage"):
        run.switch_to_auto_decoding("asked")


def test_an_implicit_volume_cannot_be_turned(particles):
    run, _ = finished(particles, small("cryoai", epochs=1))
    before = copy.deepcopy(run.fits[0].particles.rotations)
    with pytest.raises(RefusedError, match="the volume is an implicit one"):
        Commands(run).change_symmetry("C2")
    assert torch.equal(run.fits[0].particles.rotations, before)


def test_settings_that_do_not_go_together_are_refused():
    with pytest.raises(ValueError, match=r"method is cryoai; expected heads 1 and half_turned .* the preset cryoai"):
        settings_from("quick", method="cryoai")
    with pytest.raises(ValueError, match="method is cryoposenet; expected heads 1 and no half_turned"):
        settings_from("cryoposenet", half_turned=True)
    with pytest.raises(ValueError, match="expected an explicit volume, which can hold a map"):
        settings_from("cryoai", reference="map.mrc", posterior_sample=True)
    with pytest.raises(ValueError, match="expected adam, whose lattice can be plain"):
        settings_from("quick", exponent=False)
