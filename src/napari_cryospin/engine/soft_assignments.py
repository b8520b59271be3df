"""Soft assignments: each image is inserted at all poses of the grid, by its posterior probability of each.

For every pose of the grid, the images of a batch are summed up first, moved back by every shift and weighted by their
probabilities, and so are their squared CTFs. That is two matrix products for a block of images, and one insertion a
pose instead of one an image (Scheres, J. Mol. Biol. 415, 406 (2012)). Where the grid is divided, each
image has poses of its own, and those that hold nearly all of its probability are inserted one by one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from napari_cryospin.engine.batch import Batch
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.grid_posterior import GridPosterior
from napari_cryospin.engine.subdivision import LIKELY_SHARE
from napari_cryospin.models.wiener_volume import WienerVolume

LEAST_IMAGES = 1e-6
"""Images, as the sum of their probabilities, with fewer than which a pose is not inserted: what rounding leaves."""


class SoftInsertion:
    """Insertion of one batch of images at all poses of a grid.

    Parameters
    ----------
    fit : Fit
    volume : WienerVolume
        Volume whose sums the images are added to.
    batch : Batch
        Images; they may have more shells than were compared.
    values, weights : Tensor
        `(b, p)` images and their weights, as they would be inserted at one pose, without shifts.
    """

    def __init__(self, fit: Fit, volume: WienerVolume, batch: Batch, values: Tensor, weights: Tensor) -> None:
        self.fit, self.volume, self.batch, self.weights = fit, volume, batch, weights
        self.values = values
        self.folds = fit.particles.folds[batch.where]
        self.rotations: Tensor | None = None

    def add(self, posterior: GridPosterior) -> None:
        """Add some of the images, by their posteriors."""
        where, probability = posterior.where.to(self.fit.device), posterior.probability()
        phases = self.fit.shift_range.phases(posterior.shifts, self.batch.points, self.batch.extent)
        moved = self.values[where, None] if phases is None else self.values[where, None] * phases.conj()
        images = torch.cat((moved.real, moved.imag), dim=-1)
        if posterior.rotations.dim() == 3:
            self._sum_up(posterior.rotations, probability, images, where)
        else:
            self._insert_each(posterior.rotations, probability, images, where)

    def _sum_up(self, rotations: Tensor, probability: Tensor, images: Tensor, where: Tensor) -> None:
        """Add images `(c, t, 2 p)` with probabilities `(c, t, k)` to the sums of each pose, in each fold."""
        if self.rotations is None:
            self.rotations = rotations
            points, poses = len(self.batch.points), len(rotations)
            self.sums = images.new_zeros(2, poses, 2 * points)
            self.powers, self.count = images.new_zeros(2, poses, points), images.new_zeros(2, poses)
        for fold in (0, 1):
            own = (self.folds[where] == fold).nonzero()[:, 0]
            over_shifts = probability[own].sum(1)
            self.sums[fold] += probability[own].flatten(0, 1).T @ images[own].flatten(0, 1)
            self.powers[fold] += over_shifts.T @ self.weights[where[own]]
            self.count[fold] += over_shifts.sum(0)

    def _insert_each(self, rotations: Tensor, probability: Tensor, images: Tensor, where: Tensor) -> None:
        """Insert images `(c, t, 2 p)` at the likely ones of their own poses `(c, k, 3, 3)`."""
        over_shifts = probability.sum(1)
        ordered, poses = over_shifts.sort(dim=-1, descending=True)
        likely = ordered.cumsum(-1) - ordered < LIKELY_SHARE
        image, place = likely.nonzero(as_tuple=True)
        pose = poses[image, place]
        whole = 1 / (ordered * likely).sum(-1)
        sums = (probability.mT @ images)[image, pose] * whole[image, None]
        weights = self.weights[where[image]] * (over_shifts[image, pose] * whole[image])[:, None]
        self._insert(rotations[image, pose], sums, weights, self.folds[where[image]])

    def finish(self) -> None:
        """Insert what was summed up."""
        if self.rotations is None:
            return
        for fold in (0, 1):
            seen = (self.count[fold] > LEAST_IMAGES).nonzero()[:, 0]
            folds = torch.full_like(seen, fold)
            self._insert(self.rotations[seen], self.sums[fold, seen], self.powers[fold, seen], folds)

    def _insert(self, rotations: Tensor, sums: Tensor, weights: Tensor, folds: Tensor) -> None:
        values = torch.complex(*sums.tensor_split(2, dim=-1))
        self.volume.insert(rotations, self.batch.points, values, weights, folds)
