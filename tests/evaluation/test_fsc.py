"""Fourier shell correlation against an independent implementation, known spectra, and masks."""

import numpy as np
import pytest
import torch
from torch_fourier_shell_correlation import fourier_correlation

from napari_cryospin.evaluation.fsc import Fsc, fsc, map_mask, spherical_mask


def noisy_pair(n: int, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((n, n, n))
    return signal, signal + noise * rng.standard_normal((n, n, n))


@pytest.mark.parametrize("n", [24, 32])
def test_agrees_with_torch_fourier_shell_correlation(n):
    a, b = noisy_pair(n)
    spectra = [torch.fft.fftn(torch.from_numpy(m)) for m in (a, b)]
    expected = fourier_correlation(*spectra, (n, n, n), rfft=False).numpy()
    np.testing.assert_allclose(fsc(a, b, 1.5).values, expected, atol=1e-6)


def test_mask_is_applied_to_both():
    a, b = noisy_pair(24)
    mask = spherical_mask(24, 7, 3)
    np.testing.assert_allclose(fsc(a, b, 1, mask).values, fsc(a * mask, b * mask, 1).values, atol=1e-12)


def test_a_map_agrees_with_itself_whatever_its_scale():
    a, _ = noisy_pair(24)
    curve = fsc(a, 3 * a + 5, 2.0)
    np.testing.assert_allclose(curve.values, 1)
    assert curve.resolution() == pytest.approx(4.0)  # Nyquist
    np.testing.assert_allclose(fsc(a, -a, 2.0).values[1:], -1)


def test_white_noise_gives_the_expected_level():
    a, b = noisy_pair(48)
    assert fsc(a, b, 1).values[10:].mean() == pytest.approx(1 / np.sqrt(2), abs=0.01)


def test_empty_shells_are_zero():
    a, _ = noisy_pair(24)
    assert not fsc(a, np.zeros_like(a), 1).values[1:].any()


def test_resolution_is_interpolated_at_the_first_crossing():
    curve = Fsc(np.array([0, 0.1, 0.2, 0.3]), np.array([1, 0.9, 0.1, 0.95]))
    assert curve.resolution(0.5) == pytest.approx(1 / 0.15)
    assert curve.resolution(0.05) == pytest.approx(1 / 0.3)


def test_sphere_is_one_inside_zero_outside_and_soft_between():
    mask = spherical_mask(32, 8, 4)
    assert mask.dtype == np.float32
    assert mask[16, 16, 24] == 1
    assert mask[16, 16, 26] == pytest.approx(0.5)
    assert mask[16, 16, 28] == pytest.approx(0, abs=1e-6)
    np.testing.assert_array_equal(mask[1:, 1:, 1:], mask[1:, 1:, 1:][::-1, ::-1, ::-1])


def test_mask_of_a_map_covers_it_and_leaves_the_rest_out():
    density = 100 * spherical_mask(48, 6, 2).astype(float)
    mask = map_mask(density, 2.0)
    assert mask[density > 50].min() == 1
    assert mask[:6].max() == 0
    assert 0.01 < mask.mean() < 0.25


def test_what_does_not_fit_is_refused():
    a, _ = noisy_pair(16)
    with pytest.raises(ValueError, match="one cube"):
        fsc(a, a[:8], 1)
    with pytest.raises(ValueError, match="mask has shape"):
        fsc(a, a, 1, spherical_mask(8, 2))
    with pytest.raises(ValueError, match="no grid point"):
        map_mask(np.zeros((16, 16, 16)), 1.0)
