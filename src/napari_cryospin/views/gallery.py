"""Images of a few particles, to be shown: raw, low-passed, and with their phases flipped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from napari_cryospin.engine.bad_images import BadImagesError
from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.evaluation.map_filter import LOW_PASS_EDGE
from napari_cryospin.particles import Particles
from napari_cryospin.physics import fourier
from napari_cryospin.physics.masks import raised_cosine_tensor
from napari_cryospin.settings import PreparationSettings


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Images of some particles, whose background had zero mean and unit variance before they were filtered."""

    raw: NDArray[np.float32]  # (k, n, n)
    low_passed: NDArray[np.float32]  # (k, n, n)
    phase_flipped: NDArray[np.float32]  # (k, n, n) times the sign of the CTF, low-passed in the same way
    pixel_size: float  # A


@torch.no_grad()
def gallery_images(particles: Particles, rows: ArrayLike, resolution: float = 20.0) -> Gallery:
    """Prepare images of some particles at their own box; if boxes differ, all at the common one.

    An image that cannot be used is blank.

    Parameters
    ----------
    particles : Particles
    rows : array_like
        `(k,)` rows of the particles.
    resolution : float
        Resolution of the low-pass filter, Angstrom.

    Raises
    ------
    ValueError
        A stack cannot be read; the message names it.
    """
    chosen = torch.from_numpy(np.asarray(rows, dtype=np.int64))
    settings = PreparationSettings(box=particles.common_frame()[0])
    prepared = PreparedImages(particles, settings, chosen, measure=False)
    every = torch.arange(len(chosen))
    raw = torch.cat([_pictures(prepared, part) for part in every.split(prepared.chunk)])
    beyond = prepared.points.float().norm(dim=-1) - prepared.extent / resolution
    kept = fourier.to_half_plane(raw, prepared.points) * raised_cosine_tensor(beyond, LOW_PASS_EDGE)
    # If the input's phases are flipped already, or the CTF is multiplied in, its sign is +1 everywhere.
    pictures = [kept, kept * prepared.ctf(every).sign()]
    low_passed, flipped = (fourier.from_half_plane(part, prepared.points, prepared.box_size) for part in pictures)
    return Gallery(
        raw=raw.numpy(),
        low_passed=low_passed.numpy(),
        phase_flipped=flipped.numpy(),
        pixel_size=prepared.pixel_size,
    )


def _pictures(prepared: PreparedImages, part: torch.Tensor) -> torch.Tensor:
    """Prepare images `(k, n, n)`; those that cannot be used are zero."""
    try:
        return prepared.normalised(part)
    except BadImagesError as error:
        usable = torch.tensor([int(row) not in error.faults for row in prepared.rows[part]])
    pictures = torch.zeros(len(part), prepared.box_size, prepared.box_size)
    if bool(usable.any()):
        pictures[usable] = prepared.normalised(part[usable])
    return pictures
