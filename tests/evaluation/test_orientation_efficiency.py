"""E_od against integrals for distributions about an axis, which use neither a lattice nor a Fourier transform."""

import numpy as np
import pytest
from scipy.special import j0

from napari_cryospin.evaluation.orientation_efficiency import (
    B_FACTOR,
    FINEST_RESOLUTION,
    PARTICLE_SIZE,
    orientation_efficiency,
)

COUNT = 20_000
SHELLS = PARTICLE_SIZE / FINEST_RESOLUTION


def rotations(directions):
    """Rotations with these view directions, of which nothing else counts."""
    found = np.zeros((len(directions), 3, 3))
    found[:, 2] = directions
    return found


def about_the_axis(tilts):
    """View directions evenly about z."""
    turn = np.random.default_rng(1).uniform(0, 2 * np.pi, len(tilts))
    return np.stack([np.sin(tilts) * np.cos(turn), np.sin(tilts) * np.sin(turn), np.cos(tilts)], axis=-1)


def even(count=COUNT):
    return about_the_axis(np.arccos(np.random.default_rng(0).uniform(-1, 1, count)))


def side(count=COUNT):
    return about_the_axis(np.full(count, np.pi / 2))


def sampled_by_even_views(k, mu):
    """Share of even views whose slice passes within half a voxel of a point in shell k."""
    return np.minimum(1, 0.5 / k)


def sampled_by_side_views(k, mu):
    """The same of side views, `mu` being the cosine of the point's angle to the axis."""
    return 2 / np.pi * np.arcsin(np.minimum(1, 0.5 / np.maximum(k * np.sqrt(1 - mu**2), 1e-9)))


def efficiency_about_the_axis(sampled):
    """E_od by quadrature: the transform in spherical coordinates, its 1 / e^2 surface, and moments over that."""
    k, mu = (np.arange(200) + 0.5) / 200 * SHELLS, (np.arange(150) + 0.5) / 150
    k, mu = k[:, None], mu[None]
    weights = np.sqrt(sampled(k, mu)) * np.exp(-B_FACTOR / 4 * (k / PARTICLE_SIZE) ** 2) * k**2
    angles, distances = np.linspace(0, np.pi / 2, 24), np.linspace(0, 10, 51)  # radian, A

    def spread(distance, angle):
        phase = 2 * np.pi * k / PARTICLE_SIZE * distance
        return (weights * j0(phase * np.sqrt(1 - mu**2) * np.sin(angle)) * np.cos(phase * mu * np.cos(angle))).sum()

    radii = []
    for angle in angles:
        values = np.array([spread(distance, angle) for distance in distances]) / spread(0, angle)
        below = np.flatnonzero(values < np.exp(-2))[0]
        radii.append(np.interp(-np.exp(-2), -values[below - 1 : below + 1], distances[below - 1 : below + 1]))
    radii = np.array(radii)
    areas = radii * np.sin(angles) * np.hypot(radii, np.gradient(radii, angles))  # of a surface of revolution
    mean = np.average(radii, weights=areas)
    return 1 - 2 * np.sqrt(np.average((radii - mean) ** 2, weights=areas)) / mean


@pytest.mark.parametrize(
    ("views", "sampled"),
    [
        (even(), sampled_by_even_views),
        (side(), sampled_by_side_views),
        (
            np.concatenate([even(COUNT // 2), side(COUNT // 2)]),
            lambda k, mu: (sampled_by_even_views(k, mu) + sampled_by_side_views(k, mu)) / 2,
        ),
    ],
    ids=["even", "side", "mixed"],
)
def test_it_is_that_of_the_integral(views, sampled):
    assert orientation_efficiency(rotations(views)) == pytest.approx(efficiency_about_the_axis(sampled), abs=0.02)


def test_even_views_have_one_and_a_single_view_none():
    assert orientation_efficiency(rotations(even())) > 0.98
    assert orientation_efficiency(rotations(np.tile([0.48, -0.6, 0.64], (50, 1)))) == 0
    assert orientation_efficiency(rotations(np.array([[0.0, 0.0, 1.0]]))) == 0


def test_it_falls_as_views_gather_about_an_axis_and_does_not_depend_on_the_axis():
    tilts = [np.arccos(np.random.default_rng(2).uniform(np.cos(np.radians(most)), 1, COUNT)) for most in (70, 50, 30)]
    found = [orientation_efficiency(rotations(about_the_axis(one))) for one in tilts]
    assert list(np.diff(found) < -0.1) == [True, True]
    turned = about_the_axis(tilts[1])[:, [2, 0, 1]]
    assert orientation_efficiency(rotations(turned)) == pytest.approx(found[1], abs=0.03)
    assert orientation_efficiency(rotations(-about_the_axis(tilts[1]))) == pytest.approx(found[1], abs=1e-6)


def test_no_views_are_refused():
    with pytest.raises(ValueError, match="expected views"):
        orientation_efficiency(np.zeros((0, 3, 3)))
