"""A pose search from coarse to fine, as in cryoSPARC (Punjani et al. 2017) and cryoDRGN2 (Zhong et al. 2021).

All poses of a coarse grid are compared with few shells. The best few cells of each particle are divided into eight of
half the width, which are compared with more shells; and so on, until cells are narrower than the band resolves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from napari_cryospin.engine.batch import Batch
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.pose_posterior import shift_grid, shift_step
from napari_cryospin.engine.proposers import Proposal, Proposer
from napari_cryospin.engine.sampling import COARSE_GRID_BAND, PoseSearch, grid_size
from napari_cryospin.engine.subdivision import own_log_likelihoods
from napari_cryospin.geometry.subdivided_grid import CHILDREN, subdivided
from napari_cryospin.geometry.symmetry import NO_SYMMETRY, PointGroup
from napari_cryospin.models.volume import Volume
from napari_cryospin.physics.fourier import band_size

KEPT_CELLS = 8
"""Cells of each particle that are divided at a level; chosen by hand."""
FINER_LEVELS = 2
"""Levels beyond the one that resolves the band: cells are then a quarter as wide as they need to be, and the error of a
pose is about a third of such a cell."""


class Level(NamedTuple):
    """A level of the search: cells of a grid, to be divided into eight each, and shells with which these compare."""

    nside: int
    in_plane: int
    band: int


class HierarchicalSearch(Proposer):
    """The best pose of a search from coarse to fine, under the volume as it is when a batch is looked at."""

    def __init__(self, fit: Fit[Volume]) -> None:
        self.fit = fit

    @torch.no_grad()
    def propose(self, batch: Batch) -> Proposal:
        """Search the best pose of each particle."""
        found = PoseSearch(self.fit, band=min(self.fit.band.now, COARSE_GRID_BAND)).best_cells(batch, KEPT_CELLS)
        rotations, shifts = found.rotations, found.shifts
        for level in levels(self.fit.band.now, self.fit.symmetry):
            rotations, shifts = self._divide(level, batch, rotations, shifts)
        return Proposal.single(rotations[:, 0], shifts[:, 0])

    def _divide(self, level: Level, batch: Batch, rotations: Tensor, shifts: Tensor) -> tuple[Tensor, Tensor]:
        """Divide cells `(b, m, 3, 3)` with shifts `(b, m, 2)`, and return the best of the children, the best first."""
        fit, count = self.fit, rotations.shape[1]
        batch = batch.inner(band_size(fit.images.points, level.band))
        children = subdivided(rotations.flatten(0, 1), level.nside, level.in_plane).to(fit.device)
        children = children.unflatten(0, (-1, count)).flatten(1, 2)  # (b, 8 m, 3, 3)
        slices = fit.volume.slices(children, batch.points, level.band)
        moves = shifts[:, :, None] + self._moves(level.band)  # (b, m, t, 2)
        phases = fit.shift_range.phases(moves.flatten(1, 2), batch.points, batch.extent)
        values = own_log_likelihoods(torch.cat((slices.real, slices.imag), -1), batch, phases)  # (b, m t, 8 m)
        if fit.shift_range.looked_for:
            values = _with_their_parents(values, count)
        best, move = values.max(1)
        chosen = best.topk(KEPT_CELLS, dim=-1).indices
        rows = torch.arange(len(children), device=fit.device)[:, None]
        moved = moves[rows, chosen // CHILDREN, move[rows, chosen]]
        return children[rows, chosen], moved.clamp(-fit.shift_range.largest, fit.shift_range.largest)

    def _moves(self, band: int) -> Tensor:
        """Return the changes of a cell's shift to try, `(t, 2)` Angstrom."""
        if not self.fit.shift_range.looked_for:
            return torch.zeros(1, 2, device=self.fit.device)
        step = shift_step(self.fit.images.extent, band)
        return shift_grid(1.5 * step, step, self.fit.device)


def _with_their_parents(values: Tensor, cells: int) -> Tensor:
    """Take from `(b, m t, 8 m)` values those at the shifts of a child's own cell: `(b, t, 8 m)`."""
    parts = values.unflatten(1, (cells, -1)).unflatten(-1, (cells, CHILDREN))  # (b, m, t, m, 8)
    return parts.diagonal(dim1=1, dim2=3).movedim(-1, 2).flatten(2)


def levels(band: int, group: PointGroup = NO_SYMMETRY) -> Iterator[Level]:
    """List the levels at which cells are divided, for a band in shells and a point group."""
    nside, in_plane = grid_size(COARSE_GRID_BAND, group)
    resolved, further = COARSE_GRID_BAND, FINER_LEVELS
    while resolved < band or further:
        further -= resolved >= band
        resolved *= 2
        yield Level(nside, in_plane, min(band, resolved))
        nside, in_plane = 2 * nside, 2 * in_plane
