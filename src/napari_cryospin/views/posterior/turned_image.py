"""One image, read as if it were turned in its plane.

A slice of the map at `Rz(psi) A` is the slice at `A` read at points turned by `psi`. To compare one image with all
in-plane angles of a direction, its transform, CTF and shifts are therefore read at turned points, exactly, and the map
is sliced once a direction: some fifty times fewer slices than one a pose.

Turned points fill the same disc as the lattice's, but for its rim. A band that ends softly makes the two the same
sum, whatever the angle.
"""

from __future__ import annotations

import torch
from torch import Tensor

BAND_EDGE = 4.0
"""Shells over which a band ends softly; a quarter of the band where that is narrower."""


def soft_edge(points: Tensor, band: int) -> Tensor:
    """`(p,)` weight of each of the `(p, 2)` points of a band: 1, falling to 0 as a raised cosine at its rim."""
    width = min(BAND_EDGE, band / 4)
    distance = points.double().norm(dim=-1) - (band + 0.5 - width)
    return (0.5 + 0.5 * torch.cos(torch.pi * (distance / width).clamp(0, 1))).float()


def in_plane(angles: Tensor) -> Tensor:
    """`(j, 3, 3)` turns about the beam by `(j,)` angles (radian): `in_plane(psi) @ A` is `A` with psi added."""
    c, s, zero, one = angles.cos(), angles.sin(), torch.zeros_like(angles), torch.ones_like(angles)
    return torch.stack((c, s, zero, -s, c, zero, zero, zero, one), dim=-1).unflatten(-1, (3, 3))


def turned_points(points: Tensor, angles: Tensor) -> Tensor:
    """`(j, p, 2)` where the image is read, so that it compares with slices at an in-plane angle of 0."""
    return points.to(angles.dtype) @ in_plane(angles)[:, :2, :2].mT


def turned_coefficients(image: Tensor, points: Tensor, angles: Tensor) -> Tensor:
    """`(j, p)` complex: transform of a real image at turned points, summed exactly.

    Parameters
    ----------
    image : Tensor
        `(n, n)`.
    points : Tensor
        `(p, 2)` int64 half-plane points.
    angles : Tensor
        `(j,)` radian.
    """
    n = image.shape[-1]
    place = (torch.arange(n, device=image.device) - n // 2).to(image.dtype) / n
    along, across = angles.cos()[:, None] * place, angles.sin()[:, None] * place  # (j, n)
    kx, ky = points.unbind(-1)
    # Of the wave at (kx cos + ky sin, ky cos - kx sin), a factor for each whole number: few waves are computed.
    horizontal = _waves(kx, along) * _waves(ky, across)  # (j, p, n)
    vertical = _waves(ky, along) * _waves(kx, -across)
    rows = torch.complex(horizontal.real @ image.T, horizontal.imag @ image.T)
    return (rows * vertical).sum(-1)


def _waves(numbers: Tensor, place: Tensor) -> Tensor:
    """`(j, p, n)` waves `exp(-2 pi i k x)` of `(p,)` whole numbers at `(j, n)` places."""
    largest = int(numbers.abs().max())
    every = torch.arange(-largest, largest + 1, device=place.device, dtype=place.dtype)
    angle = -2 * torch.pi * every[:, None] * place[:, None]
    return torch.polar(torch.ones_like(angle), angle)[:, numbers + largest]
