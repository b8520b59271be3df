"""Poses from the grid posterior, on a grid that is coarse while the volume is poor, and finer as the band grows.

If particles are off centre, shifts are first searched in their whole range with few shells and coarse poses, and then,
with the fine grid, about the shift found there and about the stored one. Every visit of a particle is that wide:
otherwise a particle would keep a wrong pose and shift at which it settled early, when the volume was poor.

Only the state of the fit's generator changes here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from napari_cryospin.engine.batch import Batch
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.grid_posterior import (
    Choice,
    FoundPoses,
    GridPosterior,
    drawn,
    in_order,
    log_sum_exp,
    most_probable,
    separate_modes,
)
from napari_cryospin.engine.pose_posterior import (
    Templates,
    entropy,
    log_likelihoods,
    make_templates,
    shift_grid,
    shift_step,
)
from napari_cryospin.engine.subdivision import DIVIDED_BAND, UNDIVIDED_BAND, DividedCells, likely_cells
from napari_cryospin.geometry.so3_grid import grid_rotations
from napari_cryospin.geometry.subdivided_grid import CHILDREN, subdivided
from napari_cryospin.geometry.symmetry import NO_SYMMETRY, PointGroup
from napari_cryospin.models.volume import Volume
from napari_cryospin.physics.fourier import band_size
from napari_cryospin.physics.slicing import crop_lattice

COARSE_GRID_BAND = 6
"""Largest band, shells, that the coarse grid resolves, and with which shifts are tried in their whole range
(docs/method.md, off-centre particles)."""
CPU_HELD_LIKELIHOODS, HELD_LIKELIHOODS = 2**21, 2**27
"""Number of log-likelihoods held at a time. On a CPU, as many as fit into its cache are several times faster. Chosen by
hand."""
LIKELY_SHIFTS = 2
"""Number of shifts of each particle about which finer ones are tried where the grid is divided; chosen by hand."""
LOOKED_AHEAD = 32
"""Largest number of particles whose divided cells are compared at a time; chosen by hand."""

MODES_APART = 25.0
"""Least angle between two modes, degrees: more than one step of the fine grid, which is 15 degrees wide."""


@lru_cache(maxsize=4)
def pose_grid(nside: int, in_plane: int) -> Tensor:
    """Return a grid of rotations, `(k, 3, 3)`."""
    return grid_rotations(nside, in_plane).reshape(-1, 3, 3)


@lru_cache(maxsize=1)
def divided_pose_grid(nside: int, in_plane: int) -> Tensor:
    """Return the poses that divide each cell of a grid, `(k, 8, 3, 3)`."""
    return subdivided(pose_grid(nside, in_plane), nside, in_plane)


def unit_size(band: int, group: PointGroup) -> float:
    """Return the number of poses of the grid for a band that lie in one asymmetric unit."""
    nside, in_plane = grid_size(band, group)
    return 12 * nside**2 * in_plane / group.order


def grid_size(band: int, group: PointGroup = NO_SYMMETRY) -> tuple[int, int]:
    """Return the HEALPix nside and the number of in-plane angles of the grid for a band.

    The grid of a map without symmetry holds poses near all copies of a pose under whatever group the map will have. Of
    a symmetric map, one copy alone is looked at, so that the coarse grid is too coarse for it (docs/symmetry.md).
    """
    return (2, 12) if band <= COARSE_GRID_BAND and group.trivial else (4, 24)


def trial_shifts(fit: Fit, band: int) -> tuple[Tensor, bool]:
    """Return the shifts `(t, 2)` to try, Angstrom, and whether they are about the stored shift (or about zero)."""
    step = shift_step(fit.images.extent, band)
    if band <= COARSE_GRID_BAND:
        return shift_grid(fit.shift_range.largest, step, fit.device), False
    return shift_grid(1.5 * step, step, fit.device), True


class PoseSearch:
    """A search of the whole grid of poses and shifts under the present volume, for a drawn or for the best pose.

    Of a symmetric map's poses, only those of the asymmetric unit are looked at.

    Parameters
    ----------
    fit : Fit
    turn : Tensor, optional
        `(3, 3)` rotation by which the whole grid is turned. Default: none.
    band : int, optional
        Shells that are compared. Default: those of the fit.
    """

    def __init__(self, fit: Fit[Volume], turn: Tensor | None = None, band: int | None = None) -> None:
        self.fit, self.band = fit, min(band or fit.band.now, DIVIDED_BAND)
        self.fine = self._templates(min(self.band, UNDIVIDED_BAND), turn)
        self.divided = self._divided(turn) if self.band > UNDIVIDED_BAND else None
        two_stages = fit.shift_range.looked_for and self.band > COARSE_GRID_BAND
        self.coarse = self._templates(COARSE_GRID_BAND, turn) if two_stages else None

    def _grid(self, band: int, turn: Tensor | None) -> Tensor:
        rotations = pose_grid(*grid_size(band, self.fit.symmetry))
        return (rotations if turn is None else rotations @ turn).to(self.fit.device)

    def _templates(self, band: int, turn: Tensor | None) -> Templates:
        fit, rotations = self.fit, self._grid(band, turn)
        if not fit.symmetry.trivial:
            rotations = rotations[fit.symmetry.in_unit(rotations)]
        points = fit.projector.points[: band_size(fit.images.points, band)]
        return make_templates(fit.volume.hartley(band), rotations, points, fit.projector.padding, band=band)

    def _divided(self, turn: Tensor | None) -> DividedCells:
        fit = self.fit
        rotations = divided_pose_grid(*grid_size(self.band, fit.symmetry))
        rotations = (rotations if turn is None else rotations @ turn).to(fit.device)
        if not fit.symmetry.trivial:
            rotations = rotations[fit.symmetry.in_unit(self._grid(self.band, turn))]
        points = fit.projector.points[: band_size(fit.images.points, self.band)]
        lattice = crop_lattice(fit.volume.hartley(self.band), self.band, fit.projector.padding).contiguous()
        return DividedCells(lattice, rotations, points, fit.projector.padding)

    def best(self, batch: Batch) -> FoundPoses:
        """Find the most probable pose of each particle."""
        return self._look(batch, most_probable)

    def draw(self, batch: Batch) -> FoundPoses:
        """Draw a pose of each particle from its posterior."""
        return self._look(batch, lambda values, over_poses: drawn(values, over_poses, self.fit.generator))

    def modes(self, batch: Batch, number: int, shifts: Tensor, prior: Tensor) -> FoundPoses:
        """Find the most probable poses of each particle that lie apart from each other, with no regard to the stored.

        Parameters
        ----------
        batch : Batch
        number : int
            Largest number of modes.
        shifts, prior : Tensor
            `(t, 2)` shifts to try, Angstrom, and `(t,)` logarithms of their prior probabilities, nats.

        Returns
        -------
        FoundPoses
            Rotations `(b, number, 3, 3)` and shifts `(b, number, 2)`, the most probable first; entropy `(b,)`. Where
            there are fewer modes, the first one is repeated.
        """

        def choose(values: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
            weighted = values + prior[:, None]
            return separate_modes(weighted, log_sum_exp(weighted), self.apart, number)

        return self._scan(self.fine, batch, shifts.expand(len(batch), -1, -1), choose)

    def best_cells(self, batch: Batch, number: int) -> FoundPoses:
        """Find the most probable cells of the undivided grid, each with its best shift of the whole range.

        Returns
        -------
        FoundPoses
            Rotations `(b, number, 3, 3)` and shifts `(b, number, 2)`, the best first; entropy `(b,)`.
        """

        def choose(values: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
            best, move = values.max(1)
            cells = best.topk(number, dim=-1).indices
            return cells, move.gather(-1, cells)

        fit = self.fit
        shifts = torch.zeros(1, 2, device=fit.device)
        if fit.shift_range.looked_for:
            shifts = shift_grid(fit.shift_range.largest, shift_step(fit.images.extent, self.band), fit.device)
        return self._scan(self.fine, batch.inner(len(self.fine.points)), shifts.expand(len(batch), -1, -1), choose)

    @cached_property
    def apart(self) -> Tensor:
        """Whether two rotations of the fine grid are different modes, `(k, k)`."""
        flat = self.fine.rotations.flatten(1)
        return (flat @ flat.T - 1) / 2 < math.cos(math.radians(MODES_APART))

    def _look(self, batch: Batch, choose: Choice) -> FoundPoses:
        return in_order((part.where, part.chosen(choose)) for part in self.posteriors(batch, choose))

    def posteriors(self, batch: Batch, choose: Choice = most_probable) -> Iterator[GridPosterior]:
        """Yield the posteriors of all particles on the finest grid for the band, for some particles at a time.

        Parameters
        ----------
        batch : Batch
        choose : callable
            Choice of the coarse pose about whose shift finer ones are tried.
        """
        for own, shifts in self._shifts_to_try(batch, choose):
            part = batch.part(own)
            compared = self._posteriors(self.fine, part, shifts) if self.divided is None else self._cells(part, shifts)
            for posterior in compared:
                yield posterior._replace(where=own[posterior.where])

    def _shifts_to_try(self, batch: Batch, choose: Choice) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield positions in a batch, on the CPU, and the shifts `(b, t, 2)` to try there with the finest grid."""
        fit, everyone = self.fit, torch.arange(len(batch))
        if not fit.shift_range.looked_for:
            yield everyone, torch.zeros(len(batch), 1, 2, device=fit.device)
            return
        wide = trial_shifts(fit, min(self.band, COARSE_GRID_BAND))[0].expand(len(batch), -1, -1)
        if self.coarse is None:
            yield everyone, wide
            return
        found = self._scan(self.coarse, batch.inner(len(self.coarse.points)), wide, choose)
        yield from self._shifts_about(found.shifts, batch)

    def _shifts_about(self, found: Tensor, batch: Batch) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield shifts about the stored ones and, where they differ, about the found ones `(b, 2)`."""
        fit = self.fit
        _, stored = fit.poses(batch)
        apart = ((stored - found).norm(dim=-1) > 1.5 * shift_step(fit.images.extent, COARSE_GRID_BAND)).cpu()
        near, far = (~apart).nonzero()[:, 0], apart.nonzero()[:, 0]
        local, _ = trial_shifts(fit, min(self.band, UNDIVIDED_BAND))
        both = torch.stack((stored, found), 1)
        for rows, centres in ((near, both[near.to(fit.device), :1]), (far, both[far.to(fit.device)])):
            if len(rows):
                yield rows, (centres[:, :, None] + local).flatten(1, 2)

    def _cells(self, batch: Batch, shifts: Tensor) -> Iterator[GridPosterior]:
        """Yield posteriors over the poses that divide the likely cells, with shifts about likely ones `(b, t, 2)`."""
        assert self.divided is not None
        whole = self._compared(self.fine, batch.inner(len(self.fine.points)), shifts)
        found = [_likely(values, moves) for values, moves in whole]
        cells, needed, centres, undivided = (torch.cat(column) for column in zip(*found, strict=True))
        self.divided.prepare(cells[torch.arange(cells.shape[1], device=cells.device) < needed[:, None]])
        batch = batch.inner(len(self.divided.points))
        order, start = needed.argsort(), 0
        while start < len(order):
            most = int(needed[order[min(start + LOOKED_AHEAD, len(order)) - 1]])
            part = order[start : start + min(LOOKED_AHEAD, self.divided.particles_at_a_time(most))]
            posterior = self._divided_posterior(batch.part(part.cpu()), cells[part, :most], centres[part])
            # Where cells had to be left out, only the undivided grid knows how uncertain the particle is.
            certain = torch.where(needed[part] < cells.shape[1], posterior.entropy, undivided[part])
            yield posterior._replace(where=part.cpu(), entropy=certain)
            start += len(part)

    def _divided_posterior(self, batch: Batch, cells: Tensor, centres: Tensor) -> GridPosterior:
        """Compare the poses that divide the cells `(c, m)`, with shifts about the centres `(c, s, 2)`."""
        fit, divided = self.fit, self.divided
        assert divided is not None
        moves = centres
        if fit.shift_range.looked_for:
            moves = (centres[:, :, None] + trial_shifts(fit, self.band)[0]).flatten(1, 2)
        values = divided.log_likelihoods(batch, cells, fit.shift_range.phases(moves, batch.points, batch.extent))
        over_poses = log_sum_exp(values)
        over_cells = over_poses.unflatten(-1, (-1, CHILDREN)).logsumexp(-1)
        rotations = divided.rotations[cells].flatten(1, 2)
        return GridPosterior(torch.arange(len(cells)), rotations, moves, values, over_poses, entropy(over_cells))

    def _scan(self, templates: Templates, batch: Batch, shifts: Tensor, choose: Choice) -> FoundPoses:
        """Choose a pose of each particle, from all rotations of a grid and shifts `(b, t, 2)`."""
        return in_order((part.where, part.chosen(choose)) for part in self._posteriors(templates, batch, shifts))

    def _posteriors(self, templates: Templates, batch: Batch, shifts: Tensor) -> Iterator[GridPosterior]:
        """Yield posteriors over all rotations of a grid and shifts `(b, t, 2)`."""
        start = 0
        for values, moves in self._compared(templates, batch, shifts):
            where, over_poses = torch.arange(start, start + len(values)), log_sum_exp(values)
            yield GridPosterior(where, templates.rotations, moves, values, over_poses, entropy(over_poses))
            start += len(values)

    def _compared(self, templates: Templates, batch: Batch, shifts: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield log-likelihoods `(c, t, k)` at all rotations of a grid and shifts `(c, t, 2)`, and these shifts."""
        held = CPU_HELD_LIKELIHOODS if self.fit.device.type == "cpu" else HELD_LIKELIHOODS
        size = max(1, held // (shifts.shape[1] * len(templates.rotations)))
        for start in range(0, len(batch), size):
            part, moves = batch.part(slice(start, start + size)), shifts[start : start + size]
            phases = self.fit.shift_range.phases(moves, batch.points, batch.extent)
            yield log_likelihoods(templates, part.images, part.ctf, part.weights, phases), moves


def _likely(values: Tensor, moves: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the likely cells and their number, the likely shifts `(c, s, 2)`, and the entropy over all cells."""
    over_poses = log_sum_exp(values)
    cells, needed = likely_cells(over_poses)
    shifts = values.amax(-1).topk(min(LIKELY_SHIFTS, values.shape[1])).indices
    return cells, needed, moves[torch.arange(len(moves), device=moves.device)[:, None], shifts], entropy(over_poses)
