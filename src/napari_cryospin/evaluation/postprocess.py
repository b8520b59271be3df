"""Postprocessing of two half maps: combined map, mask, FSC, resolution, sharpened map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.evaluation.fsc import Fsc
from napari_cryospin.evaluation.gold_standard import THRESHOLD, gold_standard
from napari_cryospin.evaluation.guinier import FROM, Guinier, guinier
from napari_cryospin.evaluation.map_filter import b_factor_factors, filter_map, low_pass_factors


@dataclass(frozen=True, kw_only=True)
class PostProcessed:
    """A map with its mask, FSC, resolution and sharpening."""

    map: NDArray[np.float32]
    """`(z, y, x)`: mean of the halves, unfiltered."""
    sharpened: NDArray[np.float32]
    """`(z, y, x)`: B-factor, weights `sqrt(2 FSC / (1 + FSC))` and low-pass applied; not masked."""
    mask: NDArray[np.float32] | None
    """`(z, y, x)` 0 to 1; None without half maps."""
    pixel_size: float
    """A."""
    curves: Mapping[str, Fsc]
    """unmasked, masked, phase_randomised, corrected; empty without half maps."""
    resolution: float
    """A: gold-standard, corrected, at 0.143; nan without half maps."""
    low_pass: float
    """Resolution in A at which the sharpened map was low-passed; nan where it was not filtered."""
    b_factor: float
    """A^2 that was applied; 0: none."""
    guinier: Guinier | None
    """None without half maps."""
    notes: tuple[str, ...]
    """Remarks for the user on how the map was made."""


def postprocess(
    first: NDArray[Any],
    second: NDArray[Any] | None,
    pixel_size: float,
    *,
    mask: NDArray[Any] | None = None,
    band: int | None = None,
    b_factor: float | None = None,
    low_pass: float | None = None,
) -> PostProcessed:
    """Combine, compare and sharpen half maps, or sharpen a single map by hand.

    Parameters
    ----------
    first, second
        `(n, n, n)` unfiltered half maps in one frame. Second None: the first is a map without half sets, which is
        sharpened by hand only.
    pixel_size
        A.
    mask
        `(n, n, n)` soft mask for the FSC and the Guinier plot. Default: made from the average.
    band
        Shells that the halves were made of; default: all.
    b_factor
        A^2, negative to sharpen. Default: that of the Guinier plot (with half maps), or none.
    low_pass
        A. Default: the gold-standard resolution (with half maps), or none.
    """
    if second is None:
        return _by_hand(first, pixel_size, b_factor, low_pass)
    found = gold_standard(first, second, pixel_size, mask, band=band)
    average = ((np.asarray(first, dtype=np.float32) + second) / 2).astype(np.float32)
    notes = []
    resolution = found.resolution
    shells = len(first) // 2 - 1 if band is None else band
    if resolution <= len(first) * pixel_size / shells:
        notes.append(f"the halves agree in all {shells} shells that were looked at: the resolution may be better")
    weights = fsc_weights(found.curves["corrected"])
    plot = guinier(average * found.mask, pixel_size, resolution, weights)
    if b_factor is None:
        b_factor = min(plot.b_factor, 0.0) if plot.b_factor is not None else 0.0
        if plot.b_factor is None:
            notes.append(
                f"not sharpened: a Guinier fit needs shells beyond {FROM:g} A; the resolution is {resolution:.1f} A"
            )
    low_pass = resolution if low_pass is None else low_pass
    return PostProcessed(
        map=average,
        sharpened=sharpen(average, pixel_size, b_factor, low_pass, weights),
        mask=found.mask,
        pixel_size=pixel_size,
        curves=found.curves,
        resolution=resolution,
        low_pass=low_pass,
        b_factor=b_factor,
        guinier=plot,
        notes=tuple(notes),
    )


def _by_hand(density: NDArray[Any], pixel_size: float, b_factor: float | None, low_pass: float | None) -> PostProcessed:
    density = np.asarray(density, dtype=np.float32)
    b_factor, low_pass = b_factor or 0.0, float("nan") if low_pass is None else low_pass
    note = "no half sets: no gold-standard resolution, and the map is sharpened and filtered by hand only"
    return PostProcessed(
        map=density,
        sharpened=sharpen(density, pixel_size, b_factor, low_pass),
        mask=None,
        pixel_size=pixel_size,
        curves={},
        resolution=float("nan"),
        low_pass=low_pass,
        b_factor=b_factor,
        guinier=None,
        notes=(note,),
    )


def sharpen(
    density: NDArray[Any], pixel_size: float, b_factor: float, low_pass: float, weights: NDArray[Any] | None = None
) -> NDArray[np.float32]:
    """Apply a B-factor and a low-pass to a map.

    Parameters
    ----------
    density
        `(n, n, n)`.
    pixel_size, low_pass
        A; low_pass nan: not filtered.
    b_factor
        A^2; negative sharpens.
    weights
        `(shells,)` further factors.

    Raises
    ------
    ValueError
        The B-factor makes values that are not finite.
    """
    n = len(density)
    with np.errstate(over="ignore", invalid="ignore"):
        factors = b_factor_factors(n, pixel_size, b_factor)
        if np.isfinite(low_pass):
            factors = factors * low_pass_factors(n, pixel_size, low_pass)
        found = filter_map(density, factors if weights is None else factors * weights)
    if not np.isfinite(found).all():
        raise ValueError(
            f"B-factor: found {b_factor:g} A^2, beyond what a map's values can hold; expected one nearer 0"
        )
    return found


def fsc_weights(curve: Fsc) -> NDArray[np.float64]:
    """Compute `sqrt(2 FSC / (1 + FSC))`, the correlation of the average with the truth (Rosenthal & Henderson 2003).

    From the shell on where the curve first falls below the threshold, the weight stays constant: noise about zero gives
    no estimate, and the low-pass removes these shells.
    """
    values = np.clip(curve.values, 0, 1)
    below = np.flatnonzero(values < THRESHOLD)
    if len(below):
        values[below[0] :] = THRESHOLD
    return np.sqrt(2 * values / (1 + values))
