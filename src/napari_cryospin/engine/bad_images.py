"""Images that cannot be used: all of them in one message, the first ten by row."""

from __future__ import annotations

from collections.abc import Mapping

from napari_cryospin.advice import Advice
from napari_cryospin.particles import Particles

NAMED_IMAGES = 10
"""Images that a message names; it counts the others."""


class BadImagesError(ValueError):
    """Images cannot be used; the message names the first of them and says how many there are.

    Attributes
    ----------
    faults : dict
        Row of the particles -> what was found, in the order of rows.
    """

    def __init__(self, particles: Particles, faults: Mapping[int, str]) -> None:
        self.faults = dict(sorted(faults.items()))
        super().__init__(bad_images_message(particles, self.faults, f"{particles.source}: "))


def bad_images_message(particles: Particles, faults: Mapping[int, str], before: str = "") -> Advice:
    """Say which images cannot be used, and that they can be left out.

    Parameters
    ----------
    particles
        The particles.
    faults
        Row -> what was found.
    before
        What the message begins with.
    """
    found = f"{before}{len(faults):,} image{'s' if len(faults) > 1 else ''} cannot be used; mend or leave out"
    return Advice(found, "leave_out_bad", details=f": {name_images(particles, faults)}")


def name_images(particles: Particles, faults: Mapping[int, str]) -> str:
    """Name the first images by row with what was found, and say how many more there are."""
    rows = sorted(faults)
    names = [f"{_image_name(particles, row)}: {faults[row]}" for row in rows[:NAMED_IMAGES]]
    more = [f"and {len(rows) - NAMED_IMAGES:,} more"] if len(rows) > NAMED_IMAGES else []
    return "; ".join(names + more)


def _image_name(particles: Particles, row: int) -> str:
    stack = particles.stacks[particles.stack_index[row]].name
    return f"particle {row + 1} (image {particles.slice_index[row] + 1} of {stack})"


def left_out_note(particles: Particles, faults: Mapping[int, str]) -> str:
    """Say which images are left out."""
    found = f"{len(faults):,} image{'s' if len(faults) > 1 else ''} cannot be used and left out"
    return f"{found}: {name_images(particles, faults)}"


def hot_pixels_note(replaced: Mapping[int, int], looked_at: int) -> str:
    """Say how many images have hot or dead pixels, and name the first.

    Parameters
    ----------
    replaced
        Row of the particles -> number of pixels that were replaced.
    looked_at
        Number of images that were looked at.
    """
    rows = sorted(replaced)
    names = ", ".join(str(row + 1) for row in rows[:NAMED_IMAGES])
    more = f" and {len(rows) - NAMED_IMAGES:,} more" if len(rows) > NAMED_IMAGES else ""
    count = sum(replaced.values())
    found = f"hot or dead pixels in {len(rows):,} of {looked_at:,} images ({count:,} pixel{'s' if count > 1 else ''})"
    return f"{found}, replaced by the median of their neighbours: particles {names}{more}"
