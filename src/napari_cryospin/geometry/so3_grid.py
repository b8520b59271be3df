"""Grids of rotations: view directions of a HEALPix grid times in-plane angles."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from napari_cryospin.geometry import healpix


def rotation_from_angles(rot: Tensor, tilt: Tensor, psi: Tensor) -> Tensor:
    """Compute `(..., 3, 3)` rotations `A` from RELION's angles, radian."""

    def turn(angle: Tensor, axis: int) -> Tensor:
        c, s, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
        rows = (c, s, zero, -s, c, zero, zero, zero, one) if axis == 2 else (c, zero, -s, zero, one, zero, s, zero, c)
        return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))

    return turn(psi, 2) @ turn(tilt, 1) @ turn(rot, 2)


def view_directions(nside: int) -> Tensor:
    """List `(pixels, 2)` rot and tilt (radian) of the centres of a HEALPix grid, ring order."""
    theta, phi = healpix.pix2ang(nside, np.arange(healpix.nside2npix(nside)))
    return torch.from_numpy(np.stack((phi, theta), axis=-1))


def grid_rotations(nside: int, in_plane: int) -> Tensor:
    """Make a grid on SO(3): view directions times in-plane angles.

    Parameters
    ----------
    nside : int
        Resolution of the HEALPix grid of view directions, ring order.
    in_plane : int
        Number of in-plane angles, evenly spaced.

    Returns
    -------
    Tensor
        `(pixels, in_plane, 3, 3)` float32 rotations. All cells have the same volume.
    """
    rot, tilt = view_directions(nside)[:, None].unbind(-1)
    psi = torch.arange(in_plane, dtype=torch.float64) * (2 * torch.pi / in_plane)
    rot, tilt, psi = torch.broadcast_tensors(rot, tilt, psi)
    return rotation_from_angles(rot, tilt, psi).float()


def direction_pixel(rotations: Tensor, nside: int) -> Tensor:
    """Compute the HEALPix ring pixel `(...,)` of the view direction (third row of `A`) of `(..., 3, 3)` rotations."""
    x, y, z = rotations[..., 2, :].detach().cpu().double().clamp(-1, 1).unbind(-1)
    pixel = healpix.ang2pix(nside, torch.acos(z).numpy(), torch.atan2(y, x).numpy())
    return torch.as_tensor(np.asarray(pixel), dtype=torch.long)
