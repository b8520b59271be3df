"""How many Fourier shells are looked at, and how their number grows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from napari_cryospin.engine.kept_state import CONSTANT, KeptState
from napari_cryospin.settings import VolumeSettings

BAND_GROWTH_STAIRS = ((0, 0.0), (1 / 6, 0.28), (1 / 3, 0.57), (2 / 3, 1.0))
"""Share of the growth's steps, and share of the way from the first band to the last that is made from there on."""


@dataclass
class Band(KeptState):
    """Fourier shells that are looked at.

    Attributes
    ----------
    now : int
        At present.
    encoding : int
        At most, before the switch.
    full : int
        At most at all: one shell less than the images have.
    """

    now: int
    encoding: int = field(metadata=CONSTANT)
    full: int = field(metadata=CONSTANT)

    @classmethod
    def of(cls, settings: VolumeSettings, box_size: int) -> Band:
        """Start with the first band of the settings, for images of `box_size` pixels."""
        full = box_size // 2 - 1
        encoding = min(settings.encoding_band or full, full)
        return cls(now=min(settings.first_band or encoding, encoding), encoding=encoding, full=full)

    @property
    def encoding_reached(self) -> bool:
        return self.now == self.encoding


class BandSchedule(Protocol):
    """How the band grows during the first stage."""

    def __call__(self, step: int, band: Band) -> int:
        """Return the shells to look at in a step, the first of which is 0."""


@dataclass(frozen=True)
class Stairs:
    """A few steps on few shells, then more: what is seen first must be right before more is looked at.

    Attributes
    ----------
    first_band : int, optional
        Shells at first; None: the band does not grow.
    growth_steps : int
        Steps in which the band grows to its last value.
    """

    first_band: int | None
    growth_steps: int

    @classmethod
    def of(cls, settings: VolumeSettings) -> Stairs:
        return cls(settings.first_band, settings.growth_steps)

    def __call__(self, step: int, band: Band) -> int:
        if self.first_band is None:
            return band.now
        part = max(part for start, part in BAND_GROWTH_STAIRS if step >= start * self.growth_steps)
        return min(self.first_band + round(part * (band.encoding - self.first_band)), band.encoding)
