"""Raw images as they are read: which cannot be used, and what is mended in the others before anything else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.engine.background import MAD, Background
from napari_cryospin.engine.defaults import mask_radius
from napari_cryospin.engine.hot_pixels import replace_hot_pixels
from napari_cryospin.particles import Particles, image_faults
from napari_cryospin.settings import PreparationSettings

CHUNK_PIXELS = 2**24
"""Pixels of raw images that are prepared at a time, which bounds the memory."""
SAMPLE_PIXELS = 256
"""Background pixels from which an image's grey values are first judged, to 10 %. Chosen by hand."""
FLAT_BACKGROUND = "grey values do not vary outside the mask"


@dataclass(frozen=True, kw_only=True, eq=False)
class MendedImages:
    """Images of one box and pixel size, with a background of about zero mean and unit variance.

    Attributes
    ----------
    box_size, pixel_size : int, float
        Pixels, and Angstrom.
    places : ndarray
        `(k,)` positions among the rows that were asked for.
    images : ndarray
        `(k, box, box)`; zero where an image cannot be used.
    faults : dict
        Row of the particles -> why its image cannot be used.
    replaced : dict
        Row -> number of hot and dead pixels that were replaced, where there are any.
    """

    box_size: int
    pixel_size: float
    places: NDArray[np.int64]
    images: NDArray[np.float32]
    faults: dict[int, str]
    replaced: dict[int, int]


class RawImages:
    """Reader of raw images.

    Parameters
    ----------
    particles : Particles
    settings : PreparationSettings
    """

    def __init__(self, particles: Particles, settings: PreparationSettings) -> None:
        self.particles = particles
        self.chunk = max(1, CHUNK_PIXELS // max(1, int(particles.box_sizes.max())) ** 2)
        self._radius = mask_radius(particles, settings)
        self._backgrounds: dict[tuple[int, float], Background] = {}

    def background(self, box_size: int, pixel_size: float) -> Background:
        """Return the background of images of this box (pixels) and pixel size (A)."""
        kind = (box_size, pixel_size)
        if kind not in self._backgrounds:
            self._backgrounds[kind] = Background(box_size, self._radius / pixel_size)
        return self._backgrounds[kind]

    def read(self, rows: NDArray[np.int64]) -> Iterator[MendedImages]:
        """Read the images of some rows and mend them, one box and pixel size after the other."""
        kinds = np.stack((self.particles.box_sizes[rows], self.particles.pixel_sizes[rows]), axis=-1)
        for box, pixel_size in np.unique(kinds, axis=0):
            places = np.flatnonzero((kinds == (box, pixel_size)).all(-1))
            images = self.particles.read_images(rows[places], checked=False)
            faults, replaced = mend(images, self.background(int(box), float(pixel_size)))
            hot = np.flatnonzero(replaced)
            yield MendedImages(
                box_size=int(box),
                pixel_size=float(pixel_size),
                places=places,
                images=images,
                faults={int(rows[places[place]]): found for place, found in faults.items()},
                replaced=dict(zip(rows[places[hot]].tolist(), replaced[hot].tolist(), strict=True)),
            )


def mend(images: NDArray[np.float32], background: Background) -> tuple[dict[int, str], NDArray[np.int64]]:
    """Find images that cannot be used; scale the others, and replace their hot and dead pixels, all in place.

    Parameters
    ----------
    images
        `(k, n, n)`; afterwards with a background of about zero mean and unit variance, or zero.
    background
        Of images of that box.

    Returns
    -------
    tuple
        Position of an image that cannot be used -> what was found, and the number `(k,)` of pixels replaced.
    """
    faults = image_faults(images)
    images[list(faults)] = 0
    centre, spread = _grey_values(images, background)
    flat = np.flatnonzero(spread == 0)
    faults |= {int(place): FLAT_BACKGROUND for place in flat if place not in faults}
    spread[flat] = 1
    images -= centre[:, None, None]
    images /= spread[:, None, None]
    images[flat] = 0
    return faults, replace_hot_pixels(images)


def _grey_values(images: NDArray[np.float32], background: Background) -> tuple[NDArray[Any], NDArray[Any]]:
    """Estimate centre and spread `(k,)` of the background, which hot pixels do not move."""
    pixels = background.pixels
    chosen = np.random.default_rng(0).choice(pixels, min(SAMPLE_PIXELS, len(pixels)), replace=False)
    sample = images.reshape(len(images), -1)[:, chosen]
    centre = np.median(sample, axis=1)
    spread = MAD * np.median(np.abs(sample - centre[:, None]), axis=1)
    unclear = np.flatnonzero(spread == 0)  # More than half of the sample is equal: whole numbers, or an edge.
    if len(unclear):
        values = background.values(images[unclear]).astype(np.float64)
        spread[unclear] = values.std(1) * (values.max(1) > values.min(1))
    return centre, spread
