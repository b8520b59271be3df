"""Aberrations of the images of a run: corrected in the images, or made part of the CTF.

An image whose antisymmetric phase is taken back is as likely, given the map, as the image itself given the map with
that phase, because noise has no phase of its own. The same holds for its magnification. All that follows therefore
needs no knowledge of either.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from napari_cryospin.particles import Aberrations
from napari_cryospin.physics import fourier
from napari_cryospin.physics.aberrations import aberration_phase


class GroupOptics:
    """Aberrations of the optics groups, as tensors; only a group's coefficients are held, not its phases.

    Parameters
    ----------
    aberrations : Aberrations
        Of the particles of a run, in its order.
    extent : float
        Side of the working box, Angstrom.
    """

    def __init__(self, aberrations: Aberrations, extent: float) -> None:
        self.extent = extent
        self.groups = torch.from_numpy(np.asarray(aberrations.groups, dtype=np.int64))
        self.odd = torch.from_numpy(aberrations.odd).float()
        self.even = torch.from_numpy(aberrations.even).float()
        inverse = np.linalg.inv(aberrations.magnification)
        self.inverse = torch.from_numpy(inverse) if aberrations.magnified else None

    def corrected(self, images: Tensor, rows: Tensor, points: Tensor) -> Tensor:
        """Return images `(k, n, n)` of the particles `rows` without the phase of antisymmetric aberrations."""
        if not bool(self.odd.any()):
            return images
        stored = fourier.to_half_plane(images, points)
        phase = aberration_phase(self.odd[self.groups[rows]], points, self.extent, odd=True)
        change = stored * (torch.polar(torch.ones_like(phase), -phase) - 1)
        return images + fourier.from_half_plane(change, points, images.shape[-1])

    def phase_of_ctf(self, rows: Tensor, points: Tensor) -> Tensor | None:
        """Compute the phase `(b, p)` that symmetric aberrations add to the CTF, radian, at `(p, 2)` or `(b, p, 2)`."""
        if not bool(self.even.any()):
            return None
        even = self.even[self.groups[rows]].to(points.device)
        return aberration_phase(even, points, self.extent, odd=False)


def read_magnified(images: Tensor, inverse: Tensor, frequency: Tensor, position: Tensor) -> Tensor:
    """Read the transform of images at the frequencies of a map of another magnification, as an exact sum.

    The frequencies `(a p + b q, c p + d q)` lie on no grid. After a shear of the image along y by `b / d` they are
    `(a' p, c p + d q)`, which two products with waves reach: along x, and then along y from another place for each `p`.

    Parameters
    ----------
    images : Tensor
        `(k, n, n)`.
    inverse : Tensor
        `(2, 2)` matrix ((a, b), (c, d)) from the frequencies of the map to those of the images.
    frequency : Tensor
        `(f,)` whole frequencies p and q of the map, in Fourier pixels.
    position : Tensor
        `(n,)` places of the pixels, in units of the box to which a Fourier pixel belongs.

    Returns
    -------
    Tensor
        `(k, f, f)` complex, `[q, p]`.
    """
    (a, b), (c, d) = inverse.tolist()
    size = images.shape[-1]
    place = torch.arange(size) - size // 2
    shear = _waves(torch.fft.rfftfreq(size)[:, None] * place * (b / d))
    sheared = torch.fft.irfft(torch.fft.rfft(images, dim=-2) * shear, n=size, dim=-2)
    grid = frequency[:, None] * position  # (f, n)
    along_x = sheared.to(shear.dtype) @ _waves((a - b * c / d) * grid).T
    return _waves(d * grid) @ (along_x * _waves(c * grid).T)


def _waves(turns: Tensor) -> Tensor:
    """Compute `exp(-2 pi i turns)`."""
    return torch.polar(torch.ones((), dtype=turns.dtype), -2 * torch.pi * turns)
