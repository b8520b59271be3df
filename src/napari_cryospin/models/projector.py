"""The forward model: slice, CTF, shift (paper, Eq. 2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from napari_cryospin.physics.slicing import central_slices, shift_phases


@dataclass(frozen=True, kw_only=True)
class Projector:
    """Forward model at the half-plane points of a box.

    Attributes
    ----------
    points : Tensor
        `(points, 2)` half-plane points, innermost first.
    extent : float
        Side of the box, Angstrom.
    padding : int
        Oversampling of the volume's lattice.
    """

    points: Tensor
    extent: float
    padding: int

    def __call__(
        self, hartley: Tensor, rotations: Tensor, shifts: Tensor | None = None, ctf: Tensor | None = None
    ) -> Tensor:
        """Project a volume: make its noise-free images.

        Parameters
        ----------
        hartley : Tensor
            `(G, G, G)` lattice, which may be cropped to the band of the points.
        rotations : Tensor
            `(..., 3, 3)`.
        shifts : Tensor, optional
            `(..., 2)` Angstrom; None: centred.
        ctf : Tensor, optional
            `(..., p)` CTF at the first `p` points, to which the projection is limited; None: all points, without CTF.

        Returns
        -------
        Tensor
            `(..., p)` complex.
        """
        points = self.points if ctf is None else self.points[: ctf.shape[-1]]
        return self.images(central_slices(hartley, rotations, points, self.padding), shifts, ctf)

    def images(self, slices: Tensor, shifts: Tensor | None = None, ctf: Tensor | None = None) -> Tensor:
        """Make noise-free images `(..., p)` of slices at the first `p` points; shifts and CTF as above."""
        if shifts is not None:
            slices = slices * shift_phases(shifts, self.points[: slices.shape[-1]], self.extent)
        return slices if ctf is None else slices * ctf

    def to(self, device: torch.device) -> Projector:
        return Projector(points=self.points.to(device), extent=self.extent, padding=self.padding)
