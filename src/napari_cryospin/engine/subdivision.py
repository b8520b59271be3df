"""The likely cells of the pose grid, divided: a finer grid for more shells, at a cost that stays bounded.

A grid of 15 degrees resolves 11 shells. With more, all cells are still compared with 11 shells; those that hold nearly
all of a particle's probability are divided into eight cells of 7.5 degrees each, which are compared with all shells.
"""

from __future__ import annotations

import torch
from torch import Tensor

from napari_cryospin.engine.batch import Batch
from napari_cryospin.geometry.subdivided_grid import CHILDREN
from napari_cryospin.physics.slicing import central_slices

UNDIVIDED_BAND, DIVIDED_BAND = 11, 22
"""Largest numbers of shells that the grid of 15 degrees resolves, and the one of 7.5 degrees."""
LIKELY_SHARE = 0.999
"""Share of a particle's probability that its divided cells hold together (RELION's adaptive fraction)."""
FEWEST_CELLS, MOST_CELLS = 16, 64
"""Smallest and largest number of cells that are divided for a particle; chosen by hand."""
HELD_VALUES = 2**22
"""Number of slices' values held at a time; chosen by hand."""


def likely_cells(over_shifts: Tensor) -> tuple[Tensor, Tensor]:
    """Find the cells that hold nearly all of the probability.

    Parameters
    ----------
    over_shifts : Tensor
        `(b, k)` logarithms of the probabilities of cells, up to a constant of the particle.

    Returns
    -------
    cells : Tensor
        `(b, m)` most probable cells, the best first.
    needed : Tensor
        `(b,)` number of them to divide, `FEWEST_CELLS` to `MOST_CELLS`.
    """
    best = over_shifts.log_softmax(-1).topk(min(MOST_CELLS, over_shifts.shape[-1]))
    needed = (best.values.exp().cumsum(-1) < LIKELY_SHARE).sum(-1) + 1
    return best.indices, needed.clamp(FEWEST_CELLS, best.indices.shape[-1])


class DividedCells:
    """Slices of a volume at the poses that divide the cells of a grid, made when they are first asked for.

    Parameters
    ----------
    lattice : Tensor
        `(G, G, G)` of the volume.
    rotations : Tensor
        `(k, 8, 3, 3)` poses that divide each cell.
    points : Tensor
        `(p, 2)` half-plane points that are compared.
    padding : int
        Oversampling of the lattice.
    """

    def __init__(self, lattice: Tensor, rotations: Tensor, points: Tensor, padding: int) -> None:
        self.lattice, self.rotations, self.points, self.padding = lattice, rotations, points, padding
        self.slices = lattice.new_empty(len(rotations), CHILDREN, 2 * len(points))
        self.made = torch.zeros(len(rotations), dtype=torch.bool, device=lattice.device)

    def prepare(self, cells: Tensor) -> None:
        """Make the slices of some cells, where they are not made yet."""
        wanted = torch.zeros_like(self.made)
        wanted[cells.flatten()] = True
        for part in (wanted & ~self.made).nonzero()[:, 0].split(max(1, HELD_VALUES // (CHILDREN * len(self.points)))):
            made = central_slices(self.lattice, self.rotations[part].flatten(0, 1), self.points, self.padding)
            self.slices[part] = torch.cat((made.real, made.imag), -1).unflatten(0, (-1, CHILDREN))
        self.made |= wanted

    def particles_at_a_time(self, cells: int) -> int:
        """Return for how many particles with that many cells the slices are held at a time."""
        return max(1, HELD_VALUES // (cells * CHILDREN * 2 * len(self.points)))

    def log_likelihoods(self, batch: Batch, cells: Tensor, phases: Tensor | None) -> Tensor:
        """Compute the log-likelihood of each image at the poses of its own cells, up to a constant of the image.

        Parameters
        ----------
        batch : Batch
            `b` images with `p` points each.
        cells : Tensor
            `(b, m)`, whose slices are prepared.
        phases : Tensor, optional
            `(b, t, p)` phase ramps of the shifts to try.

        Returns
        -------
        Tensor
            `(b, t, 8 m)` nats; `t` is 1 without phases.
        """
        return own_log_likelihoods(self.slices[cells].flatten(1, 2), batch, phases)


def own_log_likelihoods(slices: Tensor, batch: Batch, phases: Tensor | None) -> Tensor:
    """Compute the log-likelihood of each image at slices of its own, up to a constant of the image.

    Parameters
    ----------
    slices : Tensor
        `(b, k, 2 p)` real parts, then imaginary parts; they are written to.
    batch : Batch
        `b` images with `p` points each.
    phases : Tensor, optional
        `(b, t, p)` phase ramps of the shifts to try.

    Returns
    -------
    Tensor
        `(b, t, k)` nats; `t` is 1 without phases.
    """
    weighted = batch.images * (2 * batch.weights * batch.ctf)
    moved = weighted[:, None] if phases is None else weighted[:, None] * phases.conj()
    values = torch.cat((moved.real, moved.imag), -1) @ slices.mT
    weights = batch.ctf.square() * batch.weights
    return values - (slices.square_() @ torch.cat((weights, weights), -1)[..., None]).mT
