"""Lattices of the derivatives of a map's transform."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_cryospin.physics.fourier import map_to_hartley


def gradient_lattices(density: Tensor, padding: int) -> Tensor:
    """Compute the lattices of a map, and of the map times x, y and z (fractions of the box).

    The last three are, up to a factor, the transform's derivatives. They are exact, whereas differences of a trilinear
    interpolation are discontinuous.

    Parameters
    ----------
    density : Tensor
        `(n, n, n)` map.
    padding : int
        Oversampling of the lattices.

    Returns
    -------
    Tensor
        `(4, G, G, G)`; the four numbers of a point lie side by side in memory, so that they are read at once.
    """
    n, size = density.shape[-1], padding * density.shape[-1] + 1
    axis = (torch.arange(n, device=density.device) - n // 2) / n
    lattices = density.new_empty(size, size, size, 4).permute(3, 0, 1, 2)
    for lattice, factor in zip(lattices, (None, axis, axis[:, None], axis[:, None, None]), strict=True):
        lattice.copy_(map_to_hartley(density if factor is None else density * factor, padding))
    return lattices
