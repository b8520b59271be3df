"""The range in which the particles' shifts are searched, if they are searched at all."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from napari_cryospin.physics.slicing import shift_phases
from napari_cryospin.settings import EncoderSettings

DEFAULT_SHIFT_RANGE = 0.16
"""Default range of the search of shifts, as a fraction of the box (docs/method.md, off-centre particles)."""


@dataclass(frozen=True)
class ShiftRange:
    """Range of the shifts that are searched.

    Attributes
    ----------
    largest : float
        Largest shift along x and y, Angstrom; 0: the particles are centred, and shifts are left at zero.
    """

    largest: float

    @classmethod
    def of(cls, settings: EncoderSettings, extent: float) -> ShiftRange:
        """Read the range from the settings, for a box of `extent` Angstrom."""
        if not settings.shifts:
            return cls(0.0)
        return cls(DEFAULT_SHIFT_RANGE * extent if settings.max_shift is None else settings.max_shift)

    @property
    def looked_for(self) -> bool:
        """Whether shifts are searched."""
        return self.largest > 0

    def used(self, shifts: Tensor) -> Tensor | None:
        """Return the shifts if shifts are searched, otherwise None, as projector and refinement expect them."""
        return shifts if self.looked_for else None

    def within(self, refined: Tensor | None, stored: Tensor) -> Tensor:
        """Return the refined shifts, limited to the range; the stored shifts if none were refined."""
        return stored if refined is None else refined.clamp(-self.largest, self.largest)

    def phases(self, shifts: Tensor, points: Tensor, extent: float) -> Tensor | None:
        """Return the phase ramps `(..., p)` of shifts `(..., 2)`; None if shifts are not searched."""
        return shift_phases(shifts, points, extent) if self.looked_for else None
