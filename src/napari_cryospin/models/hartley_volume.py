"""The explicit volume: a Hartley lattice of mantissa times exponential (paper, section 4.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_cryospin.models.learned_volume import LearnedVolume
from napari_cryospin.physics.fourier import map_to_hartley
from napari_cryospin.physics.slicing import central_slices, crop_lattice
from napari_cryospin.physics.symmetrise import symmetrised


class HartleyVolume(LearnedVolume):
    """Volume `H(w) = m(w) exp(e(w))` (paper, Eq. 8) on a lattice of `padding * box_size + 1` points an axis.

    Parameters
    ----------
    box_size, padding : int
        As of `LearnedVolume`.
    first_band : int
        Shells that start with random values of standard deviation `amplitude`; the others start at zero. It is the
        first value of `band`.
    symmetry : str
        Name of the map's point group. The lattice is learned as it is, and read as the mean of its symmetric copies.
    plain : bool
        The mantissa alone is learned, which is then the lattice itself (not in the paper).
    """

    def __init__(
        self,
        box_size: int,
        padding: int = 1,
        *,
        first_band: int,
        symmetry: str = "C1",
        amplitude: float = 0.1,
        plain: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(box_size, padding, first_band, symmetry)
        size = padding * box_size + 1
        mantissa = amplitude * torch.randn(size, size, size, generator=generator)
        mantissa[self.beyond(first_band, mantissa)] = 0  # A shell that was never fitted must not show noise.
        self.mantissa = nn.Parameter(mantissa)
        self.exponent = None if plain else nn.Parameter(torch.zeros_like(mantissa))

    def hartley(self, band: int | None = None) -> Tensor:
        """Return the lattice `(G, G, G)`, or its middle as far as slices of a band read it, with its graph."""
        lattice = self._cropped(self.mantissa, band)
        if self.exponent is not None:
            lattice = lattice * self._cropped(self.exponent, band).exp()
        return symmetrised(lattice, self.symmetry) / self.symmetry.order

    def _cropped(self, part: Tensor, band: int | None) -> Tensor:
        return part if band is None else crop_lattice(part, band, self.padding)

    def slices(self, rotations: Tensor, points: Tensor, band: int) -> Tensor:
        """Compute slices `(..., p)` at poses `(..., 3, 3)` and points `(p, 2)`, with their graph."""
        return central_slices(self.hartley(band), rotations, points, self.padding)

    @torch.no_grad()
    def take_map(self, density: Tensor) -> None:
        """Replace the volume by an `(n, n, n)` map: its transform is the mantissa, and the exponent is 0."""
        lattice = map_to_hartley(density, self.padding)
        self.mantissa.copy_(lattice.masked_fill(self.beyond(self.band, lattice), 0))
        if self.exponent is not None:
            self.exponent.zero_()
