"""One image's transform at points that are turned in the image's plane.

A slice of the map at `Rz(psi) A` is the slice at `A` read at points turned by `psi`. To compare one image with all
in-plane angles of a direction, its transform, CTF and shifts are therefore read at turned points, exactly, and the map
is sliced once for each direction. That takes some fifty times fewer slices than one for each pose.

Turned points fill the same disc as the points of the lattice, except at its rim. As the band ends softly, sums over
the two are the same, whatever the angle.
"""

from __future__ import annotations

import torch
from torch import Tensor

from napari_cryospin.physics.masks import raised_cosine_tensor

BAND_EDGE = 4.0
"""Width of the band's soft edge, shells (a quarter of the band, if that is less); chosen by hand."""


def soft_edge(points: Tensor, band: int) -> Tensor:
    """Return the weights of the `(p, 2)` points of a band, `(p,)`: 1, falling to 0 as a raised cosine at its rim."""
    width = min(BAND_EDGE, band / 4)
    distance = points.double().norm(dim=-1) - (band + 0.5 - width)
    return raised_cosine_tensor(distance, width).float()


def in_plane(angles: Tensor) -> Tensor:
    """Return the rotations about the beam by `(j,)` angles, `(j, 3, 3)`.

    The angles are in radian; `in_plane(psi) @ A` is `A` with psi added.
    """
    c, s, zero, one = angles.cos(), angles.sin(), torch.zeros_like(angles), torch.ones_like(angles)
    return torch.stack((c, s, zero, -s, c, zero, zero, zero, one), dim=-1).unflatten(-1, (3, 3))


def turned_points(points: Tensor, angles: Tensor) -> Tensor:
    """Return the points at which the image compares with slices at an in-plane angle of 0, `(j, p, 2)`."""
    return points.to(angles.dtype) @ in_plane(angles)[:, :2, :2].mT


def turned_coefficients(image: Tensor, points: Tensor, angles: Tensor) -> Tensor:
    """Compute the transform of a real image at turned points, by an exact sum.

    Parameters
    ----------
    image : Tensor
        `(n, n)` real image.
    points : Tensor
        `(p, 2)` int64 half-plane points.
    angles : Tensor
        `(j,)` in-plane angles, radian.

    Returns
    -------
    Tensor
        `(j, p)` complex.
    """
    n = image.shape[-1]
    place = (torch.arange(n, device=image.device) - n // 2).to(image.dtype) / n
    along, across = angles.cos()[:, None] * place, angles.sin()[:, None] * place  # (j, n)
    kx, ky = points.unbind(-1)
    # The wave at (kx cos + ky sin, ky cos - kx sin) is a product of one factor for kx and one for ky. These are whole
    # numbers that occur many times, so that few factors have to be computed.
    horizontal = _waves(kx, along) * _waves(ky, across)  # (j, p, n)
    vertical = _waves(ky, along) * _waves(kx, -across)
    rows = torch.complex(horizontal.real @ image.T, horizontal.imag @ image.T)
    return (rows * vertical).sum(-1)


def _waves(numbers: Tensor, place: Tensor) -> Tensor:
    """Return the waves `exp(-2 pi i k x)` of `(p,)` whole numbers k at `(j, n)` places x, `(j, p, n)`."""
    largest = int(numbers.abs().max())
    every = torch.arange(-largest, largest + 1, device=place.device, dtype=place.dtype)
    angle = -2 * torch.pi * every[:, None] * place[:, None]
    return torch.polar(torch.ones_like(angle), angle)[:, numbers + largest]
