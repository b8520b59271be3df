"""Combined map, B-factor and low-pass: a known fall-off is found again and levelled; without halves, only by hand."""

import numpy as np
import pytest
from scipy import fft

from napari_cryospin.evaluation.fsc import Fsc
from napari_cryospin.evaluation.guinier import guinier, mean_amplitudes
from napari_cryospin.evaluation.map_filter import b_factor_factors, filter_map, shell_radius
from napari_cryospin.evaluation.postprocess import fsc_weights, postprocess, sharpen

N, PIXEL_SIZE, B = 48, 1.5, 180.0


@pytest.fixture(scope="module")
def blurred() -> np.ndarray:
    """A map of flat spectrum inside a ball, blurred by a B-factor of 180 A^2."""
    line = np.arange(N) - N // 2
    ball = line[:, None, None] ** 2 + line[:, None] ** 2 + line**2 < 14**2
    flat = np.random.default_rng(0).standard_normal((N, N, N)) * ball
    return filter_map(flat, b_factor_factors(N, PIXEL_SIZE, B))


def halves(density: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    size = level * density.std()
    return tuple(density + size * rng.standard_normal(density.shape).astype(np.float32) for _ in range(2))


def test_guinier_finds_the_b_factor(blurred):
    found = guinier(blurred, PIXEL_SIZE, 3.2)
    assert found.b_factor == pytest.approx(-B, rel=0.05)
    slope = np.polyfit(found.square[10:20], found.log_amplitude[10:20], 1)[0]
    assert 4 * slope == pytest.approx(-B, rel=0.1)


def test_no_guinier_fit_without_a_tail(blurred):
    assert guinier(blurred, PIXEL_SIZE, 9.5).b_factor is None
    assert guinier(blurred, 6.0, 13.0).b_factor is None


def test_mean_amplitudes_count_every_coefficient_once():
    density = np.random.default_rng(0).standard_normal((16, 16, 16))
    spectrum = abs(fft.fftn(density))
    line = fft.fftfreq(16, 1 / 16)
    shell = np.rint(np.sqrt(line[:, None, None] ** 2 + line[:, None] ** 2 + line**2)).astype(int)
    expected = [spectrum[shell == k].mean() for k in range(9)]
    np.testing.assert_allclose(mean_amplitudes(density), expected)


def test_sharpening_levels_the_spectrum(blurred):
    found = postprocess(*halves(blurred, 1e-4), PIXEL_SIZE)
    assert found.b_factor == pytest.approx(-B, rel=0.1)
    amplitudes = mean_amplitudes(found.sharpened)[8:22]
    assert amplitudes.max() / amplitudes.min() < 1.25
    assert mean_amplitudes(blurred)[8] / mean_amplitudes(blurred)[21] > 5
    np.testing.assert_allclose(found.map, blurred, atol=1e-3 * abs(blurred).max())


def test_nothing_finer_than_the_resolution_is_left(blurred):
    noisy = halves(blurred, 1.5)
    found = postprocess(*noisy, PIXEL_SIZE)
    assert 3.5 < found.resolution < 12
    assert found.low_pass == found.resolution
    spectrum, radius = abs(fft.rfftn(found.sharpened.astype(float))), shell_radius(N)
    beyond = radius > N * PIXEL_SIZE / found.resolution + 2.01
    assert spectrum[beyond].max() < 1e-3 * spectrum.max()
    np.testing.assert_allclose(found.map, (noisy[0] + noisy[1]) / 2, rtol=1e-5, atol=1e-6)
    assert found.mask.shape == found.map.shape


def test_by_hand_wins(blurred):
    noisy = halves(blurred, 1.5)
    found = postprocess(*noisy, PIXEL_SIZE, b_factor=-50.0, low_pass=10.0)
    assert (found.b_factor, found.low_pass) == (-50, 10)
    expected = sharpen(found.map, PIXEL_SIZE, -50, 10, fsc_weights(found.curves["corrected"]))
    np.testing.assert_array_equal(found.sharpened, expected)


def test_without_halves_only_by_hand_and_it_is_said(blurred):
    found = postprocess(blurred, None, PIXEL_SIZE, b_factor=-B)
    assert np.isnan(found.resolution)
    assert not found.curves
    assert found.mask is None
    assert "no half sets" in found.notes[0]
    amplitudes = mean_amplitudes(found.sharpened)[2:22]
    assert amplitudes.max() / amplitudes.min() < 1.6
    unchanged = postprocess(blurred, None, PIXEL_SIZE)
    np.testing.assert_allclose(unchanged.sharpened, blurred, atol=2e-3 * abs(blurred).max())


def test_a_b_factor_that_no_map_can_hold_is_refused(blurred):
    with pytest.raises(ValueError, match="B-factor: found -1e"):
        sharpen(np.asarray(blurred), 1.0, -1e6, float("nan"))


def test_a_coarse_map_is_not_sharpened_and_it_is_said(blurred):
    found = postprocess(*halves(blurred, 0.5), 8.0)
    assert found.b_factor == 0
    assert "not sharpened" in " ".join(found.notes)


def test_weights_are_the_correlation_with_the_truth():
    frequency = np.arange(6) / 60
    curve = Fsc(frequency, np.array([1, 0.9, 0.5, 0.1, -0.3, 0.6]))
    got = fsc_weights(curve)
    np.testing.assert_allclose(got[:3], np.sqrt(2 * curve.values[:3] / (1 + curve.values[:3])))
    np.testing.assert_allclose(got[3:], np.sqrt(2 * 0.143 / 1.143))
