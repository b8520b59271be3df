"""Guinier plot, and the B-factor from its fit (Rosenthal & Henderson 2003, J. Mol. Biol. 333, 721-745)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from napari_cryospin.evaluation.map_filter import shell_radius

FROM = 10.0
"""Resolution in A from which the line is fitted: at lower resolution the molecule's shape governs the amplitudes
(Rosenthal & Henderson 2003)."""
LEAST_SHELLS = 5
"""Least number of shells for the fit of a line."""


@dataclass(frozen=True, kw_only=True)
class Guinier:
    """Logarithm of a map's amplitudes over the squared frequency, and the line through its tail."""

    square: NDArray[np.float64]
    """`(shells,)` 1 / A^2, from the first shell on."""
    log_amplitude: NDArray[np.float64]
    """`(shells,)` logarithm of the mean amplitude in each shell."""
    b_factor: float | None
    """A^2, negative: applied to the map it makes the line level. None where too few shells lie below the resolution."""
    intercept: float | None
    """Logarithm of the line's amplitude at zero frequency."""


def guinier(
    density: NDArray[Any], pixel_size: float, resolution: float, weights: NDArray[Any] | None = None
) -> Guinier:
    """Compute the Guinier plot of a map.

    Parameters
    ----------
    density
        `(n, n, n)`, masked if there is a mask.
    pixel_size, resolution
        A: the line is fitted between `FROM` and the resolution.
    weights
        `(shells,)` factors of the amplitudes, such as `sqrt(2 FSC / (1 + FSC))`.
    """
    n = len(density)
    amplitude = mean_amplitudes(density)
    if weights is not None:
        amplitude = amplitude * weights
    frequency = np.arange(1, n // 2 + 1) / (n * pixel_size)
    square, log_amplitude = frequency**2, np.log(np.maximum(amplitude[1:], 1e-30))
    fitted = (frequency >= 1 / FROM) & (frequency <= 1 / resolution) & (amplitude[1:] > 1e-30)
    if np.count_nonzero(fitted) < LEAST_SHELLS:
        return Guinier(square=square, log_amplitude=log_amplitude, b_factor=None, intercept=None)
    slope, intercept = np.polyfit(square[fitted], log_amplitude[fitted], 1)
    # |F| falls as exp(-B s^2 / 4), so the slope is -B / 4; sharpening multiplies the map by the inverse.
    return Guinier(square=square, log_amplitude=log_amplitude, b_factor=4 * float(slope), intercept=float(intercept))


def mean_amplitudes(density: NDArray[Any]) -> NDArray[np.float64]:
    """Average the amplitudes of the coefficients in each shell, 0 to Nyquist: `(shells,)`."""
    n = len(density)
    half = np.arange(n // 2 + 1)
    mates = np.broadcast_to(np.where((half == 0) | (2 * half == n), 1.0, 2.0), (n, n, n // 2 + 1))
    shell = np.rint(shell_radius(n)).astype(np.int64).ravel()
    amplitude = np.abs(fft.rfftn(np.asarray(density, dtype=np.float64)))
    sums, counts = (np.bincount(shell, (values * mates).ravel()) for values in (amplitude, np.ones_like(amplitude)))
    return (sums / counts)[: n // 2 + 1]
