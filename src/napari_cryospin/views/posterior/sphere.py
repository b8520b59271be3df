"""The posterior over the cells of the sphere of view directions: on a coarse grid, then on a fine one at its modes."""

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
"""Number of in-plane angles of the coarse grid, and number of parts into which the fine grid divides each of them."""
REFINED_WITHIN, MOST_REFINED = 60.0, 64
"""A coarse direction is refined if its value lies within the first number, nats, of the best; the second is the largest
number of directions that are refined.

A particle fills about 0.4 of the box. At 18 shells its likelihood therefore varies over no less than 9 degrees, and the
coarse grid, with directions 3.7 and in-plane angles 5 degrees apart, misses no mode. Where there is little noise it
misses the tops of the modes, by about ten nats each. The two numbers themselves are chosen by hand.
"""


def in_plane_angles() -> Tensor:
    """Return the in-plane angles of the coarse grid, `(j,)` radian."""
    return torch.arange(IN_PLANE_ANGLES) * (2 * torch.pi / IN_PLANE_ANGLES)


def best_pose(values: Tensor, angles: Tensor, shifts: Tensor, rotations: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rotation `(3, 3)` and the shift `(2,)` at the largest of `(j, t, k)` values."""
    j, t, k = np.unravel_index(int(values.argmax()), values.shape)
    return in_plane(angles)[j] @ rotations[k], shifts[t]


def sphere_posterior(image: ParticleImage, model: MapModel, band: int) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the posterior over view directions, summed over in-plane angles and shifts.

    Parameters
    ----------
    image : ParticleImage
        The particle.
    model : MapModel
        The map.
    band : int
        Shells that are compared.

    Returns
    -------
    log_posterior : Tensor
        `(pixels,)` of the cells that are shown, in ring order; exp sums to 1.
    rotation, shift : Tensor
        `(3, 3)`, and `(2,)` Angstrom: the best pose of the fine grid.
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
