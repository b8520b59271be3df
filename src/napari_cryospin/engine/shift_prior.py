"""The prior of shifts: how far the particles of a stack lie off centre.

An image of little signal often fits best at a shift that no other particle has, with a rotation that is wrong as well.
How far the particles lie off centre is known from those whose poses are certain. Shifts are normally distributed about
zero, as in RELION; a run moves its map to where they are smallest.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.pose_posterior import shift_grid
from napari_cryospin.engine.proposers import CERTAIN_ENTROPY
from napari_cryospin.models.volume import Volume

LEAST_CERTAIN = 50
"""Number of certain poses from which the spread is estimated from them alone: it is then known to 10 %."""
TRUSTED = 0.5
"""Probability of belonging from which a particle's shift counts."""
NORMAL_SPREAD = 1.4826
"""Standard deviation of a normal distribution over the median of its absolute values."""
TRIED_SPREADS = 3.0
"""Standard deviations up to which shifts are tried: beyond lies 1 % of the particles."""


@dataclass(frozen=True)
class ShiftPrior:
    """Prior of the shifts of a fit.

    Attributes
    ----------
    spread : float
        Standard deviation along x and along y, Angstrom.
    largest : float
        Largest shift that is searched, Angstrom; 0: shifts are not searched.
    """

    spread: float
    largest: float

    @classmethod
    def of(cls, fit: Fit[Volume]) -> ShiftPrior:
        """Estimate the prior from the particles whose poses are certain or, where they are few, from all.

        The estimate is a median, which wrong poses and junk hardly move, and is at least a pixel.
        """
        particles = fit.particles
        certain = (particles.entropy <= CERTAIN_ENTROPY).to(fit.device) & (particles.trust >= TRUSTED)
        shifts = particles.shifts[certain] if int(certain.sum()) >= LEAST_CERTAIN else particles.shifts
        spread = NORMAL_SPREAD * float(shifts.abs().median())
        return cls(max(spread, fit.images.pixel_size), fit.shift_range.largest)

    def log_density(self, shifts: Tensor) -> Tensor:
        """Compute the logarithm of the density of shifts `(..., 2)`, `(...)` nats, up to a constant."""
        return -shifts.square().sum(-1) / (2 * self.spread**2)

    def trial_shifts(self, step: float, device: torch.device) -> Tensor:
        """Return the shifts `(t, 2)` that are worth trying, a step apart, Angstrom."""
        # The nearest neighbours of zero are always among them, at the edges and at the corners of the grid's cell.
        return shift_grid(min(self.largest, max(TRIED_SPREADS * self.spread, 1.5 * step)), step, device)
