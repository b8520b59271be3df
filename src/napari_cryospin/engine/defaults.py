"""Defaults of choices that the settings leave open; without torch, since the check before a run reads them too."""

from __future__ import annotations

from napari_cryospin.particles import Particles
from napari_cryospin.settings import PreparationSettings

DEFAULT_BOX = 128
"""Largest working box, pixels, that a run chooses by itself: the box of the runs in docs/benchmarks.md, Memory."""
DEFAULT_MASK_RADIUS = 0.46
"""Radius of the mask about the particle, as a fraction of the box: half the box less the mask's soft edge."""
MASK_EDGE = 0.04
"""Width of the mask's soft edge, as a fraction of the box."""


def working_box(preparation: PreparationSettings, largest: int) -> int:
    """Return the working box, in pixels.

    Parameters
    ----------
    preparation
        Settings of the run, which may name the box.
    largest
        Largest box, in pixels, that all images can be cropped to (`Particles.common_frame`).
    """
    return preparation.box or min(largest, DEFAULT_BOX)


def mask_radius(particles: Particles, preparation: PreparationSettings) -> float:
    """Return the radius of the mask about the particle, in Angstrom.

    Even the image with the smallest field of view has to show some background.
    """
    extent = particles.common_frame()[1]
    side = min(float((particles.box_sizes * particles.pixel_sizes).min()), extent)
    return min(preparation.mask_radius or DEFAULT_MASK_RADIUS * side, extent * (0.5 - MASK_EDGE / 2))
