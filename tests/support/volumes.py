"""Volumes that hold a known map."""

import torch
from torch import Tensor

from napari_cryospin.models.hartley_volume import HartleyVolume
from napari_cryospin.physics.fourier import map_to_hartley


@torch.no_grad()
def put_map(volume: HartleyVolume, density: Tensor) -> None:
    """Replace a volume by the transform of an `(n, n, n)` map; the band stays."""
    volume.mantissa.copy_(map_to_hartley(density, volume.padding))
    volume.exponent.zero_()
