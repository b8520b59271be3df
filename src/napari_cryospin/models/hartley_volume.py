"""The explicit volume decoder: a Hartley lattice, mantissa times exponential (paper, section 4.3)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from napari_cryospin.physics.fourier import hartley_to_map, map_to_hartley
from napari_cryospin.physics.slicing import crop_lattice


class HartleyVolume(nn.Module):
    """`H(w) = m(w) exp(e(w))` (Eq. 8) on a lattice of `padding * box_size + 1` points an axis.

    Values are in units of the prepared images' transform (background noise of about unit variance a coefficient).

    Parameters
    ----------
    box_size : int
        Box of the map, pixels.
    padding : int
        Oversampling of the lattice (the paper: 1).
    first_band : int
        Shells that start with random values, of `amplitude`; the others start at zero.
    """

    def __init__(
        self,
        box_size: int,
        padding: int = 1,
        *,
        first_band: int,
        amplitude: float = 0.1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.box_size, self.padding = box_size, padding
        size = padding * box_size + 1
        mantissa = amplitude * torch.randn(size, size, size, generator=generator)
        mantissa[self._beyond(first_band, mantissa)] = 0  # a shell that was never fitted must not be noise
        self.mantissa = nn.Parameter(mantissa)
        self.exponent = nn.Parameter(torch.zeros_like(mantissa))

    def _beyond(self, band: int, lattice: Tensor) -> Tensor:
        """`(G, G, G)` lattice points further out than slices of a band reach, the corners of their cells included."""
        size = lattice.shape[-1]
        square = (torch.arange(size, device=lattice.device) - size // 2).square()
        distance = square[:, None, None] + square[:, None] + square
        return distance.sqrt() > self.padding * band + math.sqrt(3)

    def hartley(self, band: int | None = None) -> Tensor:
        """`(G, G, G)` lattice, or its middle as far as slices of a band read it. Differentiable."""
        if band is None:
            return self.mantissa * self.exponent.exp()
        crop = (crop_lattice(part, band, self.padding) for part in (self.mantissa, self.exponent))
        mantissa, exponent = crop
        return mantissa * exponent.exp()

    @torch.no_grad()
    def to_map(self, band: int | None = None) -> Tensor:
        """`(n, n, n)` map `[z, y, x]`; with `band`, without the shells beyond it."""
        hartley = self.hartley()
        if band is not None:
            hartley = hartley.masked_fill(self._beyond(band, hartley), 0)
        return hartley_to_map(hartley, self.box_size)

    @torch.no_grad()
    def set_hartley(self, hartley: Tensor) -> None:
        """Take over a lattice: mantissa as given, exponent 0."""
        self.mantissa.copy_(hartley)
        self.exponent.zero_()

    @torch.no_grad()
    def set_map(self, density: Tensor) -> None:
        """Take over a `(n, n, n)` map."""
        self.set_hartley(map_to_hartley(density, self.padding))
