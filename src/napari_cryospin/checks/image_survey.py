"""A look at the images before a run: which cannot be used, and which have hot or dead pixels."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.engine.bad_images import hot_pixels_note
from napari_cryospin.engine.raw_images import RawImages
from napari_cryospin.particles import Particles
from napari_cryospin.settings import PreparationSettings

SURVEY_TIME = 10.0
"""Seconds after which no further images are looked at."""
PASSES = 16
"""Passes over the particles, each of which looks at every 16th, so that those looked at are spread evenly."""
SURVEY_PIXELS = 2**22
"""Pixels that are looked at between two looks at the clock."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSurvey:
    """What a look at the images found.

    Attributes
    ----------
    looked_at, count : int
        Images looked at, and images that there are.
    faults : dict
        Row -> why its image cannot be used.
    replaced : dict
        Row -> number of hot and dead pixels, where there are any.
    """

    looked_at: int
    count: int
    faults: dict[int, str]
    replaced: dict[int, int]

    def __str__(self) -> str:
        if self.looked_at < self.count:
            return f"{self.looked_at:,} of {self.count:,} looked at, evenly spread; a run looks at all that it uses"
        return f"all {self.count:,} looked at"

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of the images that can be used."""
        return (hot_pixels_note(self.replaced, self.looked_at),) if self.replaced else ()


def survey_images(particles: Particles, settings: PreparationSettings, seconds: float = SURVEY_TIME) -> ImageSurvey:
    """Look at the images, at all of them where that takes no longer than so many seconds.

    Parameters
    ----------
    particles
        Their stacks must exist.
    settings
        How a run prepares them.
    seconds
        Time that it may take.
    """
    raw, end = RawImages(particles, settings), time.monotonic() + seconds
    faults, replaced, looked_at = dict[int, str](), dict[int, int](), 0
    for rows in _spread_rows(len(particles), max(1, SURVEY_PIXELS // int(particles.box_sizes.max()) ** 2)):
        for mended in raw.read(rows):
            faults |= mended.faults
            replaced |= mended.replaced
        looked_at += len(rows)
        if time.monotonic() > end:
            break
    faults, replaced = dict(sorted(faults.items())), dict(sorted(replaced.items()))
    return ImageSurvey(looked_at=looked_at, count=len(particles), faults=faults, replaced=replaced)


def _spread_rows(count: int, size: int) -> Iterator[NDArray[np.int64]]:
    """Give all rows once, in parts of this size at most, each pass spread evenly over them."""
    for start in range(PASSES):
        rows = np.arange(start, count, PASSES)
        yield from (rows[first : first + size] for first in range(0, len(rows), size))
