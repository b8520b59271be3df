"""Contrast transfer function, RELION's sign: positive at zero frequency, white protein."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_cryospin.particles import electron_wavelength


def ctf(parameters: Tensor, points: Tensor, extent: float, aberration: Tensor | None = None) -> Tensor:
    """Compute the CTF at image frequencies.

    Parameters
    ----------
    parameters : Tensor
        `(..., 9)` columns as in `particles.CTF_PARAMETERS`: A, A, degrees, kV, mm, fraction, degrees, 1, A^2.
    points : Tensor
        `(points, 2)` frequencies `(kx, ky)` in Fourier pixels.
    extent : float
        Side of the image in Angstrom: a Fourier pixel is `1 / extent`.
    aberration : Tensor, optional
        `(..., points)` phase of symmetric aberrations, radian, which is added to `chi` (`physics.aberrations`).

    Returns
    -------
    Tensor
        `(..., points)` real.

    Notes
    -----
    `chi = -pi lambda s^2 df + pi/2 Cs lambda^3 s^4 - phase`; `CTF = -(sqrt(1 - a^2) sin chi - a cos chi)`, underfocus
    positive (RELION's `CTF::getCTF`). `s^2 cos 2(theta - angle)` is computed from coordinates, without an arctangent.
    """
    u, v, angle, voltage, cs, amplitude, phase, scale, b_factor = parameters[..., None].unbind(-2)
    wavelength = electron_wavelength(voltage)
    frequency = points.to(parameters.dtype) / extent
    x, y = frequency.unbind(-1)
    square = x * x + y * y
    twice = torch.deg2rad(2 * angle)
    astigmatic = (x * x - y * y) * twice.cos() + 2 * x * y * twice.sin()
    defocus = square * (u + v) / 2 + astigmatic * (u - v) / 2  # s^2 df
    chi = -torch.pi * wavelength * defocus + torch.pi / 2 * cs * 1e7 * wavelength**3 * square**2 - torch.deg2rad(phase)
    if aberration is not None:
        chi = chi + aberration
    wave = -((1 - amplitude**2).sqrt() * chi.sin() - amplitude * chi.cos())
    return wave * scale * torch.exp(-b_factor * square / 4)
