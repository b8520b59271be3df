"""Groups of images that are alike in their noise, or in the strength of their signal."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cryospin.particles import Particles

LEAST_NOISE_IMAGES = 100
"""Images of a micrograph from which it has a noise spectrum of its own; chosen by hand. The innermost shells have some
ten points, whose variance is then known to 3 %."""


def noise_groups(particles: Particles) -> NDArray[np.int64]:
    """Assign images to groups with a noise spectrum of their own: optics groups, and micrographs with enough images.

    Returns
    -------
    ndarray
        `(n,)` of all particles, from 0, without gaps.
    """
    optics = particles.optics_groups.astype(np.int64)
    micrographs = _micrographs(particles)
    if micrographs is None:
        return _numbered(optics)
    large = np.bincount(micrographs)[micrographs] >= LEAST_NOISE_IMAGES
    return _numbered(np.where(large, optics.max() + 1 + micrographs, optics))


def scale_levels(particles: Particles, rows: Tensor) -> list[Tensor]:
    """List the groups that share a signal scale, coarse groups first: optics groups and, where known, micrographs.

    Parameters
    ----------
    particles : Particles
    rows : Tensor
        `(k,)` rows of `particles`.

    Returns
    -------
    list of Tensor
        `(k,)` int64 each, from 0, without gaps.
    """
    micrographs = _micrographs(particles)
    levels = [particles.optics_groups.astype(np.int64), *([] if micrographs is None else [micrographs])]
    return [torch.from_numpy(_numbered(level[rows.numpy()])) for level in levels]


def _micrographs(particles: Particles) -> NDArray[np.int64] | None:
    """Return the number of each particle's micrograph, `(n,)`; one in two optics groups counts as two."""
    if particles.picks is None:
        return None
    micrographs = particles.picks.micrograph_index.astype(np.int64)
    return _numbered(particles.optics_groups * (micrographs.max() + 1) + micrographs)


def _numbered(values: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.unique(values, return_inverse=True)[1].astype(np.int64)
