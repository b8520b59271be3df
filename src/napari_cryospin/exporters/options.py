"""Options, progress, result and cancellation, which all exports share."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_cryospin.io.star.particles import StarForm

Primary = Literal["sharpened", "filtered", "unfiltered"]
Progress = Callable[[float, str], None]
"""Called with the share that is done, 0 to 1, and what is being done."""


class ExportCancelledError(Exception):
    """An export was cancelled."""


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Options of an export."""

    star: StarForm = "same"
    """Version of a STAR file: that of the input, or 3.1 (optics groups, shifts in Angstrom) where that was 3.0."""
    statistics: bool = False
    """Of a run that is not over, compute the posterior's figures from its newest checkpoint (reads all images)."""
    flip_hand: bool = False
    """Write the other hand: of maps, half maps and poses alike."""
    b_factor: float | None = None
    """B-factor of the sharpened map in A^2, negative to sharpen. Default: the one that the Guinier plot gave."""
    low_pass: float | None = None
    """Resolution in A at which sharpened map and reference end. Default: the one that was reached."""
    primary: Primary | None = None
    """The map for ChimeraX and for EMDB. Default: the sharpened one, where there is none the low-passed one."""
    series: bool = True
    """Write the map of every epoch as well."""
    contour: float = 0.01
    """ChimeraX: share of the grid points inside the contour; 0.01 is its own rule."""
    colour: str = "#a9bcd6"
    """ChimeraX: of the map, as #rrggbb."""
    view: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """ChimeraX: rot, tilt, psi in degrees of an image that shows the map as ChimeraX first will."""

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
    """Files written, the one to open first."""
    notes: tuple[str, ...] = ()
    """What the user should know."""


def within(progress: Progress, start: float, end: float) -> Progress:
    """Return the progress of a part, whose 0 to 1 is `start` to `end` of the whole."""
    return lambda share, text: progress(start + share * (end - start), text)
