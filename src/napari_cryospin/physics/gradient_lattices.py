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
        `(4, G, G, G)`.
    """
    n = density.shape[-1]
    axis = (torch.arange(n, device=density.device) - n // 2) / n
    parts = (density, density * axis, density * axis[:, None], density * axis[:, None, None])
    return torch.stack([map_to_hartley(part, padding) for part in parts])
