"""Options, progress, result and cancellation of exports, which are the same for all programs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_cryospin.io.star.particles import StarForm

Primary = Literal["sharpened", "filtered", "unfiltered"]
"""A map of the results, by what was done to it."""
Progress = Callable[[float, str], None]
"""Function that is called with the share that is done, 0 to 1, and a text about the present work."""
SERIES_FOLDER = "series"
"""Name of the folder with the epochs' maps in an export."""


class ExportCancelledError(Exception):
    """The cancellation of an export."""


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Options of an export."""

    star: StarForm = "same"
    """Form of a STAR file: that of the input, or that of RELION 3.1 (optics groups, shifts in Angstrom)."""
    statistics: bool = False
    """If a run is not over, compute the posterior's figures from its newest checkpoint (this reads all images)."""
    flip_hand: bool = False
    """Write maps, half maps and poses in the other hand."""
    b_factor: float | None = None
    """B-factor of the sharpened map in A^2, negative to sharpen. Default: that of the Guinier plot."""
    low_pass: float | None = None
    """Resolution in A at which the sharpened map and the reference end. Default: the resolution that was reached."""
    primary: Primary | None = None
    """Map for ChimeraX and for EMDB. Default: the sharpened map or, if there is none, the low-passed map."""
    series: bool = True
    """Write the map of every epoch as well."""
    contour: float = 0.01
    """Share of the grid points inside the contour in ChimeraX; 0.01 is the rule of ChimeraX itself."""
    colour: str = "#a9bcd6"
    """Colour of the map in ChimeraX, #rrggbb."""
    view: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Rot, tilt and psi, in degrees, of an image that shows the map as ChimeraX shows it first."""

    def __post_init__(self) -> None:
        if self.b_factor is not None and not math.isfinite(self.b_factor):
            raise ValueError(f"b_factor: found {self.b_factor:g}, expected A^2, negative to sharpen")
        if self.low_pass is not None and not 0 < self.low_pass < math.inf:
            raise ValueError(f"low_pass: found {self.low_pass:g}, expected A, above 0")
        if not 0 < self.contour < 1:
            raise ValueError(f"contour: found {self.contour:g}, expected a share of the grid points, 0 to 1")
        if re.fullmatch("#[0-9a-fA-F]{6}", self.colour) is None:
            raise ValueError(f"colour: found {self.colour!r}, expected #rrggbb such as '#a9bcd6'")
        if not all(map(math.isfinite, self.view)):
            raise ValueError(f"view: found {self.view}, expected rot, tilt, psi in degrees")


@dataclass(frozen=True, kw_only=True)
class Exported:
    """Files and notes of an export."""

    paths: tuple[Path, ...]
    """Files that were written; the first is the one to open."""
    notes: tuple[str, ...] = ()
    """Notes for the user."""


def within(progress: Progress, start: float, end: float) -> Progress:
    """Return a function for the progress of a part, whose shares 0 to 1 are `start` to `end` of the whole."""
    return lambda share, text: progress(start + share * (end - start), text)
