"""Directions on a half-sphere, evenly spread."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from napari_cryospin.geometry.half_sphere import half_sphere


@pytest.mark.parametrize("count", [128, 2000])
def test_directions_are_even_and_on_one_side(count):
    points = half_sphere(count)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1)
    assert points[:, 2].min() > 0
    assert points[:, 2].mean() == pytest.approx(0.5, abs=1e-3)  # as the area of a half-sphere has it
    nearest = cKDTree(points).query(points, k=2)[0][:, 1]
    assert nearest.min() > 0.75 * np.sqrt(2 * np.pi / count)
