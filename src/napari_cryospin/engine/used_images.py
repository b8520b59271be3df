"""The images that a run uses, prepared: all that were chosen, or those of them that can be used."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_cryospin.engine.bad_images import BadImagesError, hot_pixels_note, left_out_note
from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.engine.used_rows import choose_rows
from napari_cryospin.particles import Particles
from napari_cryospin.settings import Settings


@dataclass(frozen=True, kw_only=True, eq=False)
class UsedImages:
    """Images of a run.

    Attributes
    ----------
    parts : list of PreparedImages
        All images, or those of each half set.
    left_out : dict
        Row of the particles -> why its image cannot be used, of those that were left out.
    """

    parts: list[PreparedImages]
    left_out: dict[int, str]

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of the images."""
        replaced = {row: pixels for part in self.parts for row, pixels in part.replaced.items()}
        notes = []
        if self.left_out:
            notes.append(left_out_note(self.parts[0].particles, self.left_out))
        if replaced:
            notes.append(hot_pixels_note(replaced, sum(map(len, self.parts))))
        return tuple(notes)


def prepare_used_images(
    particles: Particles,
    settings: Settings,
    devices: Sequence[torch.device],
    generator: torch.Generator,
    hurry: threading.Event | None = None,
) -> UsedImages:
    """Choose the particles of a run, and prepare their images.

    If some cannot be used and the settings leave those out, the choice is made anew among the others.

    Parameters
    ----------
    particles, settings, hurry
        As in `Reconstruction`.
    devices
        Device of each part.
    generator
        Source of the random numbers of the choice.

    Raises
    ------
    BadImagesError
        Images cannot be used, and the settings do not leave them out; names those of both half sets.
    ValueError
        No image is left.
    """
    before, left_out = generator.get_state(), dict[int, str]()
    while True:
        generator.set_state(before)
        rows = choose_rows(particles, settings, generator, left_out)
        try:
            return UsedImages(parts=_prepare(particles, settings, rows, devices, hurry), left_out=left_out)
        except BadImagesError as error:
            if not settings.preparation.leave_out_bad:
                raise
            left_out = left_out | error.faults


def _prepare(
    particles: Particles,
    settings: Settings,
    parts: Sequence[Tensor],
    devices: Sequence[torch.device],
    hurry: threading.Event | None,
) -> list[PreparedImages]:
    preparation = dataclasses.replace(settings.preparation, cache=settings.preparation.cache / len(parts))
    prepared, faults = [], dict[int, str]()
    for rows, device in zip(parts, devices, strict=True):
        try:
            prepared.append(PreparedImages(particles, preparation, rows, device, hurry=hurry))
        except BadImagesError as error:
            faults |= error.faults
    if faults:
        raise BadImagesError(particles, faults)
    return prepared
