"""A few particles for the eye: raw, low-passed, and with their phases flipped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from napari_cryospin.engine.bad_images import BadImagesError
from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.particles import Particles
from napari_cryospin.physics import fourier
from napari_cryospin.settings import PreparationSettings

GALLERY_EDGE = 2.0  # shells over which the low-pass falls


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Images of some particles, background of zero mean and unit variance before they were filtered."""

    raw: NDArray[np.float32]  # (k, n, n)
    low_passed: NDArray[np.float32]  # (k, n, n)
    phase_flipped: NDArray[np.float32]  # (k, n, n) with the sign of the CTF, low-passed likewise
    pixel_size: float  # A


@torch.no_grad()
def gallery_images(particles: Particles, rows: ArrayLike, resolution: float = 20.0) -> Gallery:
    """Images of some particles at their own box; where boxes differ, all at the common one.

    An image that cannot be used is blank.

    Parameters
    ----------
    particles : Particles
    rows : array_like
        `(k,)` rows of the particles.
    resolution : float
        Angstrom: the low-pass leaves out what is finer.

    Raises
    ------
    ValueError
        An image cannot be read; it is named.
    """
    chosen = torch.from_numpy(np.asarray(rows, dtype=np.int64))
    settings = PreparationSettings(box=particles.common_frame()[0])
    prepared = PreparedImages(particles, settings, chosen, measure=False)
    every = torch.arange(len(chosen))
    raw = torch.cat([_pictures(prepared, part) for part in every.split(prepared.chunk)])
    beyond = prepared.points.float().norm(dim=-1) - prepared.extent / resolution
    kept = fourier.to_half_plane(raw, prepared.points) * (
        0.5 + 0.5 * torch.cos(torch.pi * (beyond / GALLERY_EDGE).clamp(0, 1))
    )
    # Where phases were flipped, or the CTF multiplied, before, its sign is +1 throughout.
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
