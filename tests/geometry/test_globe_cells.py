"""Cells on a small globe: what faces the user is in the middle, north is up, east is right, and all of it is seen."""

import numpy as np
import pytest

from napari_cryospin.geometry.globe_cells import globe_cells
from napari_cryospin.geometry.sphere_cells import direction_of, healpix_cells, pixel_of


@pytest.mark.parametrize(("rot", "tilt"), [(0, 90), (40, 60), (-130, 120)])
def test_faces_north_and_east(rot, tilt):
    cells = globe_cells(direction_of(rot, tilt), 8, 101)
    assert cells[50, 50] == pixel_of(direction_of(rot, tilt), 8)
    centres, above = healpix_cells(8).centres, round(50.5 * np.sin(np.radians(30)))
    assert centres[cells[50 - above, 50]] @ direction_of(rot, tilt - 30) > np.cos(np.radians(6))
    assert np.cross(direction_of(rot, tilt), centres[cells[50, 80]])[2] > 0  # rot grows to the right


def test_half_of_the_sphere_is_seen_and_the_poles_have_no_hole():
    for facing in ((0, 0, 1), (0, 0, -1), (1, 0, 0)):
        cells = globe_cells(facing, 8, 200)
        seen = np.unique(cells[cells >= 0])
        ahead = healpix_cells(8).centres @ np.array(facing, float)
        assert set(np.flatnonzero(ahead > 0.15)) <= set(seen)
        assert (ahead[seen] > -0.15).all()
        assert (cells >= 0).mean() == pytest.approx(np.pi / 4, abs=0.01)
