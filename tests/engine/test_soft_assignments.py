"""Soft assignments: the volume is the weighted average of all images at all poses; expectation maximisation learns."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from napari_cryospin.engine import sampling
from napari_cryospin.engine.commands import Commands
from napari_cryospin.engine.expectation_maximisation import enough_iterations
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.engine.pose_posterior import log_likelihoods, make_templates
from napari_cryospin.engine.reconstruction import Reconstruction
from napari_cryospin.engine.sampling import PoseSearch, divided_pose_grid, pose_grid, trial_shifts
from napari_cryospin.engine.volume_steps import SoftStep, WienerStep, volume_step
from napari_cryospin.evaluation.pose_error import rotation_errors
from napari_cryospin.physics.slicing import insert_slices
from napari_cryospin.settings import PRESETS, Settings
from support.same_state import assert_same
from support.simulated import symmetric_phantom

BOX, COUNT = 16, 10


def quick(method: str = "em", **changed) -> Settings:
    settings, replace = PRESETS["quick"], dataclasses.replace
    groups = {name: replace(getattr(settings, name), **changed.pop(name, {})) for name in ("volume", "preparation")}
    return replace(
        settings,
        method=method,
        encoder=replace(settings.encoder, shifts=changed.pop("shifts", False), max_shift=8.0),
        schedule=replace(settings.schedule, **changed.pop("schedule", {})),
        machine=replace(settings.machine, device="cpu", seed=changed.pop("seed", 0)),
        **groups,
    )


def fit_of(simulated, settings: Settings, band: int, count: int = COUNT) -> Fit:
    """A fit at the true poses; images are trusted and scaled unequally, so that the posteriors are wide and differ."""
    rows = torch.arange(count)
    images = PreparedImages(simulated.particles, settings.preparation, rows)
    fit = Fit(images, settings, torch.Generator().manual_seed(0))
    fit.band.now = band
    poses = (simulated.particles.rotations, simulated.particles.shifts)
    fit.particles.record_poses(rows, *(torch.from_numpy(each).float() for each in poses))
    fit.particles.trust = torch.linspace(0.2, 1, count)
    fit.particles.scale = torch.linspace(0.8, 1.2, count)
    WienerStep(fit).remake(band)
    return fit


@torch.no_grad()
def direct_sums(fit: Fit, rotations: torch.Tensor, shifts: torch.Tensor) -> torch.Tensor:
    """Sums of a volume: images one by one, at every pose and shift, by the probability that their errors tell."""
    sums = torch.zeros_like(fit.volume.sums)
    for position in range(len(fit)):
        batch = fit.batch(torch.tensor([position]))
        image, ctf, weights = batch.images[0], batch.ctf[0], batch.weights[0]
        phases = fit.shift_range.phases(shifts, batch.points, batch.extent)
        models = fit.project(batch, rotations[None], torch.zeros(1, len(rotations), 2))[0]  # (k, p)
        centred = image * phases.conj() if phases is not None else image[None]
        difference = (centred[:, None] - models).abs().square()
        probability = (-(difference * weights).sum(-1)).flatten().softmax(0).unflatten(0, (len(centred), -1))
        trusted = weights * fit.particles.trust[position]
        for move, moved in enumerate(centred):
            weight = probability[move][:, None]
            values, squares = weight * (moved * ctf * trusted), weight * (ctf.square() * trusted)
            size, fold = fit.volume.sums.shape[-1], int(fit.particles.folds[position])
            step = rotations[None], batch.points, values[None], squares[None]
            sums[fold] += insert_slices(*step, size=size, padding=fit.volume.padding)[0]
    return sums


def soft_sums(fit: Fit) -> torch.Tensor:
    """Sums of the volume after the images were added to it softly."""
    batch = fit.batch(torch.arange(len(fit)))
    search = PoseSearch(fit)
    fit.volume.forget(0)
    SoftStep(fit).assign(search, batch, batch)
    return fit.volume.sums


@pytest.mark.parametrize(("symmetry", "shifts"), [("C1", False), ("C1", True), ("D2", True)])
def test_the_volume_is_the_weighted_average_by_brute_force(make_phantom, simulate, symmetry, shifts):
    simulated = simulate(make_phantom(BOX), count=COUNT, snr=0.2, shift_sd=2.0 * shifts, seed=6)
    fit = fit_of(simulated, quick(shifts=shifts, volume={"symmetry": symmetry}), band=5)
    grid = pose_grid(2, 12) if symmetry == "C1" else pose_grid(4, 24)
    grid = grid[fit.symmetry.in_unit(grid)]
    moves = trial_shifts(fit, 5)[0] if shifts else torch.zeros(1, 2)
    assert len(moves) > 4 or not shifts
    expected = direct_sums(fit, grid, moves)
    torch.testing.assert_close(soft_sums(fit), expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
    fit.volume.solve()
    found, fit.volume.sums = fit.volume.density, expected
    fit.volume.solve()
    torch.testing.assert_close(found, fit.volume.density, rtol=1e-3, atol=1e-3 * float(found.abs().max()))


def test_on_a_divided_grid_nearly_all_of_the_probability_is_added(make_phantom, simulate):
    simulated = simulate(make_phantom(32), count=6, snr=0.3, seed=6)
    fit = fit_of(simulated, quick(), band=12, count=6)
    templates = make_templates(
        fit.volume.hartley(12), divided_pose_grid(4, 24), fit.batch(torch.arange(1)).points, fit.projector.padding
    )
    found, expected = soft_sums(copy.deepcopy(fit)), torch.zeros_like(fit.volume.sums)
    for position in range(len(fit)):
        batch = fit.batch(torch.tensor([position]))
        probability = log_likelihoods(templates, batch.images, batch.ctf, batch.weights)[0, 0].softmax(0)
        poses = probability.topk(2000)
        values, weights = SoftStep(fit).weighted(batch, batch.images)
        weight = poses.values[:, None]
        step = templates.rotations[None, poses.indices], batch.points, (weight * values)[None], (weight * weights)[None]
        size, padding = expected.shape[-1], fit.volume.padding
        expected[fit.particles.folds[position]] += insert_slices(*step, size=size, padding=padding)[0]
    assert float((found - expected).norm() / expected.norm()) < 0.02
    assert float(found[:, 1].sum() / expected[:, 1].sum()) == pytest.approx(1, abs=0.01)  # All of each image is added.


@pytest.mark.parametrize("band", [5, 12])
def test_the_sums_do_not_depend_on_blocks_whose_size_is_bounded(make_phantom, simulate, monkeypatch, band):
    simulated = simulate(make_phantom(32), count=COUNT, snr=0.3, shift_sd=2.0, seed=6)
    fit = fit_of(simulated, quick(shifts=True), band)
    whole = soft_sums(copy.deepcopy(fit))
    sizes: list[int] = []
    add = sampling.GridPosterior.probability
    monkeypatch.setattr(
        sampling.GridPosterior, "probability", lambda each: (sizes.append(len(each.values)), add(each))[1]
    )
    monkeypatch.setattr(sampling, "CPU_HELD_LIKELIHOODS", 2**14)
    monkeypatch.setattr(sampling, "LOOKED_AHEAD", 3)
    parts = soft_sums(fit)
    assert max(sizes) <= 3
    assert sum(sizes) == COUNT
    torch.testing.assert_close(parts, whole, rtol=1e-3, atol=2e-3 * float(whole.abs().max()))


def test_images_with_certain_poses_are_added_there_alone(make_phantom, simulate):
    simulated = simulate(make_phantom(BOX), count=COUNT, snr=20.0, seed=6)
    fit = fit_of(simulated, quick(), band=6)
    fit.noise.background *= 0.05  # Noise that is next to none: no other pose is as good.
    found = soft_sums(copy.deepcopy(fit))
    batch = fit.batch(torch.arange(COUNT))
    best = PoseSearch(fit).best(batch)
    assert float(best.entropy.max()) < 1e-3
    fit.volume.forget(0)
    WienerStep(fit).insert(batch, best.rotations, best.shifts)
    torch.testing.assert_close(found, fit.volume.sums, rtol=1e-2, atol=1e-3 * float(found.abs().max()))


@pytest.fixture(scope="module")
def phantom(make_phantom, simulate):
    return simulate(make_phantom(BOX), count=320, snr=0.5, seed=4)


def within(reconstruction: Reconstruction, simulated, degrees: float) -> float:
    """Share of the particles whose pose is right."""
    true = simulated.particles.rotations[reconstruction.indices]
    found = rotation_errors(torch.cat([fit.particles.rotations for fit in reconstruction.fits]).numpy(), true)
    return float((found.errors < degrees).mean())


@pytest.mark.parametrize(("method", "assignments"), [("em", "hard"), ("search", "soft")])
def test_soft_assignments_learn_from_nothing(phantom, method, assignments):
    """From a random map, on a grid whose poses lie 15 degrees apart."""
    settings = quick(
        method,
        volume={"assignments": assignments, "growth_steps": 36},
        schedule={"switch": "by-hand", "epochs": 20 if method == "em" else 11},
    )
    reconstruction = Reconstruction(phantom.particles, settings)
    assert type(reconstruction.stages[0].volume_step) is SoftStep
    while not reconstruction.finished:
        reconstruction.advance()
    assert within(reconstruction, phantom, 20.0) > 0.85
    if method == "em":
        assert reconstruction.fits[0].band.now == reconstruction.fits[0].band.full == 7
        assert reconstruction.epoch < 20  # It ends by itself.
        assert np.isfinite(reconstruction.results().map).all()


@pytest.mark.parametrize("band", [4, 7])
def test_a_resumed_run_goes_on_as_if_never_stopped(phantom, band):
    """Within an iteration, with few shells and with many."""
    whole = Reconstruction(phantom.particles, quick())
    while whole.fits[0].band.now < band or len(whole.progress_made.queue) != 2:
        whole.advance()
    resumed = Reconstruction(phantom.particles, quick())
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    for reconstruction in (whole, resumed):
        for _ in range(6):
            reconstruction.advance()
    assert_same(resumed.state_dict(), whole.state_dict())


def test_a_map_to_start_from_gives_way_to_that_of_all_images(make_phantom, phantom):
    settings = quick(schedule={"epochs": 3})
    settings = dataclasses.replace(settings, start=dataclasses.replace(settings.start, reference="body.mrc"))
    reconstruction = Reconstruction(phantom.particles, settings, references=[make_phantom(BOX)])
    start = reconstruction.fits[0].volume.density.clone()
    while reconstruction.epoch < 1:
        assert torch.equal(reconstruction.fits[0].volume.density, start)
        reconstruction.advance()
    assert not torch.equal(reconstruction.fits[0].volume.density, start)
    assert within(reconstruction, phantom, 25.0) > 0.6


def test_symmetry_is_imposed_and_half_sets_go_their_own_ways(simulate):
    simulated = simulate(symmetric_phantom(BOX, "C2"), count=240, snr=3.0, seed=4)
    settings = quick(preparation={"half_sets": True}, volume={"symmetry": "C2"}, schedule={"epochs": 2})
    reconstruction = Reconstruction(simulated.particles, settings)
    while reconstruction.epoch < 1:
        reconstruction.advance()
    first, second = (fit.volume.density for fit in reconstruction.fits)
    assert not torch.equal(first, second)
    Commands(reconstruction).change_symmetry("C1")
    assert not reconstruction.progress_made.queue
    while not reconstruction.finished:
        reconstruction.advance()
    assert len(reconstruction.results().half_maps) == 2


def test_an_iteration_more_is_made_as_long_as_poses_become_more_certain():
    assert not enough_iterations([3.0])
    assert not enough_iterations([3.0, 2.0])
    assert enough_iterations([3.0, 2.9])
    assert enough_iterations([0.0, 0.0])
    assert enough_iterations([5.0, 4.0, 3.0, 2.0, 1.0])


def test_soft_assignments_need_a_wiener_average(phantom):
    settings = PRESETS["paper-cpu"]
    with pytest.raises(ValueError, match="assignments is soft with volume_update adam; expected wiener"):
        dataclasses.replace(settings, volume=dataclasses.replace(settings.volume, assignments="soft"))
    fit = fit_of(phantom, quick("search", volume={"assignments": "soft"}), band=4, count=320)
    assert type(volume_step(fit)) is SoftStep


def test_the_poses_that_are_told_are_finer_than_the_grid(make_phantom, phantom):
    """Refined in the map of the iteration; where images have no scales, the next map is the same."""
    settings = quick(schedule={"epochs": 2}, volume={"scales": "none"})
    settings = dataclasses.replace(settings, start=dataclasses.replace(settings.start, reference="body.mrc"))
    errors, maps = [], []
    for steps in (1, 3):  # One evaluation of the model is none after the first.
        schedule = dataclasses.replace(settings.schedule, pose_steps=steps)
        run = Reconstruction(
            phantom.particles, dataclasses.replace(settings, schedule=schedule), references=[make_phantom(BOX)]
        )
        while not run.finished:
            run.advance()
        errors.append(float(run.fits[0].particles.error.mean()))
        maps.append(run.fits[0].volume.density)
    assert errors[1] < errors[0]
    assert torch.equal(*maps)
