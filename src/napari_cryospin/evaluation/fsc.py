"""Fourier shell correlation, and masks for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from napari_cryospin.physics.masks import raised_cosine

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Fsc:
    """A Fourier shell correlation curve."""

    frequency: Array
    """`(shells,)` 1 / Angstrom, from 0 to Nyquist."""
    values: Array
    """`(shells,)` correlation; 1 at zero frequency."""

    def up_to(self, band: int) -> Fsc:
        """Set the curve to 0 beyond a shell."""
        return Fsc(self.frequency, np.where(np.arange(len(self.values)) <= band, self.values, 0.0))

    def resolution(self, threshold: float = 0.143) -> float:
        """Compute the resolution in Angstrom: where the curve first falls below a threshold, interpolated linearly.

        A curve that never falls below the threshold has the resolution at Nyquist.
        """
        below = np.flatnonzero(self.values < threshold)
        if not len(below):
            return float(1 / self.frequency[-1])
        last, first = below[0] - 1, below[0]
        step = (self.values[last] - threshold) / (self.values[last] - self.values[first])
        return float(1 / (self.frequency[last] + step * (self.frequency[first] - self.frequency[last])))


def fsc(map_a: NDArray[Any], map_b: NDArray[Any], pixel_size: float, mask: NDArray[Any] | None = None) -> Fsc:
    """Compute the Fourier shell correlation of two maps.

    A coefficient between two shells counts in both, in proportion to its nearness.

    Parameters
    ----------
    map_a, map_b : ndarray
        `(n, n, n)` maps `[z, y, x]`.
    pixel_size : float
        Angstrom.
    mask : ndarray, optional
        `(n, n, n)` soft mask that both are multiplied by.
    """
    n = map_a.shape[-1]
    if map_a.shape != (n, n, n) or map_b.shape != map_a.shape:
        raise ValueError(f"fsc: maps have shapes {map_a.shape} and {map_b.shape}; expected one cube's, twice")
    if mask is not None and mask.shape != map_a.shape:
        raise ValueError(f"fsc: mask has shape {mask.shape}; expected {map_a.shape}")
    weight = 1 if mask is None else mask
    a, b = (fft.rfftn(np.asarray(density, dtype=np.float64) * weight) for density in (map_a, map_b))
    cross, power_a, power_b = (_shell_sums(v, n) for v in (a.real * b.real + a.imag * b.imag, abs(a) ** 2, abs(b) ** 2))
    norm = np.sqrt(power_a * power_b)
    values = np.divide(cross, norm, out=np.zeros_like(cross), where=norm > 0)
    values[0] = 1
    return Fsc(np.arange(n // 2 + 1) / (n * pixel_size), values)


def _shell_sums(values: Array, n: int) -> Array:
    """Sum a real quantity on the half-space `(n, n, n // 2 + 1)` of `rfftn` over shells 0 to n / 2."""
    line = fft.fftfreq(n, 1 / n)
    half = np.arange(n // 2 + 1)
    radius = np.sqrt(line[:, None, None] ** 2 + line[:, None] ** 2 + half**2)
    mates = np.where((half == 0) | (2 * half == n), 1.0, 2.0)  # number of coefficients that a stored one represents
    inner = radius.astype(np.int64)
    outward = (radius - inner) * mates
    sums = np.bincount(inner.ravel(), ((mates - outward) * values).ravel(), minlength=n).astype(np.float64)
    sums[1:] += np.bincount(inner.ravel(), (outward * values).ravel(), minlength=n)[: len(sums) - 1]
    return sums[: n // 2 + 1]


def spherical_mask(box_size: int, radius: float, edge: float = 6.0) -> NDArray[np.float32]:
    """Make a soft `(n, n, n)` sphere about `n // 2`: 1 inside `radius`, 0 beyond another `edge` (pixels)."""
    line = np.arange(box_size, dtype=np.float32) - box_size // 2
    distance = np.sqrt(line[:, None, None] ** 2 + line[:, None] ** 2 + line**2) - radius
    return _soft_edge(distance, edge)


def map_mask(
    density: NDArray[Any],
    pixel_size: float,
    *,
    threshold: float | None = None,
    low_pass: float = 15.0,
    extend: float = 8.0,
    edge: float = 10.0,
) -> NDArray[np.float32]:
    """Make a soft mask about a map.

    Parameters
    ----------
    density : ndarray
        `(n, n, n)` map.
    pixel_size : float
        Angstrom.
    threshold : float, optional
        Level of the smoothed map that counts as protein. Default: 0.15 of its 99.9th percentile.
    low_pass : float
        Angstrom: full width at half maximum of the Gaussian that the map is smoothed with.
    extend, edge : float
        Angstrom: width that is added all around, and of the raised-cosine edge outside.

    Returns
    -------
    ndarray
        `(n, n, n)` float32, 0 to 1.
    """
    smooth = ndimage.gaussian_filter(np.asarray(density, dtype=np.float32), low_pass / 2.355 / pixel_size)
    level = 0.15 * float(np.percentile(smooth, 99.9)) if threshold is None else threshold
    protein = smooth > level
    if not protein.any():
        raise ValueError(f"mask: no grid point of the smoothed map is above {level:g}; its largest is {smooth.max():g}")
    return _soft_edge(ndimage.distance_transform_edt(~protein) - extend / pixel_size, edge / pixel_size)


def _soft_edge(distance: NDArray[Any], edge: float) -> NDArray[np.float32]:
    """Compute a weight that falls from 1 to 0 over an edge; at an edge of 0 it falls at once."""
    return raised_cosine(distance, max(edge, 1e-6)).astype(np.float32)
