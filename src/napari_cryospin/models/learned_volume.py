"""What volumes that are learned by gradient steps have in common."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from napari_cryospin.geometry.symmetry import PointGroup, point_group
from napari_cryospin.models.volume import BAND_MARGIN
from napari_cryospin.physics.fourier import hartley_to_map
from napari_cryospin.physics.gradient_lattices import gradient_lattices
from napari_cryospin.physics.map_crop import fourier_crop_map


class LearnedVolume(nn.Module, ABC):
    """Volume whose parameters an optimiser changes.

    Values are in units of the prepared images' transform (background noise of about unit variance a coefficient).

    Parameters
    ----------
    box_size : int
        Box of the map, pixels.
    padding : int
        Oversampling of the lattice (the paper: 1).
    first_band : int
        First value of `band`.
    symmetry : str
        Name of the map's point group.

    Attributes
    ----------
    band : int
        Shells that `to_map` shows. It limits neither `hartley` nor what is learned.
    """

    takes_maps = True

    def __init__(self, box_size: int, padding: int, first_band: int, symmetry: str) -> None:
        super().__init__()
        self.box_size, self.padding, self.band = box_size, padding, first_band
        self.symmetry: PointGroup = point_group(symmetry)

    @abstractmethod
    def hartley(self, band: int | None = None) -> Tensor:
        """Return the lattice `(G, G, G)`, or its middle as far as slices of a band read it."""

    @abstractmethod
    def slices(self, rotations: Tensor, points: Tensor, band: int) -> Tensor:
        """Compute slices `(..., p)` at poses `(..., 3, 3)` and points `(p, 2)`, with their graph."""

    @abstractmethod
    def take_map(self, density: Tensor) -> None:
        """Replace the volume by an `(n, n, n)` map, if `takes_maps`."""

    def beyond(self, band: int, lattice: Tensor) -> Tensor:
        """Mark points of a lattice `(G, G, G)` that slices of a band do not reach, nor the corners of their cells."""
        size = lattice.shape[-1]
        square = (torch.arange(size, device=lattice.device) - size // 2).square()
        distance = square[:, None, None] + square[:, None] + square
        return distance.sqrt() > self.padding * band + math.sqrt(3)

    def set_band(self, band: int) -> None:
        """Change the number of shells that `to_map` shows."""
        self.band = band

    @torch.no_grad()
    def to_map(self, *, filtered: bool = True) -> Tensor:
        """Make the map `(n, n, n)`, `[z, y, x]`, without the shells beyond the band. There is no filter."""
        hartley = self.hartley()
        return hartley_to_map(hartley.masked_fill(self.beyond(self.band, hartley), 0), self.box_size)

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
