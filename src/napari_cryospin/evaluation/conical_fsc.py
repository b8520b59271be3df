"""Fourier shell correlations within cones, and their ratio: whether half maps agree as well in all directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from napari_cryospin.evaluation.gold_standard import THRESHOLD
from napari_cryospin.geometry.half_sphere import half_sphere

HALF_ANGLE = 20.0
"""Degrees between the axis of a cone and its rim (Tan et al. 2017, Nat. Methods 14, 793-796)."""
CONES = 128
"""Number of cones, evenly spread over a half-sphere; chosen by hand: neighbours are 13 degrees apart."""
LEAST_COEFFICIENTS = 6
"""Number of coefficients of a cone in a shell from which they are correlated; chosen by hand."""


@dataclass(frozen=True, eq=False)
class ConicalFsc:
    """Correlations of two half maps within cones.

    Attributes
    ----------
    axes : ndarray
        `(cones, 3)` unit vectors `(x, y, z)`.
    values : ndarray
        `(cones, shells)` correlations; nan in shells with too few coefficients.
    """

    axes: NDArray[np.float64]
    values: NDArray[np.float64]

    @property
    def areas(self) -> NDArray[np.float64]:
        """`(cones,)` area beneath each curve as far as it first falls below 0.143, in shells that all cones have."""
        known = self.values[:, ~np.isnan(self.values).any(axis=0)]
        return (known * np.cumprod(known >= THRESHOLD, axis=1)).sum(axis=1)

    @property
    def area_ratio(self) -> float:
        """Smallest area over the largest, 0 to 1 (cFAR); nan where the maps agree nowhere."""
        areas = self.areas
        return float(areas.min() / areas.max()) if areas.max(initial=0.0) > 0 else float("nan")


def conical_fsc(
    half_1: NDArray[Any],
    half_2: NDArray[Any],
    mask: NDArray[Any] | None = None,
    band: int | None = None,
    half_angle: float = HALF_ANGLE,
) -> ConicalFsc:
    """Correlate two half maps shell by shell within cones.

    This is the conical FSC of Tan et al. 2017. The ratio of areas is that which cryoSPARC names cFAR, made from its
    published description; it was not compared with that program.

    Parameters
    ----------
    half_1, half_2
        `(n, n, n)` maps in one frame.
    mask
        `(n, n, n)` soft mask that both are multiplied by.
    band
        Number of shells that were looked at. Default: all up to Nyquist.
    half_angle
        Degrees between the axis of a cone and its rim.
    """
    n = len(half_1)
    weight = 1 if mask is None else mask
    spectra = [fft.rfftn(np.asarray(half, np.float64) * weight) for half in (half_1, half_2)]
    places = _places(n)
    radius = np.sqrt((places**2).sum(axis=-1))
    last = min(n // 2, n // 2 if band is None else band)
    within = np.flatnonzero((np.rint(radius) > 0) & (np.rint(radius) <= last))
    a, b = (spectrum.ravel()[within] for spectrum in spectra)
    products = (a.real * b.real + a.imag * b.imag, np.abs(a) ** 2, np.abs(b) ** 2)
    shell = np.rint(radius[within]).astype(np.int64)
    directions = (places[within] / radius[within, None]).astype(np.float32)
    axes = half_sphere(CONES)
    rim = np.cos(np.radians(half_angle))
    curves = [_curve(np.abs(directions @ axis.astype(np.float32)) >= rim, shell, products, last) for axis in axes]
    return ConicalFsc(axes, np.stack(curves))


def _curve(
    inside: NDArray[np.bool_], shell: NDArray[np.int64], products: tuple[NDArray[np.float64], ...], last: int
) -> NDArray[np.float64]:
    """Correlate the coefficients of one cone: `(shells,)`, from shell 1."""
    numbers = shell[inside]
    cross, power_a, power_b = (np.bincount(numbers, one[inside], last + 1)[1:] for one in products)
    counts = np.bincount(numbers, minlength=last + 1)[1:]
    norm = np.sqrt(power_a * power_b)
    values = np.divide(cross, norm, out=np.zeros_like(cross), where=norm > 0)
    return np.where(counts >= LEAST_COEFFICIENTS, values, np.nan)


def _places(n: int) -> NDArray[np.float64]:
    """Return the places `(coefficients, 3)` of an `rfftn` transform, in shells, `(x, y, z)`."""
    line, half = fft.fftfreq(n, 1 / n), np.arange(n // 2 + 1, dtype=np.float64)
    z, y, x = np.meshgrid(line, line, half, indexing="ij")
    return np.stack((x, y, z), axis=-1).reshape(-1, 3)
