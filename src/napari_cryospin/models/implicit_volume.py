"""The implicit volume: a network that gives the map's Fourier transform at any place (cryoAI)."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_cryospin.models.fourier_net import FourierNet
from napari_cryospin.models.learned_volume import LearnedVolume
from napari_cryospin.physics.slicing import crop_lattice, hartley_pair

PLACES_AT_A_TIME = 2**15
"""Places at which the field is computed together where no gradient is wanted, so that memory stays bounded."""


class ImplicitVolume(LearnedVolume):
    """Volume whose lattice is not stored, but computed by a `FourierNet`.

    Slices are read from the network itself, as in cryoAI. A lattice is computed where one is asked for: for maps, and
    for searches. Of a symmetric map the field is read as the mean of its symmetric copies.

    Parameters
    ----------
    box_size : int
        Box of the map, pixels; the network's coordinates are 1 at its Nyquist frequency.
    padding, first_band, symmetry
        As of `LearnedVolume`.
    """

    takes_maps = False

    def __init__(self, box_size: int, padding: int = 1, *, first_band: int, symmetry: str = "C1") -> None:
        super().__init__(box_size, padding, first_band, symmetry)
        self.field = FourierNet()

    def slices(self, rotations: Tensor, points: Tensor, band: int) -> Tensor:
        """Compute slices `(..., p)` at poses `(..., 3, 3)` and points `(p, 2)`, with their graph."""
        where = (points.to(rotations.dtype) * (2 / self.box_size)) @ rotations[..., :2, :]
        return self._read(where.reshape(-1, 3)).reshape(where.shape[:-1])

    def _read(self, places: Tensor) -> Tensor:
        """Compute the field at places `(n, 3)`, with the symmetry of the map: `(n,)` complex."""
        copies = [self._field(places @ turn.mT) for turn in self.symmetry.rotations(places)]
        return torch.stack(copies).mean(0)

    def _field(self, places: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            with_graph: Tensor = self.field(places)
            return with_graph
        return torch.cat([self.field(part) for part in places.split(PLACES_AT_A_TIME)])

    @torch.no_grad()
    def hartley(self, band: int | None = None) -> Tensor:
        """Compute the lattice `(G, G, G)`, or its middle as far as slices of a band read it, without a graph."""
        places = self._lattice_places(band)
        half = places.shape[:-1].numel() // 2  # The other half are the mates of these points, in reverse order.
        at, mate = hartley_pair(self._read(places.reshape(-1, 3)[: half + 1]))
        return torch.cat((at, mate[:half].flip(0))).reshape(places.shape[:-1])

    def _lattice_places(self, band: int | None = None) -> Tensor:
        """Return the places `(G, G, G, 3)` of the lattice's points, or of those in its middle."""
        line = torch.linspace(-1, 1, self.padding * self.box_size + 1, device=self.field.device)
        z, y, x = torch.meshgrid(line, line, line, indexing="ij")
        return torch.stack([part if band is None else crop_lattice(part, band, self.padding) for part in (x, y, z)], -1)

    def take_map(self, density: Tensor) -> None:
        """Refuse a map: a network learns one slowly, and never exactly.

        Raises
        ------
        ValueError
            Always.
        """
        raise ValueError("an implicit volume cannot take over a map; expected an explicit one")
