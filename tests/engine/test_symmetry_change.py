"""A symmetry that is imposed on a run, or relaxed: map and poses turn together, and nothing is lost by a refusal."""

import copy
import dataclasses
import functools

import numpy as np
import pytest
import torch

from engine.test_symmetry import settings_with
from napari_cryospin.engine.classes import remake_classes, split
from napari_cryospin.engine.commands import Commands
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.engine.reconstruction import Reconstruction
from napari_cryospin.engine.symmetry_change import held_out_gain, impose, relax, symmetry_of_fit
from napari_cryospin.engine.volume_steps import WienerStep
from napari_cryospin.evaluation.found_symmetry import symmetry_of_map
from napari_cryospin.evaluation.pose_error import rotation_errors
from napari_cryospin.geometry.so3 import random_rotations, rotation_distance
from napari_cryospin.geometry.symmetry import point_group
from napari_cryospin.runs.messages import RefusedError
from support.same_state import assert_same
from support.simulated import symmetric_phantom, turned_phantom


@pytest.fixture(scope="module")
def stack(simulate):
    """Particles of a molecule with the symmetry D3, off centre."""
    return simulate(symmetric_phantom(32, "D3", blobs=3), count=300, snr=1.0, shift_sd=3.0)


@pytest.fixture(scope="module")
def run_of(stack):
    """Make a run without symmetry as it stands in the middle of an epoch, before or after the switch."""

    @functools.cache
    def state(switched: bool):
        run = Reconstruction(stack.particles, schedule(switched))
        to_epoch(run, 10)
        run.advance()
        return run.state_dict()

    def make(switched: bool) -> Reconstruction:
        run = Reconstruction(stack.particles, schedule(switched))
        run.load_state_dict(state(switched))
        return run

    return make


def schedule(switched: bool):
    return settings_with("C1", epochs=30, switch=8 if switched else 20)


def to_epoch(run: Reconstruction, last: int) -> None:
    while run.epoch < last:
        run.advance()


def right(reconstruction: Reconstruction, stack) -> float:
    fit = reconstruction.fits[0]
    truth = stack.particles.rotations[reconstruction.indices]
    return rotation_errors(fit.particles.rotations.numpy(), truth, symmetry="D3").within_10


@pytest.mark.parametrize("switched", [False, True])
def test_an_imposed_symmetry_keeps_the_poses_and_stands_in_the_convention(stack, run_of, switched):
    run = run_of(switched)
    assert (run.switched_at is not None) == switched
    before = right(run, stack)
    assert before > 0.7
    change = Commands(run).change_symmetry("D3")
    assert (change.before, change.after) == ("C1", "D3")
    assert change.score > 0.8
    assert run.symmetry.name == run.fits[0].volume.symmetry.name == "D3"
    assert right(run, stack) == pytest.approx(before, abs=0.05)
    fit, group = run.fits[0], point_group("D3")
    assert bool(group.in_unit(fit.particles.rotations).all())
    errors = rotation_errors(fit.particles.rotations.numpy(), stack.particles.rotations[run.indices], symmetry="D3")
    turn = torch.from_numpy(errors.alignment).double()
    turned = turn.T @ group.rotations(turn) @ turn
    assert float((turned[:, None] - group.rotations(turn)).flatten(-2).norm(dim=-1).amin(1).max()) < 0.15
    to_epoch(run, run.epoch + 2)
    assert right(run, stack) > (0.97 if switched else 0.85)  # in the first stage, poses are drawn


def test_maps_that_classes_are_to_start_from_turn_too(run_of):
    run = run_of(False)
    fit = run.fits[0]
    fit.class_starts = [fit.volume.to_map().cpu()]
    Commands(run).change_symmetry("D3")
    pair = torch.stack((fit.class_starts[0].flatten(), fit.volume.to_map().cpu().flatten()))
    assert float(torch.corrcoef(pair)[0, 1]) > 0.9


def test_heads_propose_for_the_turned_map(run_of):
    run = run_of(False)
    fit, rows = run.fits[0], torch.arange(20)

    def proposed():
        fit.encoder.eval()
        with torch.no_grad():
            return fit.encoder(fit.encoder_images(rows))

    batch = fit.batch(rows)
    errors = []
    for _ in range(2):
        rotations, shifts = proposed()
        errors.append(fit.errors(batch, fit.project(batch, rotations, shifts)).amin(1))
        if len(errors) == 1:
            Commands(run).change_symmetry("D3")
    # The best head explains each image as before, by a map that is better than the one before.
    assert float((errors[1] / errors[0]).median()) < 1.03
    turned = fit.encoder.frame
    assert float(rotation_distance(turned, torch.eye(3))) > 1
    torch.testing.assert_close(turned @ turned.T, torch.eye(3))


def test_turns_of_an_encoder_add_up(stack):
    fit = Reconstruction(stack.particles, schedule(False)).fits[0]
    fit.encoder.eval()
    images = fit.encoder_images(torch.arange(4))
    axes, centre = random_rotations(2, torch.Generator().manual_seed(0)), torch.tensor([[1.0, 2, 3], [-2, 1, 0.5]])
    with torch.no_grad():
        rotations, shifts = fit.encoder(images)
        for turn, origin in zip(axes, centre, strict=True):
            fit.encoder.turn(turn, origin)
            shifts = shifts - rotations[..., :2, :] @ origin
            rotations = rotations @ turn
            now = fit.encoder(images)
            torch.testing.assert_close(now[0], rotations, atol=1e-5, rtol=0)
            torch.testing.assert_close(now[1], shifts, atol=1e-4, rtol=0)


@pytest.mark.parametrize("switched", [False, True])
def test_a_relaxed_symmetry_leaves_the_map_and_all_views(stack, run_of, switched):
    run = run_of(switched)
    Commands(run).change_symmetry("D3")
    to_epoch(run, run.epoch + 1)
    before = right(run, stack)
    change = Commands(run).change_symmetry("C1")
    assert (change.before, change.after, change.found) == ("D3", "C1", ())
    assert run.symmetry.trivial
    assert right(run, stack) == pytest.approx(before, abs=0.02)
    views, group = run.fits[0].particles.rotations, point_group("D3")
    assert float(group.in_unit(views).float().mean()) == pytest.approx(1 / 6, abs=0.08)
    assert symmetry_of_fit(run.fits[0], "D3").candidates[0].score > 0.9
    to_epoch(run, run.epoch + 1)
    assert right(run, stack) > 0.85


def test_what_cannot_be_obeyed_is_refused_and_nothing_is_lost(stack, run_of):
    run = Reconstruction(stack.particles, schedule(False))
    run.advance()
    with pytest.raises(RefusedError, match="wait for the end of the first epoch"):
        Commands(run).change_symmetry("D3")
    run = run_of(False)
    before = copy.deepcopy(run.state_dict())
    for name, reason in (
        ("X3", "expected a point group"),
        ("C1", "has the symmetry C1 already"),
        ("O", "the map does not look like O"),
    ):
        with pytest.raises(RefusedError, match=reason):
            Commands(run).change_symmetry(name)
        assert run.whole_state is None
    assert_same(run.state_dict(), before)


@pytest.mark.parametrize("switched", [False, True])
def test_a_resumed_run_has_the_imposed_symmetry(stack, run_of, switched):
    """The settings say C1, as when the run began; the checkpoint has the symmetry that it has now."""
    run = run_of(switched)
    Commands(run).change_symmetry("D3")
    run.advance()
    kept = copy.deepcopy(run.state_dict())
    to_epoch(run, run.epoch + 1)
    resumed = Reconstruction(stack.particles, run.settings)
    assert resumed.symmetry.name == "C1"
    resumed.load_state_dict(kept)
    assert resumed.symmetry.name == "D3"
    to_epoch(resumed, run.epoch)
    assert_same(resumed.state_dict(), run.state_dict())
    assert run.settings.volume.symmetry == "C1"


def test_a_volume_of_gradients_is_turned(stack):
    """The map of a run by gradients is turned as a whole, and then has the symmetry exactly."""
    run = Reconstruction(stack.particles, settings_with("C1", "paper-cpu", epochs=6, switch=4))
    to_epoch(run, 1)
    fit = run.fits[0]
    fit.volume.set_band(9)
    truth = turned_phantom(32, "D3", random_rotations(1, run.generator)[0].numpy(), np.zeros(3), 3)
    fit.volume.take_map(truth)
    found = symmetry_of_fit(fit, "D3", fit.volume).best
    group = point_group("D3")
    impose(fit, found, group)
    assert fit.symmetry.name == "D3"
    density = fit.volume.to_map().numpy()
    assert symmetry_of_map(density, 3.0, "D3", resolution=96 / 9).best.rotation == pytest.approx(np.eye(3), abs=0.03)
    relax(fit)
    np.testing.assert_allclose(fit.volume.to_map().numpy(), density, atol=0.1 * density.max())


def test_half_sets_are_turned_one_by_one(stack):
    settings = schedule(False)
    settings = dataclasses.replace(settings, preparation=dataclasses.replace(settings.preparation, half_sets=True))
    run = Reconstruction(stack.particles, settings)
    to_epoch(run, 9)
    Commands(run).change_symmetry("D3")
    assert [fit.symmetry.name for fit in run.fits] == ["D3", "D3"]
    for fit in run.fits:
        assert symmetry_of_fit(fit, "D3").candidates[0].rotation == pytest.approx(np.eye(3), abs=0.05)


def fit_at_true_poses(simulated) -> Fit:
    settings, rows = schedule(False), torch.arange(len(simulated.particles))
    images = PreparedImages(simulated.particles, settings.preparation, rows)
    fit = Fit(images, settings, torch.Generator().manual_seed(0))
    poses = (
        torch.from_numpy(np.array(part)).float() for part in (simulated.particles.rotations, simulated.particles.shifts)
    )
    fit.particles.record_poses(rows, *poses)
    fit.band.now = 12
    return fit


def test_held_out_images_tell_a_symmetry_from_a_near_one(simulate):
    symmetric = symmetric_phantom(32, "C2")
    extra = symmetric_phantom(32, "C1", 1, seed=7)
    exact, near = (
        fit_at_true_poses(simulate(density, count=300, snr=1.0, shift_sd=3.0))
        for density in (symmetric, symmetric + 2 * extra)
    )
    found = [symmetry_of_fit(fit, "C2").candidates[0] for fit in (exact, near)]
    assert found[0].exact
    assert found[1].near
    assert not found[1].exact
    kept = copy.deepcopy(exact.state_dict())
    assert held_out_gain(exact, found[0]) > 0.3  # the average has half of the noise
    assert_same(exact.state_dict(), kept)
    assert held_out_gain(near, found[1]) < -3


def classes_of(run: Reconstruction) -> Fit:
    """Deal the particles of a run in the second stage to two classes, and let it go on with these."""
    (fit,) = run.fits
    split(fit, 2)
    run.stages = [run.method.second_stage(fit)]
    return fit


def test_with_classes_all_maps_are_turned_together(stack, run_of):
    """Two classes of one molecule: each keeps its particles, and what both are made of is all particles."""
    run = run_of(True)
    fit = classes_of(run)
    run.advance()
    before, classes = right(run, stack), fit.particles.classes.clone()
    Commands(run).change_symmetry("D3")
    assert [view.volume.symmetry.name for view in fit.classes] == ["D3", "D3"]
    assert all(view.near_symmetries is fit.near_symmetries for view in fit.classes)
    assert torch.equal(fit.particles.classes, classes)
    assert right(run, stack) == pytest.approx(before, abs=0.05)
    for view in fit.classes:
        report = symmetry_of_map(view.volume.to_map().numpy(), 96 / 32, "D3")
        assert report.best.score > 0.99
        assert np.abs(report.best.shift).max() < 1.0
    together = sum(view.volume.sums for view in fit.classes)
    whole = copy.deepcopy(fit)
    whole.set_classes([whole.volume])
    WienerStep(whole).remake(fit.band.now)
    torch.testing.assert_close(together, whole.volume.sums, rtol=1e-4, atol=1e-2)
    to_epoch(run, run.epoch + 2)
    assert right(run, stack) > before - 0.05
    Commands(run).change_symmetry("C1")
    assert [view.volume.symmetry.name for view in fit.classes] == ["C1", "C1"]
    to_epoch(run, run.epoch + 1)


def test_a_symmetry_that_one_class_has_not_is_refused_and_nothing_has_changed(run_of):
    run = run_of(True)
    fit = classes_of(run)
    few = (torch.arange(len(fit)) % 4 == 0).long()  # A class of few particles, whose poses are all alike.
    fit.particles.record_classes(torch.arange(len(fit)), few)
    second = few.nonzero()[:, 0]
    fit.particles.record_poses(second, fit.particles.rotations[:1].expand(len(second), 3, 3), torch.zeros(1, 2))
    remake_classes(fit)
    before = copy.deepcopy(run.state_dict())
    with pytest.raises(RefusedError, match="symmetry D3 of class 2 about the axes of all classes together"):
        Commands(run).change_symmetry("D3")
    assert_same(run.state_dict(), before)
