"""Ranges in a condition, and what lies inside an outline."""

import numpy as np
import pytest

from napari_cryospin.widgets.export.particle_choice import with_least, with_range
from napari_cryospin.widgets.kit.lasso import inside


@pytest.mark.parametrize(
    ("condition", "low", "high", "expected"),
    [
        ("", 0.25, 1, "0.25 < entropy < 1"),
        ("head == 2", -np.inf, 0.5, "head == 2 and entropy < 0.5"),
        ("0.1 < entropy < 0.9 and head == 2", -3e-7, np.inf, "head == 2 and -3e-07 < entropy"),
        ("-3e-07 < entropy and not half_set == 1", 1, 2, "not half_set == 1 and 1 < entropy < 2"),
        ("entropy < 0.2 or head == 1", 0, np.inf, "(entropy < 0.2 or head == 1) and 0 < entropy"),
        ("entropy < 2", -np.inf, np.inf, ""),
    ],
)
def test_a_range_takes_the_place_of_the_one_before(condition, low, high, expected):
    assert with_range(condition, "entropy", low, high) == expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("", "belongs >= 0.5"),
        ("belongs >= 0.25 and head == 2", "head == 2 and belongs >= 0.5"),
        ("0.1 < belongs < 0.9", "belongs >= 0.5"),
        ("belongs < 0.2 or head == 1", "(belongs < 0.2 or head == 1) and belongs >= 0.5"),
    ],
)
def test_a_threshold_takes_the_place_of_the_range_before(condition, expected):
    assert with_least(condition, "belongs", 0.5) == expected


def test_what_lies_inside_an_outline():
    x, y = np.random.default_rng(0).uniform(-2, 2, (2, 5000))
    x[:10] = np.nan
    angles = np.linspace(0, 2 * np.pi, 100)
    found = inside(np.stack((np.cos(angles), np.sin(angles)), axis=-1), x, y)
    radius = np.hypot(x, y)
    assert (radius[found] < 1).all()
    assert np.isin(np.flatnonzero(radius < 0.998), found).all()
