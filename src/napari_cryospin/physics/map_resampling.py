"""A map from elsewhere on the grid of a run: any box and pixel size, low-passed, as an exact sum in Fourier space."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from napari_cryospin.physics.masks import raised_cosine_tensor

LOW_PASS_WIDTH = 2.0
"""Shells over which the low-pass falls from 1 to 0, half of them within the resolution; chosen by hand."""


def resample_map(density: Tensor, pixel_size: float, box_size: int, new_pixel_size: float, resolution: float) -> Tensor:
    """Bring a map to another box and pixel size, and low-pass it. Its centre, `n // 2`, becomes that of the new box.

    Grey values stay. What lies outside the new box is cut off; where the new box is the larger one, it is 0 there.

    Parameters
    ----------
    density : Tensor
        `(n, n, n)`, in a background of 0.
    pixel_size, new_pixel_size : float
        Angstrom.
    box_size : int
        Even box of the new map, pixels.
    resolution : float
        Angstrom; frequencies that either map cannot hold are left out in any case.

    Returns
    -------
    Tensor
        `(box_size, box_size, box_size)`.
    """
    extent, n = box_size * new_pixel_size, density.shape[-1]
    finest = min(extent / resolution, box_size / 2 - 1, extent / (2 * pixel_size) - LOW_PASS_WIDTH)
    last = min(math.floor(finest + LOW_PASS_WIDTH / 2), box_size // 2 - 1)
    place = (torch.arange(n) - n // 2) * (pixel_size / extent)
    inside = place.abs() < 0.5  # What lies beyond would come in again from the other side.
    density = density[inside][:, inside][:, :, inside]
    frequency = torch.arange(-last, last + 1)
    spectrum = _along_each_axis(density, _waves(-frequency[:, None] * place[inside]))
    radius = (frequency[:, None, None].square() + frequency[:, None].square() + frequency.square()).sqrt()
    spectrum = spectrum * raised_cosine_tensor(radius - finest + LOW_PASS_WIDTH / 2, LOW_PASS_WIDTH)
    new_place = (torch.arange(box_size) - box_size // 2) / box_size
    made = _along_each_axis(spectrum, _waves(new_place[:, None] * frequency)).real
    return made * ((pixel_size / new_pixel_size) ** 3 / box_size**3)


def _waves(turns: Tensor) -> Tensor:
    """Compute `exp(2 pi i turns)`."""
    return torch.polar(torch.ones((), dtype=torch.float32), 2 * torch.pi * turns.float())


def _along_each_axis(values: Tensor, matrix: Tensor) -> Tensor:
    """Multiply an array `(n, n, n)` along each of its axes by a matrix `(m, n)`."""
    for _ in range(3):  # Each product moves the last axis, which it has replaced, to the front.
        values = torch.movedim(_product(values, matrix), -1, 0)
    return values


def _product(values: Tensor, matrix: Tensor) -> Tensor:
    if values.is_complex():
        return values @ matrix.T
    return torch.complex(values @ matrix.real.T, values @ matrix.imag.T)  # Real maps are large: no complex copy.
