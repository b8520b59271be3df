"""Pose errors: the alignment is found through outliers, hands and symmetric copies; the errors are those put in."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_cryospin.evaluation.pose_error import (
    HAND_FLIP,
    align_rotations,
    candidate_errors,
    group_matrices,
    rotation_errors,
    shift_errors,
)
from napari_cryospin.geometry.angles import angle_between


def random_matrices(count: int, seed: int) -> np.ndarray:
    return Rotation.random(count, random_state=seed).as_matrix()


def disturbed(true, degrees, seed, *, turn=None, symmetry="C1", wrong=0.0, flipped=False):
    """Predictions with errors of known size, in a turned frame, on random symmetric copies, a share of them random."""
    rng = np.random.default_rng(seed)
    axis = rng.standard_normal((len(true), 3))
    axis *= np.radians(degrees) / np.linalg.norm(axis, axis=1, keepdims=True)
    group = group_matrices(symmetry)
    copies = group[rng.integers(len(group), size=len(true))]
    predicted = Rotation.from_rotvec(axis).as_matrix() @ true @ copies @ (np.eye(3) if turn is None else turn)
    bad = rng.random(len(true)) < wrong
    predicted[bad] = random_matrices(int(bad.sum()), seed + 1) if bad.any() else predicted[bad]
    return (HAND_FLIP @ predicted if flipped else predicted), bad


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("symmetry", ["C1", "C3", "D2"])
@pytest.mark.parametrize("wrong", [0.0, 0.5, 0.8])
def test_alignment_is_found(symmetry, wrong, flipped):
    true, turn = random_matrices(1500, 1), random_matrices(1, 2)[0]
    predicted, bad = disturbed(true, 3.0, 3, turn=turn, symmetry=symmetry, wrong=wrong, flipped=flipped)
    found = rotation_errors(predicted, true, symmetry=symmetry)
    assert found.hand_flipped == flipped
    copies = group_matrices(symmetry) @ turn
    assert angle_between(copies, found.alignment).min() < 0.5
    np.testing.assert_allclose(found.errors[~bad], 3.0, atol=0.5)
    assert found.within_10 >= 1 - wrong - 0.05


def test_exact_predictions_have_no_error():
    true, turn = random_matrices(200, 1), random_matrices(1, 2)[0]
    found = rotation_errors((true @ turn).astype(np.float32), true.astype(np.float32))
    assert found.errors.max() < 1e-4
    assert (found.mean, found.median, found.within_10) == (found.errors.mean(), np.median(found.errors), 1)
    np.testing.assert_allclose(align_rotations(true @ turn, found.alignment), true, atol=1e-6)


def test_symmetry_is_what_makes_mates_right():
    true = random_matrices(1000, 1)
    predicted, _ = disturbed(true, 1.0, 2, symmetry="C3")
    assert rotation_errors(predicted, true, symmetry="C3").within_10 == 1
    assert rotation_errors(predicted, true).within_10 < 0.5


def test_errors_of_random_poses_are_those_of_so3():
    found = rotation_errors(random_matrices(3000, 1), random_matrices(3000, 2))
    assert found.mean == pytest.approx(126.5, abs=4)  # pi/2 + 2/pi radian
    assert found.within_10 < 0.02


def test_candidates_are_measured_under_the_same_alignment():
    true, turn = random_matrices(300, 1), random_matrices(1, 2)[0]
    first, _ = disturbed(true, 2.0, 3, turn=turn, symmetry="C2", flipped=True)
    second, _ = disturbed(true, 30.0, 5, turn=turn, symmetry="C2", flipped=True)
    found = rotation_errors(first, true, symmetry="C2")
    errors = candidate_errors(np.stack((first, second), axis=1), true, found)
    np.testing.assert_allclose(errors[:, 0], found.errors)
    np.testing.assert_allclose(errors[:, 1], 30, atol=1)


@pytest.mark.parametrize("flipped", [False, True])
def test_one_translation_of_the_map_is_taken_out_of_the_shifts(flipped):
    rng = np.random.default_rng(0)
    true, turn = random_matrices(1000, 1), random_matrices(1, 2)[0]
    predicted, bad = disturbed(true, 1.0, 3, turn=turn, wrong=0.4, flipped=flipped)
    true_shifts, translation = rng.normal(0, 5, (1000, 2)), np.array([4.0, -7.0, 2.5])
    shifts = true_shifts - (true @ translation)[:, :2] + rng.normal(0, 0.2, (1000, 2))
    shifts[bad] = rng.normal(0, 9, (int(bad.sum()), 2))
    found = shift_errors(shifts, true_shifts, predicted, rotation_errors(predicted, true))
    np.testing.assert_allclose(found.translation, translation, atol=0.1)
    assert np.median(found.errors[~bad]) == pytest.approx(0.2 * np.sqrt(2 * np.log(2)), abs=0.06)


def test_a_direction_that_no_image_shows_does_no_harm():
    true = Rotation.from_euler("z", np.linspace(0, 300, 50)[:, None], degrees=True).as_matrix()
    shifts = -(true @ [3.0, 1.0, 0.0])[:, :2]
    found = shift_errors(shifts, np.zeros((50, 2)), true, rotation_errors(true, true))
    assert found.errors.max() < 1e-3
    assert np.abs(found.translation).max() < 4


def test_no_argument_is_mutated():
    true = random_matrices(50, 1)
    predicted, kept = true[::-1].copy(), true.copy()
    rotation_errors(predicted, true)
    np.testing.assert_array_equal(true, kept)
    np.testing.assert_array_equal(predicted, kept[::-1])


@pytest.mark.parametrize("name", ["", "C0", "X", "3", "C-1"])
def test_unknown_symmetry_is_refused(name):
    with pytest.raises(ValueError, match="expected a point group: Cn, Dn"):
        group_matrices(name)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="expected"):
        rotation_errors(np.eye(3)[None], random_matrices(2, 0))
    with pytest.raises(ValueError, match="expected"):
        rotation_errors(np.empty((0, 3, 3)), np.empty((0, 3, 3)))
