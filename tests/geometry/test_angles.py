"""Angles: the vectors of the conventions, and scipy."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_cryospin.geometry.angles import (
    ROTATIONS_AT_A_TIME,
    euler_from_rotation,
    rotation_from_euler,
    rotation_from_rotvec,
    rotvec_from_rotation,
)

MATRIX = [
    [-0.279453821, 0.923720837, -0.262002630],
    [-0.694109138, -0.005813254, 0.719846310],
    [0.663413948, 0.383022222, 0.642787610],
]


def test_matrix_of_the_conventions() -> None:
    rotation = rotation_from_euler([30, 50, 70])
    np.testing.assert_allclose(rotation, MATRIX, atol=1e-9)
    np.testing.assert_allclose((rotation @ [9, -5, 4])[:2], [-8.181699, -3.338531], atol=1e-6)
    np.testing.assert_allclose(euler_from_rotation(rotation), [30, 50, 70], atol=1e-9)


@pytest.mark.parametrize(
    ("rotation_vector", "angles"),
    [
        ([0.337506778, 0.927292252, 1.621109060], [30, 50, 70]),
        ([0.4, -0.7, 1.1], [-117.038986, 43.750877, -176.528749]),
    ],
)
def test_cryosparc_poses_of_the_conventions(rotation_vector: list[float], angles: list[float]) -> None:
    rotation = rotation_from_rotvec(np.array([rotation_vector]))[0]
    np.testing.assert_allclose(euler_from_rotation(rotation), angles, atol=1e-6)


def test_round_trip_and_scipy() -> None:
    rotations = Rotation.random(500, random_state=1).as_matrix()
    angles = euler_from_rotation(rotations)
    np.testing.assert_allclose(rotation_from_euler(angles), rotations, atol=1e-12)
    scipys = Rotation.from_matrix(rotations.swapaxes(-1, -2)).as_euler("ZYZ", degrees=True)
    np.testing.assert_allclose(angles, scipys, atol=1e-8)


@pytest.mark.parametrize("count", [1, ROTATIONS_AT_A_TIME, ROTATIONS_AT_A_TIME + 3])
def test_cryosparc_poses_of_many_particles_are_scipys(count: int) -> None:
    poses = Rotation.random(count, random_state=2)
    rotations = rotation_from_rotvec(poses.as_rotvec())
    np.testing.assert_allclose(rotations, poses.as_matrix().swapaxes(-1, -2), atol=1e-12)
    np.testing.assert_allclose(rotvec_from_rotation(rotations), poses.as_rotvec(), atol=1e-7)


@pytest.mark.parametrize("angles", [[25.0, 0.0, 40.0], [25.0, 180.0, 40.0], [0.0, 0.0, 0.0]])
def test_poles(angles: list[float]) -> None:
    """Where the beam runs along z only the sum (or difference) of rot and psi is known."""
    rotation = rotation_from_euler(angles)
    again = euler_from_rotation(rotation)
    assert again[0] == 0
    np.testing.assert_allclose(rotation_from_euler(again), rotation, atol=1e-12)


def test_viewing_direction_is_third_row() -> None:
    rot, tilt = np.radians([30, 50])
    expected = [np.sin(tilt) * np.cos(rot), np.sin(tilt) * np.sin(rot), np.cos(tilt)]
    np.testing.assert_allclose(rotation_from_euler([30, 50, 70])[2], expected)


def test_leading_dimensions() -> None:
    angles = np.random.default_rng(0).uniform(1, 170, (2, 5, 3))
    assert rotation_from_euler(angles).shape == (2, 5, 3, 3)
    np.testing.assert_allclose(euler_from_rotation(rotation_from_euler(angles)), angles)
