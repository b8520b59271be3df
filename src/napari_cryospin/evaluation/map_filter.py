"""Filters of a map that depend on the spatial frequency alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from napari_cryospin.physics.masks import raised_cosine

LOW_PASS_EDGE = 2.0
"""Number of shells over which a low-pass filter falls to zero."""


def shell_radius(box_size: int) -> NDArray[np.float64]:
    """Compute the `(n, n, n // 2 + 1)` distances in shells from the zero frequency of an `rfftn` transform."""
    line, half = fft.fftfreq(box_size, 1 / box_size), np.arange(box_size // 2 + 1)
    return np.sqrt(line[:, None, None] ** 2 + line[:, None] ** 2 + half**2)


def filter_map(density: NDArray[Any], factors: NDArray[Any]) -> NDArray[np.float32]:
    """Multiply a map's shells by `(shells,)` factors, from 0 to Nyquist; linear between, 0 beyond."""
    n = len(density)
    radius = shell_radius(n)
    weights = np.interp(radius, np.arange(len(factors)), factors, right=0.0)
    spectrum = fft.rfftn(np.asarray(density, dtype=np.float32))
    return fft.irfftn(spectrum * weights.astype(np.float32), s=density.shape).astype(np.float32)


def low_pass_factors(box_size: int, pixel_size: float, resolution: float) -> NDArray[np.float64]:
    """Compute `(shells,)` factors: 1 up to a resolution in A, then a raised cosine to 0 over `LOW_PASS_EDGE` shells."""
    beyond = np.arange(box_size // 2 + 1) - box_size * pixel_size / resolution
    return raised_cosine(beyond, LOW_PASS_EDGE)


def low_pass(density: NDArray[Any], pixel_size: float, resolution: float) -> NDArray[np.float32]:
    """Low-pass a map at a resolution (A); the map stays as it is where the resolution is not known (nan)."""
    if not np.isfinite(resolution):
        return np.asarray(density, dtype=np.float32)
    return filter_map(density, low_pass_factors(len(density), pixel_size, resolution))


def b_factor_factors(box_size: int, pixel_size: float, b_factor: float) -> NDArray[np.float64]:
    """Compute `(shells,)` `exp(-B s^2 / 4)`: a negative B, in A^2, sharpens, as in RELION."""
    frequency = np.arange(box_size // 2 + 1) / (box_size * pixel_size)
    return np.exp(-b_factor / 4 * frequency**2)
