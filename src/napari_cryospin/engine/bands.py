"""The band of Fourier shells that are compared, and its growth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from napari_cryospin.engine.kept_state import CONSTANT, KeptState
from napari_cryospin.engine.resolutions import BandLimits
from napari_cryospin.settings import VolumeSettings

BAND_GROWTH_STAIRS = ((0, 0.0), (1 / 6, 0.28), (1 / 3, 0.57), (2 / 3, 1.0))
"""Pairs: fraction of `growth_steps`, and fraction of the way from `first_band` to `encoding_band` from there on."""


@dataclass
class Band(KeptState):
    """Number of Fourier shells that are compared.

    Attributes
    ----------
    now : int
        Present band.
    encoding : int
        Largest band before the switch; it may grow (`engine.band_growth`).
    full : int
        Largest band of all: that of the last resolution, or one shell less than the images have.
    """

    now: int
    encoding: int
    full: int = field(metadata=CONSTANT)

    @classmethod
    def of(cls, settings: VolumeSettings, box_size: int, extent: float) -> Band:
        """Start with the first band of the settings, for images of `box_size` pixels and `extent` Angstrom."""
        limits = BandLimits.of(settings, box_size, extent)
        return cls(now=limits.first, encoding=limits.encoding, full=limits.full)

    @property
    def encoding_reached(self) -> bool:
        return self.now == self.encoding


class BandSchedule(Protocol):
    """Growth of the band during the first stage."""

    def __call__(self, step: int, band: Band) -> int:
        """Return the band of a step; the first step is 0."""


@dataclass(frozen=True)
class Stairs:
    """Growth of the band in stairs: the coarse shells must be right before finer ones are compared.

    It leads to the band of the first stage, which may itself grow (`engine.band_growth`).

    Attributes
    ----------
    first_band : int, optional
        Band of the first step; None: the band does not grow.
    growth_steps : int
        Steps in which the band grows to its last value.
    """

    first_band: int | None
    growth_steps: int

    @classmethod
    def of(cls, settings: VolumeSettings, band: Band) -> Stairs:
        """Begin with the band of a fit, if the settings let it grow."""
        grows = settings.first_band is not None or settings.first_resolution is not None
        return cls(band.now if grows else None, settings.growth_steps)

    def __call__(self, step: int, band: Band) -> int:
        if self.first_band is None:
            return band.encoding
        part = max(part for start, part in BAND_GROWTH_STAIRS if step >= start * self.growth_steps)
        return min(self.first_band + round(part * (band.encoding - self.first_band)), band.encoding)
