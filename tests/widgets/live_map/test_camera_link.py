"""Turning the map and looking along a particle's view are the same rotation."""

import numpy as np
import pytest
from napari.components import Camera
from scipy.spatial.transform import Rotation

from napari_cryospin.widgets.live_map.camera_link import CHIMERAX_AXES, camera_rotation, rotation_of_view, turn_camera

NAPARI = ("towards", "down", "right")


@pytest.mark.parametrize("orientation", [CHIMERAX_AXES, NAPARI])
def test_first_view_is_the_identity(orientation):
    camera = Camera(orientation=orientation)
    np.testing.assert_allclose(camera_rotation(camera), np.eye(3), atol=1e-12)


@pytest.mark.parametrize("orientation", [CHIMERAX_AXES, NAPARI])
def test_camera_takes_a_rotation_and_tells_it_again(orientation):
    camera = Camera(orientation=orientation)
    for rotation in Rotation.random(20, random_state=0).as_matrix():
        turn_camera(camera, rotation)
        np.testing.assert_allclose(camera_rotation(camera), rotation, atol=1e-9)


def test_view_of_a_direction_has_psi_zero():
    for direction in (*np.random.default_rng(0).normal(size=(20, 3)), (0, 0, 2), (0, 0, -1)):
        rotation = rotation_of_view(direction)
        np.testing.assert_allclose(rotation[2], direction / np.linalg.norm(direction), atol=1e-12)
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1)
        assert rotation[1, 2] == pytest.approx(0, abs=1e-12)  # sin tilt sin psi
