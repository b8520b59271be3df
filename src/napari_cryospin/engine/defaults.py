"""What a run does where its settings leave a choice open; without torch, since the check before a run reads it too."""

from __future__ import annotations

from napari_cryospin.settings import PreparationSettings

DEFAULT_BOX = 128
"""Largest working box, in pixels, that a run chooses by itself; the one of docs/benchmarks.md#memory."""
DEFAULT_MASK_RADIUS = 0.46
"""Radius of the mask about the particle, as a fraction of the box: inside the box's rim by the mask's soft edge."""


def working_box(preparation: PreparationSettings, largest: int) -> int:
    """Give the box that images are brought to, in pixels.

    Parameters
    ----------
    preparation
        Settings of the run, which may name the box.
    largest
        Pixels: the box that all images can be brought to (`Particles.common_frame`).
    """
    return preparation.box or min(largest, DEFAULT_BOX)
