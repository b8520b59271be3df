"""Poses drawn from the grid posterior: coarse and wide while the volume is poor, finer and nearer as the band grows."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from napari_cryospin.inference.fit import Batch, Fit
from napari_cryospin.inference.pose_posterior import entropy, log_likelihoods, make_templates, sample, shift_grid
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


def search_poses(fit: Fit, batch: Batch, hartley: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Most probable pose of each particle on the grid: `(b, 3, 3)` and `(b, 2)`; shifts about the stored ones."""
    lattice = fit.volume.hartley(fit.band) if hartley is None else hartley
    rotations = pose_grid(*grid_for(fit.band)).to(fit.device)
    templates = make_templates(lattice, rotations, batch.points, fit.projector.padding)
    shifts, phases = torch.zeros(len(batch.rows), 1, 2, device=fit.device), None
    if fit.max_shift:
        step = fit.images.extent / (4 * fit.band)
        shifts = fit.poses.shifts[batch.rows.to(fit.device), None] + shift_grid(1.5 * step, step, fit.device)
        phases = shift_phases(shifts, batch.points, fit.images.extent)
    values = log_likelihoods(templates, batch.images, batch.ctf, batch.weights, phases).flatten(1)
    best = values.argmax(-1)
    index = torch.arange(len(best), device=fit.device)
    return rotations[best % len(rotations)], shifts[index, best // len(rotations)]
