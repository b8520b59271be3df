"""Gold-standard FSC of two half maps that were reconstructed independently, corrected for the effect of the mask.

A mask that fits the maps makes even noise in it correlate. The amount is measured by a comparison with all phases
drawn at random beyond a frequency up to which the maps agree (Chen et al. 2013, Ultramicroscopy 135, 24-35):
`FSC_true = (FSC_masked - FSC_random) / (1 - FSC_random)`, their equation 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from napari_cryospin.evaluation.fsc import Fsc, fsc, map_mask, spherical_mask
from napari_cryospin.evaluation.map_filter import shell_radius

THRESHOLD = 0.143
"""FSC between half maps at which the resolution is defined (Rosenthal & Henderson 2003)."""
RANDOMISED_BELOW = 0.8
"""Unmasked FSC from whose fall below this value on phases are drawn at random (docs/half_sets.md, resolution)."""
SPILL = 2
"""Number of shells beyond that one which are not corrected: there the mask mixes original with random phases."""


@dataclass(frozen=True, kw_only=True)
class GoldStandard:
    """Agreement of two half maps."""

    curves: Mapping[str, Fsc]
    """unmasked, masked, phase_randomised (masked), corrected; the first within a soft sphere of 0.44 of the box."""
    mask: NDArray[np.float32]
    """`(n, n, n)`, 0 to 1."""

    @property
    def resolution(self) -> float:
        """Resolution in A at which the corrected curve falls below the threshold."""
        return self.curves["corrected"].resolution(THRESHOLD)

    @property
    def table(self) -> dict[str, NDArray[np.float64]]:
        """Columns `(shells,)` by name: frequency (1/A) and the curves."""
        return {"frequency": self.curves["corrected"].frequency} | {k: v.values for k, v in self.curves.items()}


def gold_standard(
    first: NDArray[Any],
    second: NDArray[Any],
    pixel_size: float,
    mask: NDArray[Any] | None = None,
    *,
    band: int | None = None,
    seed: int = 0,
) -> GoldStandard:
    """Compare two half maps that lie in one frame.

    Parameters
    ----------
    first, second
        `(n, n, n)` unfiltered half maps `[z, y, x]`.
    pixel_size
        A.
    mask
        `(n, n, n)` soft mask. Default: `soft_mask` of their average.
    band
        Shells that the halves were made of; default: all. Beyond it a map has only what the mask of the reconstruction
        spreads there, which is the same in both maps, so the curves are set to 0.
    seed
        Seed of the random phases.
    """
    n = len(first)
    sphere = spherical_mask(n, 0.44 * n, 0.06 * n)
    mask = soft_mask((first + second) / 2, pixel_size) if mask is None else np.asarray(mask, dtype=np.float32)
    unmasked, masked = fsc(first, second, pixel_size, sphere), fsc(first, second, pixel_size, mask)
    if band is not None:
        unmasked, masked = unmasked.up_to(band), masked.up_to(band)
    curves = {"unmasked": unmasked, "masked": masked, "phase_randomised": masked, "corrected": masked}
    below = np.flatnonzero(unmasked.values < RANDOMISED_BELOW)
    if not len(below):
        return GoldStandard(curves=curves, mask=mask)
    start = int(below[0])
    rng = np.random.default_rng(seed)
    random = [randomise_phases(density * sphere, start, rng, sphere) for density in (first, second)]
    chance = fsc(random[0], random[1], pixel_size, mask).up_to(n if band is None else band)
    corrected = correct(masked.values, chance.values, start)
    curves |= {"phase_randomised": chance, "corrected": Fsc(masked.frequency, corrected)}
    return GoldStandard(curves=curves, mask=mask)


def soft_mask(average: NDArray[Any], pixel_size: float) -> NDArray[np.float32]:
    """Make a soft `(n, n, n)` mask about the low-passed average of the halves, limited to the soft sphere."""
    n = len(average)
    sphere = spherical_mask(n, 0.44 * n, 0.06 * n)
    if not (average * sphere).max() > 0:
        return sphere
    coarse = max(15.0, 4 * pixel_size)  # A; the smoothing must span several pixels, also where they are large.
    return np.minimum(map_mask(average * sphere, pixel_size, low_pass=coarse), sphere)


def randomise_phases(
    density: NDArray[Any], start: int, rng: np.random.Generator, support: NDArray[Any] | None = None
) -> NDArray[np.float32]:
    """Randomise the phases of an `(n, n, n)` map from shell `start` on; amplitudes stay.

    The phases are those of white noise, so that the map stays real. Random phases spread the density of a masked map
    over the whole box. With `support`, the `(n, n, n)` mask that the map was multiplied by, the density is masked again
    and scaled to its former power; otherwise a mask would hold less noise than before.
    """
    noise = fft.rfftn(rng.standard_normal(density.shape, dtype=np.float32))
    spectrum = fft.rfftn(np.asarray(density, dtype=np.float32))
    outer = shell_radius(len(density)) >= start
    drawn = np.where(outer, np.abs(spectrum) * noise / np.maximum(np.abs(noise), 1e-20), 0)
    if support is None:
        return fft.irfftn(np.where(outer, drawn, spectrum), s=density.shape)
    confined = fft.irfftn(drawn, s=density.shape) * support / np.sqrt(np.mean(np.square(support, dtype=np.float64)))
    return (fft.irfftn(np.where(outer, 0, spectrum), s=density.shape) + confined).astype(np.float32)


def correct(masked: NDArray[Any], chance: NDArray[Any], start: int) -> NDArray[np.float64]:
    """Correct the masked FSC `(shells,)` from shell `start + SPILL` on."""
    corrected = masked.copy()
    tail = slice(start + SPILL, None)
    corrected[tail] = (masked[tail] - chance[tail]) / np.maximum(1 - chance[tail], 1e-6)
    return np.maximum(corrected, -1.0)  # Where random phases correlate almost fully, the quotient has no meaning.
