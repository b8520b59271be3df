"""Gold-standard FSC: what a mask makes noise share is taken out again, what maps share is kept."""

import numpy as np
import pytest
from scipy import fft

from napari_cryospin.evaluation.fsc import Fsc, fsc, spherical_mask
from napari_cryospin.evaluation.gold_standard import (
    RANDOMISED_BELOW,
    SPILL,
    correct,
    gold_standard,
    randomise_phases,
    soft_mask,
)
from napari_cryospin.evaluation.map_filter import filter_map, low_pass, shell_radius

N, PIXEL_SIZE = 48, 2.0


def blobs(n: int = N, count: int = 40, width: float = 1.0) -> np.ndarray:
    """Protein-like: Gaussians within a quarter of the box."""
    centres = np.random.default_rng(3).normal(size=(count, 3))
    centres *= (0.18 * n / np.linalg.norm(centres, axis=1))[:, None] * np.linspace(0.3, 1, count)[:, None]
    line = np.arange(n) - n // 2
    x, y, z = (np.exp(-((line - centres[:, i, None]) ** 2) / (2 * width**2)) for i in range(3))
    return np.einsum("bx,by,bz->zyx", x, y, z)


def noise(seed: int, level: float = 1.0) -> np.ndarray:
    return level * np.random.default_rng(seed).standard_normal((N, N, N))


def test_random_phases_keep_amplitudes_and_the_inner_shells():
    density = blobs() + noise(0, 0.05)
    drawn = randomise_phases(density, 6, np.random.default_rng(0))
    assert drawn.dtype == np.float32
    before, after = fft.rfftn(density), fft.rfftn(drawn.astype(float))
    np.testing.assert_allclose(abs(after), abs(before), rtol=1e-3, atol=1e-3 * abs(before).max())
    inner = shell_radius(N) < 6
    np.testing.assert_allclose(after[inner], before[inner], atol=1e-4 * abs(before).max())
    values = fsc(density, drawn, 1).values
    assert values[:5].min() > 0.999
    assert abs(values[8:]).max() < 0.25


def test_correction_is_the_published_formula():
    masked, chance = np.array([1.0, 0.95, 0.9, 0.6, 0.4]), np.array([1.0, 0.9, 0.5, 0.2, 0.1])
    expected = [1, 0.95, 0.9, (0.6 - 0.2) / 0.8, (0.4 - 0.1) / 0.9]
    np.testing.assert_allclose(correct(masked, chance, 3 - SPILL), expected)


def test_what_a_sharp_mask_spreads_is_not_taken_for_signal():
    """The edge of a mask carries the strong inner shells to the outer ones, where the maps share nothing."""
    coarse = low_pass(blobs(), PIXEL_SIZE, N * PIXEL_SIZE / 4)
    coarse *= 0.4 / coarse.max()
    sharp = spherical_mask(N, 6, 0)
    found = gold_standard(coarse + noise(1, 0.05), coarse + noise(2, 0.05), PIXEL_SIZE, sharp)
    outer = slice(12, None)
    assert found.curves["masked"].values[outer].mean() > 0.25
    assert abs(found.curves["unmasked"].values[outer].mean()) < 0.05
    assert abs(found.curves["corrected"].values[outer].mean()) < 0.08
    assert found.resolution > found.curves["masked"].resolution()


def test_corrected_curve_is_that_of_the_signal_within_the_mask():
    """Signal in the mask, white noise all over: the mask leaves less noise, and theory says how much."""
    signal, sphere = blobs(), spherical_mask(N, 12, 4)
    level = 0.1
    found = gold_standard(signal + noise(1, level), signal + noise(2, level), PIXEL_SIZE, sphere)
    power = shell_means(abs(fft.rfftn(signal)) ** 2)
    remaining = level**2 * N**3 * (sphere.astype(float) ** 2).mean()
    expected = power / (power + remaining)
    start = np.flatnonzero(found.curves["unmasked"].values < RANDOMISED_BELOW)[0] + SPILL
    got = found.curves["corrected"].values
    assert 4 < start < 18
    assert abs(got[start:20] - expected[start:20]).max() < 0.15
    assert abs(got[start:20] - expected[start:20]).mean() < 0.05


def shell_means(values: np.ndarray) -> np.ndarray:
    shell = np.rint(shell_radius(N)).astype(int).ravel()
    return (np.bincount(shell, values.ravel()) / np.bincount(shell))[: N // 2 + 1]


def test_maps_that_agree_to_the_end_need_no_correction():
    found = gold_standard(blobs(), blobs() + noise(0, 1e-7), PIXEL_SIZE)
    assert found.resolution == pytest.approx(2 * PIXEL_SIZE)
    assert found.curves["corrected"] is found.curves["masked"]


def test_nothing_is_claimed_beyond_the_band():
    """Maps made of 12 shells, and a tail that both owe to the same mask: without the band it passes for signal."""
    tail = low_pass(noise(9, 1e-3), PIXEL_SIZE, 2 * PIXEL_SIZE)
    halves = [low_pass(blobs() + noise(k, 0.02), PIXEL_SIZE, N * PIXEL_SIZE / 10) + tail for k in (1, 2)]
    assert gold_standard(*halves, PIXEL_SIZE).curves["corrected"].values[16:].min() > 0.3
    found = gold_standard(*halves, PIXEL_SIZE, band=12)
    for curve in found.curves.values():
        assert not curve.values[13:].any()
    assert N * PIXEL_SIZE / 13 <= found.resolution < N * PIXEL_SIZE / 11.5


def test_mask_is_made_of_the_average_and_is_soft():
    average = blobs() + noise(0, 0.02)
    mask = soft_mask(average, PIXEL_SIZE)
    assert mask[blobs() > 0.5].min() > 0.95
    assert mask[:3].max() == 0
    assert 0.02 < mask.mean() < 0.4
    assert ((mask > 0.05) & (mask < 0.95)).mean() > 0.02  # an edge of several pixels
    np.testing.assert_allclose(gold_standard(average, average, PIXEL_SIZE).mask, mask, atol=1e-5)


def test_nothing_in_the_map_leaves_the_sphere():
    assert soft_mask(-np.ones((N, N, N)), PIXEL_SIZE)[N // 2, N // 2, N // 2] == 1


def test_the_table_has_all_curves():
    found = gold_standard(blobs() + noise(0, 0.2), blobs() + noise(1, 0.2), PIXEL_SIZE)
    assert list(found.table) == ["frequency", "unmasked", "masked", "phase_randomised", "corrected"]
    assert {len(column) for column in found.table.values()} == {N // 2 + 1}
    assert isinstance(found.curves["corrected"], Fsc)


def test_low_pass_keeps_what_is_coarser_and_nothing_finer():
    density = noise(0)
    got = fft.rfftn(low_pass(density, PIXEL_SIZE, N * PIXEL_SIZE / 10).astype(float))
    spectrum, radius = fft.rfftn(density), shell_radius(N)
    np.testing.assert_allclose(got[radius <= 10], spectrum[radius <= 10], rtol=1e-3, atol=1e-2)
    assert abs(got[radius >= 12]).max() < 1e-2
    np.testing.assert_allclose(low_pass(density, PIXEL_SIZE, float("nan")), density, rtol=1e-6)
    smooth = blobs(width=2.0)
    np.testing.assert_allclose(filter_map(smooth, np.full(25, 2.0)), 2 * smooth, atol=2e-3 * smooth.max())
