"""What exists for NumPy and for torch is the same function twice."""

import numpy as np
import torch

from napari_cryospin.geometry.angles import angle_between, rotation_from_euler
from napari_cryospin.geometry.so3 import exponential_map, random_rotations, rotation_distance
from napari_cryospin.geometry.so3_grid import rotation_from_angles
from napari_cryospin.views.posterior.turned_image import in_plane


def test_rotations_of_euler_angles():
    angles = np.random.default_rng(0).uniform((-180, 0, -180), (180, 180, 180), (500, 3))
    theirs = rotation_from_angles(*torch.from_numpy(angles).deg2rad().unbind(-1))
    np.testing.assert_allclose(rotation_from_euler(angles), theirs.numpy(), atol=1e-14)


def test_a_turn_in_the_plane_adds_to_psi():
    psi = np.linspace(-170, 170, 7)
    turned = in_plane(torch.from_numpy(psi).deg2rad()).numpy() @ rotation_from_euler((10.0, 20.0, 30.0))
    np.testing.assert_allclose(turned, rotation_from_euler([(10.0, 20.0, 30.0 + turn) for turn in psi]), atol=1e-14)


def test_angles_between_rotations():
    first, second = random_rotations(1000, torch.Generator().manual_seed(0)).double().unflatten(0, (2, 500))
    np.testing.assert_allclose(angle_between(first, second), rotation_distance(first, second).numpy(), rtol=1e-12)
    small = exponential_map(torch.tensor([1e-8, 0.0, 0.0], dtype=torch.float64)) @ first
    np.testing.assert_allclose(angle_between(small, first), np.degrees(1e-8), rtol=1e-6)
    np.testing.assert_allclose(rotation_distance(small, first).numpy(), np.degrees(1e-8), rtol=1e-6)
