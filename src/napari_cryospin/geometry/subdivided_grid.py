"""Subdivision of a grid on SO(3): each cell into eight of half its width."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from napari_cryospin.geometry import healpix
from napari_cryospin.geometry.so3_grid import direction_pixel

CHILDREN = 8
"""Cells that a cell is divided into: four view directions times two in-plane angles."""


def child_directions(pixel: np.ndarray, nside: int) -> Tensor:
    """Return the centres `(..., 4, 3)` of the four pixels that divide each HEALPix ring pixel, as unit vectors."""
    nested = healpix.vec2pix(nside, *healpix.pix2vec(nside, pixel), nest=True)
    children = 4 * np.asarray(nested)[..., None] + np.arange(4)
    return torch.from_numpy(np.stack(healpix.pix2vec(2 * nside, children, nest=True), axis=-1))


def subdivided(rotations: Tensor, nside: int, in_plane: int) -> Tensor:
    """Divide the cells of a grid made by `grid_rotations`.

    A child's view direction is the centre of one of the four pixels that divide the parent's. The parent is turned
    there the shortest way, so that children lie near it at the poles, too, and then by a quarter of the in-plane step
    to either side. The children of a whole grid are a grid whose cells all have the same volume.

    Parameters
    ----------
    rotations : Tensor
        `(k, 3, 3)` rotations of the grid, or some of them.
    nside, in_plane : int
        As of `grid_rotations`.

    Returns
    -------
    Tensor
        `(k, 8, 3, 3)` float32.
    """
    parents = rotations.detach().cpu().double()
    children = child_directions(direction_pixel(parents, nside).numpy(), nside)  # (k, 4, 3)
    turned = parents[:, None] @ _shortest_turn(children, parents[:, None, 2].expand_as(children))
    quarter = torch.tensor([-0.25, 0.25], dtype=torch.float64) * (2 * torch.pi / in_plane)
    c, s, zero, one = quarter.cos(), quarter.sin(), torch.zeros(2), torch.ones(2)
    in_plane_turn = torch.stack((c, s, zero, -s, c, zero, zero, zero, one), dim=-1).unflatten(-1, (3, 3))
    return (in_plane_turn @ turned[:, :, None]).flatten(1, 2).float()


def _shortest_turn(start: Tensor, end: Tensor) -> Tensor:
    """Compute the rotations `(..., 3, 3)` that take unit vectors `start` to `end` the shortest way."""
    middle = torch.nn.functional.normalize(start + end, dim=-1)
    identity = torch.eye(3, dtype=start.dtype)
    half_turn = 2 * middle[..., :, None] * middle[..., None, :] - identity
    return half_turn @ (2 * start[..., :, None] * start[..., None, :] - identity)
