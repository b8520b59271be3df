"""Aberrations beyond defocus and spherical aberration, as phases of an image's transform (Zivanov et al., IUCrJ 2020).

Antisymmetric ones (beam tilt, trefoil) turn the phase of a coefficient: `F -> F exp(i phase)`. Symmetric ones
(tetrafoil) are added to the phase of the CTF. Both are sums of Zernike polynomials of the frequency in 1/A.
"""

from __future__ import annotations

import torch
from torch import Tensor

from napari_cryospin.geometry.zernike import radial_terms, zernike_orders


def aberration_phase(coefficients: Tensor, points: Tensor, extent: float, *, odd: bool) -> Tensor:
    """Compute the phase of antisymmetric or of symmetric aberrations.

    Parameters
    ----------
    coefficients : Tensor
        `(b, k)` coefficients of Zernike polynomials in RELION's order, radian times A to the powers of each term.
    points : Tensor
        `(p, 2)` frequencies `(kx, ky)` in Fourier pixels, or `(b, p, 2)` for each image.
    extent : float
        Side of the image in Angstrom: a Fourier pixel is `1 / extent`.
    odd : bool
        Whether the coefficients are those of antisymmetric polynomials.

    Returns
    -------
    Tensor
        `(b, p)` radian.
    """
    x, y = (points.to(coefficients.dtype) / extent).unbind(-1)
    phase = torch.zeros(len(coefficients), points.shape[-2], dtype=coefficients.dtype, device=coefficients.device)
    orders = zernike_orders(coefficients.shape[-1], 1 if odd else 0)
    for (n, m), coefficient in zip(orders, coefficients.unbind(-1), strict=True):
        phase = phase + coefficient[:, None] * _zernike(n, m, x, y)
    return phase


def _zernike(n: int, m: int, x: Tensor, y: Tensor) -> Tensor:
    """Compute the Zernike polynomial (n, m) from coordinates, without an arctangent."""
    square = x * x + y * y
    cosine, sine = torch.ones_like(x), torch.zeros_like(x)
    for _ in range(abs(m)):
        cosine, sine = cosine * x - sine * y, cosine * y + sine * x  # r^m of the angle's m-fold
    radial = sum(coefficient * square**power for power, coefficient in radial_terms(n, m).items())
    return radial * (cosine if m >= 0 else sine)
