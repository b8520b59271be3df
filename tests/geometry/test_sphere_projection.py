"""Flat maps and globes of the sphere: places and directions belong together, and pictures lie as their places do."""

import numpy as np
import pytest

from napari_cryospin.geometry.sphere_cells import healpix_cells, pixel_of
from napari_cryospin.geometry.sphere_projection import FlatProjection, GlobeProjection

FACING = np.array([0.48, -0.6, 0.64])
DIRECTIONS = np.random.default_rng(0).standard_normal((500, 3))
DIRECTIONS /= np.linalg.norm(DIRECTIONS, axis=1, keepdims=True)


@pytest.mark.parametrize("projection", [FlatProjection(), GlobeProjection(FACING)])
def test_a_place_leads_back_to_its_direction(projection):
    places = projection.place(DIRECTIONS)
    seen = np.isfinite(places).all(-1)
    np.testing.assert_allclose(projection.direction(places[seen]), DIRECTIONS[seen], atol=1e-5)
    assert (np.abs(places[seen]) <= (projection.half_width, 1)).all()
    beside = projection.direction([[1.01 * projection.half_width, 0.0], [0.0, -1.01]])
    assert np.isnan(beside).all()


@pytest.mark.parametrize("projection", [FlatProjection(), GlobeProjection(FACING)])
def test_the_picture_has_each_cell_at_its_place(projection):
    cells = projection.pixels(4, 200)
    rows, columns = cells.shape
    assert columns == rows * projection.half_width
    places = projection.place(healpix_cells(4).centres)
    seen = np.isfinite(places).all(-1) & (np.hypot(places[:, 0] / projection.half_width, places[:, 1]) < 0.9)
    column = ((places[seen, 0] / projection.half_width + 1) / 2 * columns).astype(int)
    row = ((places[seen, 1] + 1) / 2 * rows).astype(int)
    np.testing.assert_array_equal(cells[row, column], np.flatnonzero(seen))


def test_a_globe_shows_the_half_that_faces_the_user_north_upwards():
    globe = GlobeProjection(FACING)
    np.testing.assert_array_equal(np.isfinite(globe.place(DIRECTIONS)).all(-1), DIRECTIONS @ FACING > 0)
    np.testing.assert_allclose(globe.place(FACING), (0, 0), atol=1e-12)
    north = globe.place([0.0, 0.0, 1.0])
    assert north[0] == pytest.approx(0, abs=1e-12)
    assert north[1] > 0
    # From outside, with north upwards, rot grows to the right.
    east = globe.place(np.array([-FACING[1], FACING[0], 0]) * 0.1 + FACING)
    assert east[0] > 0


def test_dragging_the_surface_moves_what_is_under_the_mouse():
    globe = GlobeProjection(FACING)
    assert pixel_of(globe.turned(0, 0).facing, 8) == pixel_of(FACING, 8)
    for right, up in ((0.02, 0.0), (0.0, 0.02)):
        place = globe.turned(right, up).place(FACING)
        across = np.hypot(*FACING[:2])  # A turn about the axis moves points near it less.
        np.testing.assert_allclose(place, (right * across, up), atol=1e-3)
    assert np.isfinite(globe.turned(3.0, 9.0).facing).all()
