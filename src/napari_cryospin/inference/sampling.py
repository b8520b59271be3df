"""Poses drawn from the grid posterior: coarse and wide while the volume is poor, finer and nearer as the band grows."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from napari_cryospin.inference.fit import Batch, Fit
from napari_cryospin.inference.pose_posterior import (
    Templates,
    entropy,
    log_likelihoods,
    make_templates,
    sample,
    shift_grid,
)
from napari_cryospin.physics.fourier import band_size
from napari_cryospin.physics.slicing import shift_phases
from napari_cryospin.physics.so3 import random_rotations
from napari_cryospin.physics.so3_grid import grid_rotations

COARSE_BAND = 7
"""Below this many shells the coarse grid resolves all there is to see, and shifts are tried in their whole range."""


@lru_cache(maxsize=4)
def pose_grid(nside: int, in_plane: int) -> Tensor:
    """`(k, 3, 3)` grid on SO(3)."""
    return grid_rotations(nside, in_plane).reshape(-1, 3, 3)


def grid_for(band: int) -> tuple[int, int]:
    """HEALPix nside and number of in-plane angles that a band asks for."""
    return (2, 12) if band < COARSE_BAND else (4, 24)


def trial_shifts(fit: Fit, band: int) -> tuple[Tensor, bool]:
    """`(t, 2)` shifts to try, Angstrom, and whether they are about the stored shift (or about zero)."""
    step = fit.images.extent / (4 * band)
    if band < COARSE_BAND:
        return shift_grid(fit.max_shift, step, fit.device), False
    return shift_grid(1.5 * step, step, fit.device), True


def sample_poses(fit: Fit, batch: Batch) -> tuple[Tensor, Tensor]:
    """One pose of each particle, drawn from its posterior on a randomly turned grid.

    The entropy of the posterior over rotations is noted in `fit.entropy`.

    Returns
    -------
    rotations : Tensor
        `(b, 3, 3)`.
    shifts : Tensor
        `(b, 2)` Angstrom.
    """
    turn = random_rotations(1, fit.generator)[0]  # so that no pose is out of reach for good
    rotations = (pose_grid(*grid_for(fit.band)) @ turn).to(fit.device)
    templates = make_templates(fit.volume.hartley(fit.band), rotations, batch.points, fit.projector.padding)
    shifts, phases = torch.zeros(len(batch.rows), 1, 2, device=fit.device), None
    if fit.max_shift:
        trial, about_stored = trial_shifts(fit, fit.band)
        stored = fit.poses.shifts[batch.rows.to(fit.device), None] if about_stored else shifts
        shifts = stored + trial
        phases = shift_phases(shifts, batch.points, fit.images.extent)
    values = log_likelihoods(templates, batch.images, batch.ctf, batch.weights, phases)  # (b, t, k)
    count = len(rotations)
    fit.entropy[batch.rows] = entropy(values.logsumexp(1)).cpu()
    drawn = sample(values.flatten(1), fit.generator)
    index = torch.arange(len(drawn), device=fit.device)
    return rotations[drawn % count], shifts[index, drawn // count]


class Search:
    """Search of the whole grid of poses under the present volume.

    Where particles are off centre, shifts are first looked for in their whole range with few shells and coarse poses;
    then, with the fine grid, about what was found there and about the stored shifts.
    """

    def __init__(self, fit: Fit) -> None:
        self.fit = fit
        self.fine = self._templates(fit.band)
        self.coarse = self._templates(min(fit.band, COARSE_BAND - 1)) if fit.max_shift else None

    def _templates(self, band: int) -> Templates:
        fit = self.fit
        rotations = pose_grid(*grid_for(band)).to(fit.device)
        points = fit.projector.points[: band_size(fit.images.points, band)]
        return make_templates(fit.volume.hartley(band), rotations, points, fit.projector.padding)

    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Most probable pose of each particle: `(b, 3, 3)` and `(b, 2)` Angstrom."""
        fit = self.fit
        shifts = torch.zeros(len(batch.rows), 1, 2, device=fit.device)
        if self.coarse is not None:
            count = len(self.coarse.points)
            part = Batch(
                rows=batch.rows,
                images=batch.images[:, :count],
                ctf=batch.ctf[:, :count],
                points=batch.points[:count],
                weights=batch.weights[:count],
            )
            wide = shift_grid(fit.max_shift, fit.images.extent / (4 * COARSE_BAND), fit.device)
            _, found = self._best(self.coarse, part, wide.expand(len(batch.rows), -1, -1))
            about = torch.stack((fit.poses.shifts[batch.rows.to(fit.device)], found), dim=1)
            step = fit.images.extent / (4 * fit.band)
            shifts = (about[:, :, None] + shift_grid(1.5 * step, step, fit.device)).flatten(1, 2)
        return self._best(self.fine, batch, shifts)

    def _best(self, templates: Templates, batch: Batch, shifts: Tensor) -> tuple[Tensor, Tensor]:
        phases = shift_phases(shifts, batch.points, self.fit.images.extent) if self.fit.max_shift else None
        values = log_likelihoods(templates, batch.images, batch.ctf, batch.weights, phases).flatten(1)
        best, count = values.argmax(-1), len(templates.rotations)
        index = torch.arange(len(best), device=best.device)
        return templates.rotations[best % count], shifts[index, best // count]
