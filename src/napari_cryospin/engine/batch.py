"""A batch of images, as the steps of the engine use them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Images of some particles, limited to a band, on the device.

    Attributes
    ----------
    rows : Tensor
        `(b,)` positions of the particles in the fit, on the CPU.
    images : Tensor
        `(b, p)` complex coefficients.
    ctf : Tensor
        `(b, p)`.
    points : Tensor
        `(p, 2)` half-plane points, innermost first.
    weights : Tensor
        `(b, p)` inverse noise variance of each coefficient.
    extent : float
        Side of the box, Angstrom.
    """

    rows: Tensor
    images: Tensor
    ctf: Tensor
    points: Tensor
    weights: Tensor
    extent: float

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def where(self) -> Tensor:
        """Rows `(b,)` on the images' device, to index tensors there."""
        return self.rows.to(self.images.device)

    def part(self, chosen: slice | Tensor) -> Batch:
        """Take some of the images: a slice, or positions `(k,)` on the CPU."""
        where = chosen if isinstance(chosen, slice) else chosen.to(self.images.device)
        return replace(
            self, rows=self.rows[chosen], images=self.images[where], ctf=self.ctf[where], weights=self.weights[where]
        )

    def inner(self, count: int) -> Batch:
        """Take the first `count` points of all images."""
        return replace(
            self,
            images=self.images[:, :count],
            ctf=self.ctf[:, :count],
            points=self.points[:count],
            weights=self.weights[:, :count],
        )
