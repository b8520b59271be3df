"""The middle of a map's Hartley lattice, without computing the rest."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_cryospin.physics.fourier import grid_envelope


def inner_lattice(density: Tensor, padding: int, band: int) -> Tensor:
    """Compute `crop_lattice(map_to_hartley(density, padding), band, padding)`, from which a band's slices are read.

    The few frequencies are summed axis by axis, as matrix products, without a transform of the padded map.

    Parameters
    ----------
    density : Tensor
        `(n, n, n)` map `[z, y, x]`, float32.
    padding : int
        Oversampling of the lattice.
    band : int
        Shells.

    Returns
    -------
    Tensor
        `(g, g, g)` with `g = 2 padding band + 3` (at most the whole lattice).
    """
    n = density.shape[-1]
    half = min(padding * band + 1, padding * n // 2)
    place = (torch.arange(n, device=density.device) - n // 2) / (padding * n)
    angle = -2 * torch.pi * torch.arange(-half, half + 1, device=density.device)[:, None] * place
    wave = torch.polar(torch.ones_like(angle), angle)  # (g, n)
    values = (density / grid_envelope(n, padding, density.device)).to(wave.dtype)
    values = values @ wave[half:].T  # (z, y, kx >= 0): H(-w) follows from the same values
    values = torch.einsum("by,zyx->zbx", wave, values)
    values = torch.einsum("az,zbx->abx", wave, values)
    right, left = values.real - values.imag, values.real + values.imag  # H(w) and H(-w)
    return torch.cat((left[..., 1:].flip(0, 1, 2), right), dim=-1).contiguous()
