"""Posterior over the cells of the sphere of view directions: on a grid, and on a finer one where the posterior is."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from napari_cryospin.views.posterior.direction_grid import COARSE_NSIDE, FINE_NSIDE, directions
from napari_cryospin.views.posterior.map_model import MapModel
from napari_cryospin.views.posterior.particle_image import ParticleImage
from napari_cryospin.views.posterior.turned_image import in_plane
from napari_cryospin.views.sphere_pictures import CELLS_NSIDE

IN_PLANE_ANGLES, FINE_PER_ANGLE = 72, 4
"""In-plane angles of the coarse grid, and into how many each is divided on the fine one."""
REFINED_WITHIN, MOST_REFINED = 60.0, 64
"""Coarse directions that are refined: those within so many nats of the best, and at most so many.

A particle fills some 0.4 of the box: at 18 shells its likelihood swings no faster than in 9 degrees. The coarse grid,
of 3.7 and 5 degrees, misses no mode then. But where there is little noise it misses the tops, each by some ten nats.
"""


def in_plane_angles() -> Tensor:
    """`(j,)` radian, of the coarse grid."""
    return torch.arange(IN_PLANE_ANGLES) * (2 * torch.pi / IN_PLANE_ANGLES)


def best_pose(values: Tensor, angles: Tensor, shifts: Tensor, rotations: Tensor) -> tuple[Tensor, Tensor]:
    """Rotation `(3, 3)` and shift `(2,)` of the largest of `(j, t, k)` values."""
    j, t, k = np.unravel_index(int(values.argmax()), values.shape)
    return in_plane(angles)[j] @ rotations[k], shifts[t]


def sphere_posterior(image: ParticleImage, model: MapModel, band: int) -> tuple[Tensor, Tensor, Tensor]:
    """Posterior of the view direction, in-plane angles and shifts summed over.

    Returns
    -------
    log_posterior : Tensor
        `(pixels,)` of the cells that are shown, ring order.
    rotation, shift : Tensor
        `(3, 3)` and `(2,)` A: the best pose of the fine grid.
    """
    angles = in_plane_angles()
    # The coarse pass uses the stored shift only; the fine pass below tries the shifts around it.
    values = image.compare(model.sphere, angles, band, image.pose_shift[None])
    marginal = values.flatten(0, 1).logsumexp(0)  # (k,) coarse directions
    best = marginal.topk(MOST_REFINED)
    kept = best.indices[best.values > best.values[0] - REFINED_WITHIN]
    values = values[..., kept].amax(1)  # (j, kept)
    near = (values > values.max() - REFINED_WITHIN).any(-1).cpu()
    parts = (torch.arange(FINE_PER_ANGLE) + 0.5) / FINE_PER_ANGLE - 0.5
    angles = (angles[near, None] + parts * (2 * torch.pi / IN_PLANE_ANGLES)).flatten()
    rotations = directions(FINE_NSIDE)[kept.cpu()].flatten(0, 1)
    shifts = image.shifts_about(image.pose_shift, band)
    values = image.compare(model.slices(rotations, band), angles, band, shifts)
    cells = values.flatten(0, 1).logsumexp(0).unflatten(0, (len(kept), -1)).logsumexp(-1)
    marginal[kept] = cells - np.log(FINE_NSIDE**2 / COARSE_NSIDE**2 * FINE_PER_ANGLE * len(shifts))
    shown = marginal.unflatten(0, (12 * CELLS_NSIDE**2, -1)).logsumexp(-1)
    return shown.log_softmax(0), *best_pose(values, angles, shifts, rotations)
