"""The protocol of all volumes. Most of the engine uses a volume only through it, however the volume is learned.

A new volume is one class that follows this protocol, one entry in `engine.volumes`, which makes it, and one in
`engine.volume_steps`, which learns it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor

from napari_cryospin.geometry.symmetry import PointGroup

BAND_MARGIN = 2
"""Shells that a map holds beyond its band, as room for interpolation and the soft mask."""


class Volume(Protocol):
    """A map, stored as a Hartley lattice.

    Values are in units of the prepared images' transform (background noise of about unit variance a coefficient).

    Attributes
    ----------
    box_size : int
        Box of the map, pixels.
    padding : int
        Oversampling of the lattice.
    band : int
        Fourier shells that the volume holds. Beyond them it is zero, or its values are not shown.
    symmetry : PointGroup
        Point group that the map has.
    takes_maps : bool
        Whether `take_map` can replace the volume; otherwise it raises ValueError.
    """

    box_size: int
    padding: int
    band: int
    symmetry: PointGroup
    takes_maps: bool

    def set_band(self, band: int) -> None:
        """Change the band; the shells that both bands share stay."""

    def take_map(self, density: Tensor) -> None:
        """Replace the volume by an `(n, n, n)` map, as far as its band holds it; what was learned is forgotten."""

    def hartley(self, band: int | None = None) -> Tensor:
        """Return the lattice `(G, G, G)`, or its middle as far as slices of a band read it."""

    def slices(self, rotations: Tensor, points: Tensor, band: int) -> Tensor:
        """Compute the slices at poses, differentiable in the poses and in what is learned by gradients.

        Parameters
        ----------
        rotations : Tensor
            `(..., 3, 3)`.
        points : Tensor
            `(p, 2)` half-plane points.
        band : int
            Shells that the points reach.

        Returns
        -------
        Tensor
            `(..., p)` complex.
        """

    def to_map(self, *, filtered: bool = True) -> Tensor:
        """Make the map `(n, n, n)`, `[z, y, x]`, at the full box.

        Parameters
        ----------
        filtered : bool
            False: without the filter against noise, where the volume has one.
        """

    def band_map(self) -> Tensor:
        """Make the unfiltered map `(m, m, m)` in the smallest box that holds the band."""

    def fold_maps(self) -> tuple[Tensor, Tensor] | None:
        """Make two maps `(m, m, m)`, each of one fold of the particles. Return None where the volume has no folds."""

    def gradient_lattices(self) -> Tensor:
        """Make the four lattices `(4, G, G, G)` of the map and its derivatives; see `physics.gradient_lattices`."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state that `load_state_dict` needs to continue from here."""

    def load_state_dict(self, state: Mapping[str, Any], /) -> Any:
        """Load the state of a volume of the same box and padding."""
