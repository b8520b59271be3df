"""Bands of a run, converted from the settings to shells; without torch, since the check before a run reads them."""

from __future__ import annotations

from dataclasses import dataclass

from napari_cryospin.advice import Advice
from napari_cryospin.settings import VolumeSettings

FEWEST_SHELLS = 2
"""Smallest band, shells, as of the settings that name shells."""
ROUNDING = 1e-6
"""Share of a shell by which a resolution may be finer than that shell and still be its own: what floats lose."""


@dataclass(frozen=True)
class BandLimits:
    """Bands in shells: of the first step, the largest one before the switch, and the largest one of all."""

    first: int
    encoding: int
    full: int

    @classmethod
    def of(cls, settings: VolumeSettings, box_size: int, extent: float) -> BandLimits:
        """Read the bands from the settings, for a box of `box_size` pixels and `extent` Angstrom.

        Raises
        ------
        ValueError
            A resolution is finer than Nyquist, coarser than two shells, or finer than the next band; names all.
        """
        if problems := resolution_problems(settings, box_size, extent):
            raise ValueError(problems[0] if len(problems) == 1 else "; ".join(problems))
        return _converted(settings, box_size, extent)

    def text(self, extent: float) -> str:
        """Return the bands as shells and Angstrom, for a box of `extent` Angstrom."""
        first, encoding, full = (band_text(band, extent) for band in (self.first, self.encoding, self.full))
        return f"{first} at first, up to {encoding} before the switch, {full} at the end"


def band_text(band: int, extent: float) -> str:
    """Return a band as text: shells, and Angstrom in a box of `extent` Angstrom."""
    return f"{band} shells ({extent / band:.3g} A)"


def shells_for(resolution: float, extent: float) -> int:
    """Return the largest number of shells that are no finer than a resolution, both lengths in Angstrom."""
    return int(extent / resolution + ROUNDING)


def resolution_problems(settings: VolumeSettings, box_size: int, extent: float) -> list[Advice]:
    """Return the problems with resolutions in the settings, for a box of `box_size` pixels and `extent` Angstrom."""
    finest, coarsest = 2 * extent / box_size, extent / FEWEST_SHELLS
    problems = []
    for name in ("first_resolution", "encoding_resolution", "last_resolution"):
        resolution = getattr(settings, name)
        if resolution is not None and not finest * (1 - ROUNDING) <= resolution <= coarsest * (1 + ROUNDING):
            expected = f"{finest:.4g} to {coarsest:.4g} A: Nyquist to {FEWEST_SHELLS} shells of this box"
            found = f"{name.replace('_', ' ')} {resolution:g} A; expected {expected} of {extent:.4g} A"
            problems.append(Advice(found))
    if problems:
        return problems
    wanted = _converted(settings, box_size, extent)
    if wanted.first > wanted.encoding:
        found = f"the first band is {band_text(wanted.first, extent)}; expected at most the one before the switch"
        problems.append(Advice(f"{found}, {band_text(wanted.encoding, extent)}", "first_resolution", "first_band"))
    return problems


def _converted(settings: VolumeSettings, box_size: int, extent: float) -> BandLimits:
    full = box_size // 2 - 1
    last, encoding, first = settings.last_resolution, settings.encoding_resolution, settings.first_resolution
    if last is not None:
        full = min(full, shells_for(last, extent))
    largest = shells_for(encoding, extent) if encoding is not None else settings.encoding_band or full
    largest = min(largest, full)
    if first is not None:
        return BandLimits(min(shells_for(first, extent), full), largest, full)
    return BandLimits(min(settings.first_band or largest, largest), largest, full)
