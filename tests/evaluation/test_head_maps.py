"""Maps over the sphere of where heads win and how far they are off, against poses that are known."""

import numpy as np
from scipy.spatial.transform import Rotation

from napari_cryospin.evaluation.head_maps import direction_counts, grid_for, mean_errors, win_shares
from napari_cryospin.geometry.sphere_cells import healpix_cells, pixel_of


def poses(count, seed=0):
    return Rotation.random(count, random_state=seed).as_matrix()


def test_counts_are_of_the_third_row_and_lose_nobody():
    # rot 30, tilt 50: pixel 114 of nside 8 (conventions).
    one = Rotation.from_euler("ZYZ", [30, 50, 70], degrees=True).as_matrix().T
    counts = direction_counts(np.stack([one, one]), 8)
    assert counts[114] == 2
    assert direction_counts(poses(500), 4).sum() == 500


def test_heads_win_where_they_were_said_to():
    rotations = poses(4000)
    best = (rotations[:, 2, 2] > 0).astype(np.int16)  # head 1 wins the upper half
    best[:10] = -1
    share = win_shares(best, rotations, 3, 4)
    z = healpix_cells(4).centres[:, 2]
    assert share.shape == (3, 192)
    np.testing.assert_array_equal(share[1, z > 0.3], 1)
    np.testing.assert_array_equal(share[0, z < -0.3], 1)
    np.testing.assert_allclose(np.nansum(share, 0)[~np.isnan(share[0])], 1)


def test_cells_without_particles_are_not_zero():
    rotations = poses(3)
    share = win_shares(np.zeros(3), rotations, 2, 4)
    assert np.isnan(share).sum() == 2 * (192 - len(np.unique(pixel_of(rotations[:, 2], 4))))


def test_errors_are_means_of_each_head_in_the_cell_of_the_direction():
    directions = poses(3000, 1)[:, 2]
    north = directions[:, 2] > 0
    means = mean_errors(np.stack([np.where(north, 10.0, 20.0), np.full(3000, 25.0)], 1), directions, 4)
    z = healpix_cells(4).centres[:, 2]
    np.testing.assert_allclose(means[0, z > 0.3], 10)
    np.testing.assert_allclose(means[0, z < -0.3], 20)
    np.testing.assert_allclose(means[1], 25)


def test_grid_grows_with_the_particles():
    assert [grid_for(count) for count in (100, 3000, 10_000, 10**6)] == [2, 4, 8, 8]
