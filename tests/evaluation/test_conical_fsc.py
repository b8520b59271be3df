"""Correlations within cones: against the whole FSC, maps whose agreement is known, and a direction made worthless."""

import numpy as np
import pytest
from scipy import fft

from napari_cryospin.evaluation.conical_fsc import ConicalFsc, conical_fsc
from napari_cryospin.evaluation.orientation_bias import OrientationBias

BOX = 40


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((BOX,) * 3)


def cone_of(axis: np.ndarray, half_angle: float) -> np.ndarray:
    """Where an `rfftn` transform lies within a double cone about `(x, y, z)`."""
    line, half = fft.fftfreq(BOX), fft.rfftfreq(BOX)
    z, y, x = np.meshgrid(line, line, half, indexing="ij")
    length = np.maximum(np.sqrt(x**2 + y**2 + z**2), 1e-9)
    return np.abs(x * axis[0] + y * axis[1] + z * axis[2]) / length >= np.cos(np.radians(half_angle))


def replaced(density: np.ndarray, other: np.ndarray, where: np.ndarray) -> np.ndarray:
    return fft.irfftn(np.where(where, fft.rfftn(other), fft.rfftn(density)), s=density.shape)


def test_one_cone_of_all_directions_is_the_whole_shell():
    """Of independent coefficients, by hand: shells of rounded radius."""
    a, b = noise(0), noise(0) + noise(1)
    found = conical_fsc(a, b, half_angle=90.0)
    np.testing.assert_allclose(found.values, np.broadcast_to(found.values[0], found.values.shape))
    fa, fb = fft.rfftn(a), fft.rfftn(b)
    line, half = fft.fftfreq(BOX, 1 / BOX), np.arange(BOX // 2 + 1)
    shell = np.rint(np.sqrt(line[:, None, None] ** 2 + line[:, None] ** 2 + half**2))
    for radius in (4, 11, 19):
        at = shell == radius
        by_hand = (fa[at] * fb[at].conj()).real.sum() / np.sqrt((abs(fa[at]) ** 2).sum() * (abs(fb[at]) ** 2).sum())
        assert found.values[0, radius - 1] == pytest.approx(by_hand)


def test_maps_that_agree_alike_in_all_directions_have_a_ratio_near_one():
    signal = noise(0)
    found = conical_fsc(signal + 0.3 * noise(1), signal + 0.3 * noise(2))
    assert found.area_ratio > 0.9
    assert conical_fsc(signal, signal).area_ratio == pytest.approx(1)


@pytest.mark.parametrize("axis", [(0, 0, 1), (1, 0, 0), (0, 0.6, 0.8)])
def test_a_direction_without_information_is_found(axis):
    """Within 45 degrees of an axis the second map is another one's: cones there agree nowhere, others all the way."""
    axis, signal = np.array(axis, float), noise(0)
    found = conical_fsc(signal, replaced(signal, noise(3), cone_of(axis, 45)))
    along = np.abs(found.axes @ axis)
    assert found.areas[along > np.cos(np.radians(20))].max() < 0.15 * found.areas.max()
    away = found.areas[along < np.cos(np.radians(70))]
    np.testing.assert_allclose(away, found.areas.max(), rtol=0.02)
    assert found.area_ratio < 0.15


def test_nothing_counts_beyond_the_band_or_behind_the_first_fall():
    signal = noise(0)
    assert conical_fsc(signal, signal, band=7).values.shape[1] == 7
    curve = np.array([[1.0, 0.5, 0.1, 0.9], [1.0, 1.0, 1.0, 1.0]])
    found = ConicalFsc(np.eye(3)[:2], curve)
    np.testing.assert_allclose(found.areas, [1.5, 4])
    assert found.area_ratio == pytest.approx(1.5 / 4)
    assert np.isnan(ConicalFsc(np.eye(3)[:1], np.zeros((1, 4))).area_ratio)


@pytest.mark.parametrize(
    ("compensation", "ratio", "good", "words"),
    [
        (1.0, np.nan, True, "views are spread well"),
        (0.99, 0.8, True, "as good in all directions"),
        (0.99, 0.3, False, "junk, or wrong poses"),
        (0.4, 0.8, False, "crowded, yet"),
        (0.4, 0.3, False, "smeared"),
        (0.4, np.nan, False, "smeared"),
    ],
)
def test_the_two_measures_together_say_what_is_good_and_what_is_bad(compensation, ratio, good, words):
    judged = OrientationBias(compensation=compensation, efficiency=0.9, area_ratio=ratio)
    assert judged.good == good
    assert words in judged.sentence


def test_side_views_are_the_limit():
    assert OrientationBias(compensation=0.811, efficiency=0.9).even_views
    assert not OrientationBias(compensation=0.810, efficiency=0.9).even_views
