"""Dust that is hidden, and differences of maps place by place."""

import numpy as np

from napari_cryospin.views.isosurface import LEVEL_BINS, MapStatistics, isosurface, without_dust
from napari_cryospin.views.local_uncertainty import at_vertices, local_uncertainty


def ball(centre, radius, box=32):
    grid = np.indices((box,) * 3).transpose(1, 2, 3, 0)
    return (np.linalg.norm(grid - np.array(centre), axis=-1) < radius).astype(np.float32)


def test_small_pieces_vanish_from_the_surface_and_large_ones_stay():
    large, second, dust = ball((16, 16, 16), 7), ball((16, 16, 28), 3), ball((4, 4, 4), 1.5)
    density = large + second + dust
    left = without_dust(density, 0.5)
    np.testing.assert_array_equal(left[dust == 0], density[dust == 0])
    assert (left[dust > 0] <= 0.5).all()
    assert not len(isosurface(left, 0.5).vertices[(isosurface(left, 0.5).vertices < 8).all(1)])
    np.testing.assert_array_equal(without_dust(large, 0.5), large)  # a single piece is never dust
    np.testing.assert_array_equal(without_dust(large, 2.0), large)  # nor is there any in an empty contour


def test_maps_differ_where_they_were_made_to():
    rng = np.random.default_rng(0)
    common = rng.normal(size=(32, 32, 32)).astype(np.float32)
    noise = rng.normal(size=(2, 32, 32, 32)).astype(np.float32)
    noise[..., :16] = 0
    found = local_uncertainty([common + noise[0], common + noise[1]])
    assert found[..., 2:8].max() < 0.05
    # Half of (a - b) has half the variance of one noise; the mean has that of the signal and half of the noise's.
    expected = np.sqrt(0.5 / 1.5)
    np.testing.assert_allclose(found[..., 24:].mean(), expected, rtol=0.05)
    scaled = local_uncertainty([7 * (common + noise[0]), 7 * (common + noise[1])])
    np.testing.assert_allclose(scaled, found, rtol=1e-4)  # whatever the scale of the map


def test_values_are_read_where_vertices_are():
    z, y, x = np.indices((8, 8, 8)).astype(np.float32)
    places = np.random.default_rng(1).uniform(0, 7, (20, 3))
    np.testing.assert_allclose(at_vertices(z + 10 * y + 100 * x, places), places @ [1, 10, 100], rtol=1e-5)


def test_the_histogram_counts_the_voxels_above_the_lowest_contour():
    density = np.random.default_rng(2).normal(size=(16, 16, 16)).astype(np.float32)
    statistics = MapStatistics.of(density)
    assert len(statistics.counts) == LEVEL_BINS
    assert statistics.counts.sum() == (density >= statistics.low_level).sum()
