"""Map alignment: rotation, translation and hand put in are found again, also through noise and at another box."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from napari_cryospin.evaluation.fsc import fsc
from napari_cryospin.evaluation.map_alignment import align_maps, apply_alignment
from napari_cryospin.evaluation.pose_error import rotation_errors
from napari_cryospin.geometry.angles import angle_between
from napari_cryospin.geometry.hand import HAND_FLIP, flip_hand
from napari_cryospin.physics.map_crop import fourier_crop_map

BLOBS = np.random.default_rng(5).uniform(-9, 9, (25, 3))


def phantom(n: int, centres: np.ndarray = BLOBS, width: float = 1.3) -> np.ndarray:
    """Sum of Gaussians at `(x, y, z)` from the centre: its rotations are known without any interpolation."""
    line = np.arange(n) - n // 2
    factors = [np.exp(-((line - centres[:, i, None]) ** 2) / (2 * width**2)) for i in range(3)]
    return np.einsum("bx,by,bz->zyx", *factors).astype(np.float32)


def test_applied_alignment_moves_points_as_it_says():
    rotation, shift = Rotation.random(random_state=1).as_matrix(), np.array([2.0, -3.4, 1.2])
    got = apply_alignment(phantom(48), rotation, shift, pixel_size=2.0)
    expected = phantom(48, BLOBS @ rotation.T + shift / 2)
    assert fsc(got, expected, 1).values[:20].min() > 0.995
    assert np.corrcoef(got.ravel(), expected.ravel())[0, 1] > 0.999


def test_flip_is_point_inversion_about_the_centre():
    np.testing.assert_allclose(flip_hand(phantom(32)), phantom(32, -BLOBS), atol=1e-6)
    np.testing.assert_array_equal(flip_hand(flip_hand(phantom(32))), phantom(32))


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_pose_of_a_map_is_found(flipped, noise):
    rotation, shift = Rotation.random(random_state=2).as_matrix(), np.array([4.0, -5.0, 2.0])
    fixed = phantom(40, (-BLOBS if flipped else BLOBS) @ rotation.T + shift / 1.5)
    moving = phantom(40)
    moving = moving + (noise * moving.std() * np.random.default_rng(0).standard_normal(moving.shape)).astype(np.float32)
    found = align_maps(fixed, moving, 1.5)
    assert found.hand_flipped == flipped
    assert angle_between(found.rotation, rotation) < 0.5
    np.testing.assert_allclose(found.shift, shift, atol=0.1)
    assert found.correlation == pytest.approx(np.corrcoef(found.density.ravel(), fixed.ravel())[0, 1])
    assert found.correlation > (0.995 if noise == 0 else 0.6)


def test_large_maps_are_searched_small_and_aligned_whole():
    rotation = Rotation.random(random_state=3).as_matrix()
    centres = 2.2 * BLOBS
    found = align_maps(phantom(80, centres @ rotation.T, 2.5), phantom(80, centres, 2.5), 1.0, either_hand=False)
    assert found.density.shape == (80, 80, 80)
    assert angle_between(found.rotation, rotation) < 0.2
    assert found.correlation > 0.995


@pytest.mark.parametrize("flipped", [False, True])
def test_alignment_of_poses_aligns_the_maps(flipped):
    """What `pose_error` finds from the poses is what takes the predicted map to the true one."""
    true, turn = Rotation.random(300, random_state=4).as_matrix(), Rotation.random(random_state=5).as_matrix()
    predicted = (HAND_FLIP if flipped else np.eye(3)) @ true @ turn
    seen = BLOBS @ turn  # p_predicted = turn.T @ p_true
    found = rotation_errors(predicted, true)
    got = apply_alignment(phantom(40, -seen if flipped else seen), found.alignment, hand_flipped=found.hand_flipped)
    assert np.corrcoef(got.ravel(), phantom(40).ravel())[0, 1] > 0.995


def test_cropped_map_keeps_place_and_grey_values():
    density = torch.from_numpy(phantom(64, 1.5 * BLOBS, 3.0))
    kept = density.clone()
    torch.testing.assert_close(fourier_crop_map(density, 32), density[::2, ::2, ::2], atol=2e-3, rtol=0)
    torch.testing.assert_close(fourier_crop_map(density, 64), kept)
    with pytest.raises(ValueError, match="smaller even box"):
        fourier_crop_map(density, 33)
    with pytest.raises(ValueError, match="smaller even box"):
        fourier_crop_map(density, 128)


def test_maps_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="one even cube"):
        align_maps(phantom(32), phantom(40), 1.0)
