"""The small picture of a map: its outline, its sides, its light."""

import numpy as np
import pytest

from napari_cryospin.views.map_thumbnail import map_thumbnail


def blob(box: int, *places: tuple[float, float, float], width: float = 2.5) -> np.ndarray:
    """Gaussian balls at `(z, y, x)` places, voxels from the centre."""
    grid = np.indices((box,) * 3) - box // 2
    return sum(np.exp(-((grid - np.array(one)[:, None, None, None]) ** 2).sum(0) / 2 / width**2) for one in places)


def test_a_ball_is_a_disc_in_the_middle_lit_from_above_and_left():
    picture = map_thumbnail(blob(32, (0, 0, 0)), 90)
    assert picture.shape == (90, 90, 4)
    opaque = picture[..., 3] > 128
    rows, columns = np.nonzero(opaque)
    assert abs(rows.mean() - 44.5) < 1.5
    assert abs(columns.mean() - 44.5) < 1.5
    radius = np.sqrt(opaque.sum() / np.pi)
    assert 0.3 * 90 < radius < 0.5 * 90
    distance = np.hypot(rows - rows.mean(), columns - columns.mean())
    assert distance.max() < 1.06 * radius  # round
    bright = picture[..., 0].astype(float)
    quarter = int(0.6 * radius / np.sqrt(2))
    assert bright[44 - quarter, 44 - quarter] > 1.15 * bright[44 + quarter, 44 + quarter]


@pytest.mark.parametrize(("place", "row", "column"), [((0, 8, 0), "above", 0), ((0, 0, 8), 0, "right")])
def test_y_points_upwards_and_x_to_the_right(place, row, column):
    """A small ball beside a large one, on the side of the positive axis."""
    density = np.maximum(blob(40, (0, 0, 0), width=4), blob(40, place, width=1.6))
    opaque = map_thumbnail(density, 80)[..., 3] > 128
    rows, columns = np.nonzero(opaque)
    small_up = (opaque[: len(opaque) // 2].sum() < opaque[len(opaque) // 2 :].sum()) if row == "above" else None
    small_right = (opaque[:, 40:].sum() < opaque[:, :40].sum()) if column == "right" else None
    assert small_up is not False
    assert small_right is not False
    assert np.ptp(rows if row == "above" else columns) > np.ptp(columns if row == "above" else rows)


def test_what_lies_in_front_along_z_hides_what_lies_behind():
    front, behind = blob(40, (8, 0, 0), width=2), blob(40, (-8, 0, 0), width=4)
    both = map_thumbnail(np.maximum(front, behind), 80)[..., 0].astype(float)
    mirrored = map_thumbnail(np.maximum(front, behind)[::-1], 80)[..., 0].astype(float)
    assert both[40, 40] > mirrored[40, 40] * 0.9
    edge = both[40, 40 + 14]
    assert both[40, 40] > edge  # nearer is brighter


def test_a_map_of_one_value_has_no_surface():
    assert not map_thumbnail(np.ones((16, 16, 16)), 40).any()
