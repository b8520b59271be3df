"""Half sets: laid on each other in either hand, poses with them; unrelated halves are told apart; live comparison."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from napari_cryospin.engine.devices import choose_devices
from napari_cryospin.engine.half_sets import align_halves, poses_in_frame, worse_half
from napari_cryospin.engine.outcome import make_results
from napari_cryospin.engine.pose_refinement import refine_poses
from napari_cryospin.engine.precision import angular_precision
from napari_cryospin.engine.reconstruction import Reconstruction
from napari_cryospin.engine.volume_steps import WienerStep
from napari_cryospin.evaluation.gold_standard import gold_standard
from napari_cryospin.evaluation.map_alignment import apply_alignment
from napari_cryospin.geometry.angles import angle_between
from napari_cryospin.geometry.hand import flip_hand
from napari_cryospin.physics.map_crop import fourier_pad_map
from napari_cryospin.settings import PRESETS
from napari_cryospin.simulation.images import Projections

N, PIXEL_SIZE = 32, 3.0


@pytest.fixture(scope="module")
def density(make_phantom) -> np.ndarray:
    return make_phantom(N, 4.0).numpy()


def noisy(density: np.ndarray, level: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return density + (level * density.std() * rng.standard_normal(density.shape)).astype(np.float32)


@pytest.mark.parametrize("flipped", [False, True])
def test_halves_of_either_hand_are_laid_on_each_other(density, flipped):
    turn, shift = Rotation.random(random_state=8).as_matrix(), np.array([4.0, -2.0, 3.0])
    other = apply_alignment(density, turn, shift, PIXEL_SIZE, oversampling=2)
    other = flip_hand(other) if flipped else other
    halves = align_halves(noisy(density, 2, 0), noisy(other, 2, 1), PIXEL_SIZE)
    assert halves.alignment.hand_flipped == flipped
    assert angle_between(halves.alignment.rotation, turn.T) < 3
    assert not halves.failed
    assert halves.warning == ""
    assert np.corrcoef(halves.second.ravel(), density.ravel())[0, 1] > 0.4
    found = gold_standard(noisy(density, 2, 0), halves.second, PIXEL_SIZE)
    assert found.resolution < 14


def test_noise_cannot_be_laid_on_noise_and_it_is_said():
    empty = np.zeros((N, N, N), np.float32)
    empty[0, 0, 0] = 1
    halves = align_halves(noisy(empty, 1, 0), noisy(empty, 1, 1), PIXEL_SIZE)
    assert halves.failed
    assert "could not be laid on each other" in halves.warning


def test_a_mirror_image_is_not_sure_of_its_hand(density):
    achiral = density + flip_hand(density)
    halves = align_halves(achiral, achiral, PIXEL_SIZE)
    assert not halves.failed
    assert "not certain in which hand" in halves.warning


@pytest.mark.parametrize("flipped", [False, True])
def test_poses_go_with_the_map(density, flipped):
    """What the moved map shows at the moved poses is what the map showed at its own, with the shifts."""
    fine = fourier_pad_map(torch.from_numpy(density), 64).numpy()
    turn, shift = Rotation.random(random_state=3).as_matrix(), np.array([3.0, -4.0, 2.0])
    size = PIXEL_SIZE / 2
    halves = align_halves(fine, fine, size)
    alignment = dataclasses.replace(halves.alignment, rotation=turn, shift=shift, hand_flipped=flipped)
    moved = apply_alignment(fine, turn, shift, size, hand_flipped=flipped, oversampling=2)
    rotations = Rotation.random(5, random_state=4).as_matrix()
    shifts = np.random.default_rng(0).normal(0, 4, (5, 2))
    before = Projections(torch.from_numpy(fine), size)(rotations, shifts)
    after = Projections(torch.from_numpy(moved), size)(*poses_in_frame(rotations, shifts, alignment))
    for one, other in zip(before.numpy(), after.numpy(), strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.995


def test_before_is_refined_and_not_searched_for_again(density, monkeypatch):
    turn = Rotation.random(random_state=9).as_matrix()
    second = apply_alignment(density, turn)
    first = align_halves(density, second, PIXEL_SIZE)
    drift = Rotation.from_rotvec([0.03, 0, -0.02]).as_matrix()
    monkeypatch.setattr(
        "napari_cryospin.evaluation.map_alignment._Comparison.coarse", lambda self: pytest.fail("searched again")
    )
    again = align_halves(density, apply_alignment(density, drift @ turn), PIXEL_SIZE, first.alignment, exact=False)
    assert angle_between(again.alignment.rotation, (drift @ turn).T) < 1


@pytest.fixture(scope="module")
def reconstruction(make_phantom, simulate) -> Reconstruction:
    """Half sets at their true poses but for a turn of the second half, with the volumes that belong to them."""
    particles = simulate(make_phantom(N, 4.0), count=400, snr=0.5, seed=2).particles
    quick = PRESETS["quick"]
    settings = dataclasses.replace(
        quick,
        encoder=dataclasses.replace(quick.encoder, heads=2, shifts=False),
        preparation=dataclasses.replace(quick.preparation, half_sets=True),
        volume=dataclasses.replace(quick.volume, first_band=N // 2 - 1, encoding_band=N // 2 - 1),
        machine=dataclasses.replace(quick.machine, device="cpu"),
    )
    made = Reconstruction(particles, settings)
    turn = torch.from_numpy(Rotation.random(random_state=1).as_matrix()).float()
    for fit, frame in zip(made.fits, (torch.eye(3), turn), strict=True):
        true = torch.from_numpy(particles.rotations[fit.images.rows.numpy()]).float()
        fit.particles.record_poses(torch.arange(len(fit)), true @ frame, torch.zeros(len(fit), 2))
        WienerStep(fit).remake(fit.band.full)
        fit.particles.error[:] = 1
    return made


def test_live_comparison_is_the_gold_standard(reconstruction):
    before = [fit.volume.sums.clone() for fit in reconstruction.fits]
    found = reconstruction.compare_halves()
    assert found["half_sets_warning"] == ""
    assert set(found["fsc"]) == {"frequency", "unmasked", "masked", "phase_randomised", "corrected"}
    assert reconstruction.resolution == reconstruction.epoch_metrics()["resolution"]
    assert 6 <= reconstruction.resolution < 10
    alignment = reconstruction.monitor.alignment
    reconstruction.compare_halves()
    assert angle_between(alignment.rotation, reconstruction.monitor.alignment.rotation) < 0.5
    for fit, kept in zip(reconstruction.fits, before, strict=True):
        assert torch.equal(fit.volume.sums, kept)  # nothing flows back


def test_results_have_one_frame_and_the_combined_map_is_better(reconstruction, make_phantom):
    reconstruction.compare_halves()  # the live figure, to be compared with
    results = make_results(reconstruction)
    assert results.notes == () or "laid" not in " ".join(results.notes)
    assert np.isnan(results.error_over_noise)  # nothing is claimed before the end
    truth = make_phantom(N, 4.0).numpy().ravel()
    halves = [np.corrcoef(half_map.ravel(), truth)[0, 1] for half_map in results.half_maps]
    assert min(halves) > 0.8  # both in the frame of the first, which is the true one
    assert np.corrcoef(results.map.ravel(), truth)[0, 1] > max(halves)
    np.testing.assert_allclose(results.map, np.mean(results.half_maps, axis=0), atol=1e-5)
    true = reconstruction.fits[0].images.particles.rotations[results.particles.rows]
    assert np.median(angle_between(results.particles.rotations, true)) < 1.5
    assert results.resolution == pytest.approx(reconstruction.resolution, rel=0.15)
    assert results.mask.shape == results.sharpened_map.shape == results.map.shape


def test_precision_is_the_error_that_is_met(reconstruction):
    """Poses refined from the truth, against the other half's map, end as far from it as the curvature says."""
    fit, other = reconstruction.fits
    particles = fit.images.particles
    expected = angular_precision(fit).numpy()
    batch = fit.batch(torch.arange(len(fit)))
    turn = torch.from_numpy(Rotation.random(random_state=1).as_matrix()).float()
    start = torch.from_numpy(particles.rotations[fit.images.rows.numpy()]).float() @ turn
    lattices = other.volume.gradient_lattices()
    found, _, _ = refine_poses(lattices, batch, start, None, padding=fit.volume.padding, steps=8)
    met = angle_between(found.double().numpy(), start.double().numpy())
    assert np.isfinite(expected).all()

    assert np.sqrt(np.mean(met**2)) == pytest.approx(np.sqrt(np.mean(expected**2)), rel=0.2)


def test_images_that_hold_more_than_the_map_explains_are_told_of(reconstruction, monkeypatch):
    """The worse half counts."""
    monkeypatch.setattr(Reconstruction, "finished", True)
    first, second = reconstruction.fits
    kept = [fit.particles.error.clone() for fit in reconstruction.fits]
    first.particles.error[:], second.particles.error[:] = 1, 1.2
    results = make_results(reconstruction)
    assert results.error_over_noise == pytest.approx(1.2)
    assert results.notes[0].startswith("the images differ from the map by 20 % more than the noise")
    assert "half 2 explains its images worse" in results.notes[1]
    second.particles.error[:] = 1.01
    assert not any("differ from the map" in note for note in make_results(reconstruction).notes)
    for fit, error in zip(reconstruction.fits, kept, strict=True):
        fit.particles.error[:] = error


def test_a_half_that_failed_is_named():
    errors = np.random.default_rng(0).normal(1000, 50, (2, 800))
    assert worse_half(*errors) == ""
    assert worse_half(np.full(3, np.nan), errors[1]) == ""  # stopped before all were seen
    assert "half 1 explains its images worse than half 2 (mean error 2." in worse_half(errors[0] + 25, errors[1])
    assert "half 2 explains" in worse_half(errors[0], errors[1] * 1.1)
    assert worse_half(errors[0] + 5, errors[1]) == ""  # chance
    many = np.repeat(errors, 1000, axis=1)
    assert worse_half(many[0] * 1.001, many[1]) == ""  # no chance, but the noise of the halves may differ by as much


def test_two_devices_by_name():
    cpu = torch.device("cpu")
    assert choose_devices("cpu", 2) == [cpu, cpu]
    assert choose_devices("cpu, cpu", 1) == [cpu]
    with pytest.raises(ValueError, match="cannot be used"):
        choose_devices("cpu,abacus", 2)
    for name in ("cuda:77", "meta", "cpu:3"):
        with pytest.raises(ValueError, match=f"device '{name}' cannot be used; found here: cpu"):
            choose_devices(name, 1)
    with pytest.raises(ValueError, match="found 3; expected one, or two"):
        choose_devices("cpu,cpu,cpu", 2)
