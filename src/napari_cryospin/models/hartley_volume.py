"""The explicit volume: a Hartley lattice of mantissa times exponential (paper, section 4.3)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from napari_cryospin.geometry.symmetry import PointGroup, point_group
from napari_cryospin.models.volume import BAND_MARGIN
from napari_cryospin.physics.fourier import hartley_to_map, map_to_hartley
from napari_cryospin.physics.gradient_lattices import gradient_lattices
from napari_cryospin.physics.map_crop import fourier_crop_map
from napari_cryospin.physics.slicing import crop_lattice
from napari_cryospin.physics.symmetrise import symmetrised


class HartleyVolume(nn.Module):
    """Volume `H(w) = m(w) exp(e(w))` (paper, Eq. 8) on a lattice of `padding * box_size + 1` points an axis.

    Values are in units of the prepared images' transform (background noise of about unit variance a coefficient).

    Parameters
    ----------
    box_size : int
        Box of the map, pixels.
    padding : int
        Oversampling of the lattice (the paper: 1).
    first_band : int
        Shells that start with random values of standard deviation `amplitude`; the others start at zero. It is the
        first value of `band`.
    symmetry : str
        Name of the map's point group. The lattice is learned as it is, and read as the mean of its symmetric copies.

    Attributes
    ----------
    band : int
        Shells that `to_map` shows. It limits neither `hartley` nor what is learned.
    """

    def __init__(
        self,
        box_size: int,
        padding: int = 1,
        *,
        first_band: int,
        symmetry: str = "C1",
        amplitude: float = 0.1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.box_size, self.padding, self.band = box_size, padding, first_band
        self.symmetry: PointGroup = point_group(symmetry)
        size = padding * box_size + 1
        mantissa = amplitude * torch.randn(size, size, size, generator=generator)
        mantissa[self._beyond(first_band, mantissa)] = 0  # A shell that was never fitted must not show noise.
        self.mantissa = nn.Parameter(mantissa)
        self.exponent = nn.Parameter(torch.zeros_like(mantissa))

    def _beyond(self, band: int, lattice: Tensor) -> Tensor:
        """Mark lattice points `(G, G, G)` that slices of a band do not reach, nor the corners of their cells."""
        size = lattice.shape[-1]
        square = (torch.arange(size, device=lattice.device) - size // 2).square()
        distance = square[:, None, None] + square[:, None] + square
        return distance.sqrt() > self.padding * band + math.sqrt(3)

    def hartley(self, band: int | None = None) -> Tensor:
        """Return the lattice `(G, G, G)`, or its middle as far as slices of a band read it, with its graph."""
        mantissa: Tensor = self.mantissa
        exponent: Tensor = self.exponent
        if band is not None:
            mantissa, exponent = (crop_lattice(part, band, self.padding) for part in (mantissa, exponent))
        return symmetrised(mantissa * exponent.exp(), self.symmetry) / self.symmetry.order

    def set_band(self, band: int) -> None:
        """Change the number of shells that `to_map` shows."""
        self.band = band

    @torch.no_grad()
    def take_map(self, density: Tensor) -> None:
        """Replace the volume by an `(n, n, n)` map: its transform is the mantissa, and the exponent is 0."""
        lattice = map_to_hartley(density, self.padding)
        self.mantissa.copy_(lattice.masked_fill(self._beyond(self.band, lattice), 0))
        self.exponent.zero_()

    @torch.no_grad()
    def to_map(self, *, filtered: bool = True) -> Tensor:
        """Make the map `(n, n, n)`, `[z, y, x]`, without the shells beyond the band. There is no filter."""
        hartley = self.hartley()
        return hartley_to_map(hartley.masked_fill(self._beyond(self.band, hartley), 0), self.box_size)

    @torch.no_grad()
    def band_map(self) -> Tensor:
        """Make the map `(m, m, m)` in the smallest box that holds the band."""
        return fourier_crop_map(self.to_map(), min(self.box_size, 2 * (self.band + BAND_MARGIN)))

    def fold_maps(self) -> None:
        """Return None, since gradient steps do not separate the folds."""

    def gradient_lattices(self) -> Tensor:
        """Make the lattices `(4, G, G, G)` of the map and of its derivatives."""
        return gradient_lattices(self.to_map(), self.padding)

    def get_extra_state(self) -> tuple[int, str]:
        """Return the band and the symmetry, which torch stores beside the parameters."""
        return self.band, self.symmetry.name

    def set_extra_state(self, state: tuple[int, str]) -> None:
        """Set the band and the symmetry from a state dict."""
        self.band, self.symmetry = state[0], point_group(state[1])
