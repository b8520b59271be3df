"""What every volume can do, whatever it is learned by: the only face of a volume that most of the engine knows.

A new volume is one class that keeps to this protocol, and one entry in `engine.volume_steps`, which says how it is
learned.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor

BAND_MARGIN = 2
"""Shells that a map holds beyond its band, so that interpolation and the soft mask have room."""


class Volume(Protocol):
    """A map, kept as a Hartley lattice.

    Values are in units of the prepared images' transform (background noise of about unit variance a coefficient).

    Attributes
    ----------
    box_size : int
        Box of the map, pixels.
    padding : int
        Oversampling of the lattice.
    band : int
        Fourier shells that the volume holds; beyond them it is zero, or not to be shown.
    """

    box_size: int
    padding: int
    band: int

    def set_band(self, band: int) -> None:
        """Change the band; what both bands share stays."""

    def hartley(self, band: int | None = None) -> Tensor:
        """Return the lattice `(G, G, G)`, or its middle as far as slices of a band read it."""

    def to_map(self, *, filtered: bool = True) -> Tensor:
        """Make the map `(n, n, n)`, `[z, y, x]`, at the full box.

        Parameters
        ----------
        filtered : bool
            False: without the filter of a volume that is filtered against noise.
        """

    def band_map(self) -> Tensor:
        """Make the unfiltered map `(m, m, m)` in the smallest box that holds the band."""

    def fold_maps(self) -> tuple[Tensor, Tensor] | None:
        """Make two maps `(m, m, m)`, each of one fold of the particles; None where the volume has no folds."""

    def gradient_lattices(self) -> Tensor:
        """Make the four lattices `(4, G, G, G)` of `physics.gradient_lattices`: of the map and of its derivatives."""

    def state_dict(self) -> dict[str, Any]:
        """Return all that `load_state_dict` needs to go on from here."""

    def load_state_dict(self, state: Mapping[str, Any], /) -> Any:
        """Take over a state of a volume of the same box and padding."""
