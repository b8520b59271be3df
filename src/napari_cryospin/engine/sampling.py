"""Poses from the grid posterior: coarse and wide while the volume is poor, finer as the band grows.

Where particles are off centre, shifts are first looked for in their whole range with few shells and coarse poses; then,
with the fine grid, about what was found there and about the stored shift. Every visit of a particle is that wide: it
would else stay for good with a wrong pose and shift that it settled at early, when the volume was poor.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from napari_cryospin.engine.fit import Batch, Fit
from napari_cryospin.engine.pose_posterior import (
    Templates,
    entropy,
    log_likelihoods,
    make_templates,
    sample,
    shift_grid,
)
from napari_cryospin.geometry.so3 import random_rotations
from napari_cryospin.geometry.so3_grid import grid_rotations
from napari_cryospin.physics.fourier import band_size
from napari_cryospin.physics.slicing import shift_phases

COARSE_BAND = 6
"""Up to this many shells the coarse grid resolves all there is to see, and shifts are tried in their whole range."""
CPU_CHUNK, CHUNK = 2**21, 2**27
"""Log-likelihoods held at a time: on a CPU, what fits into its cache is several times faster."""

CERTAIN, RESTING = 0.1, 0.75
"""Entropy, nats, below which a particle's pose counts as certain, and the share of such that is not looked at again."""


@lru_cache(maxsize=4)
def pose_grid(nside: int, in_plane: int) -> Tensor:
    """`(k, 3, 3)` grid on SO(3)."""
    return grid_rotations(nside, in_plane).reshape(-1, 3, 3)


def grid_for(band: int) -> tuple[int, int]:
    """HEALPix nside and number of in-plane angles that a band asks for."""
    return (2, 12) if band <= COARSE_BAND else (4, 24)


def shift_step(fit: Fit, band: int) -> float:
    """Distance of neighbouring trial shifts that a band asks for, Angstrom."""
    return fit.images.extent / (4 * band)


def trial_shifts(fit: Fit, band: int) -> tuple[Tensor, bool]:
    """`(t, 2)` shifts to try, Angstrom, and whether they are about the stored shift (or about zero)."""
    step = shift_step(fit, band)
    if band <= COARSE_BAND:
        return shift_grid(fit.max_shift, step, fit.device), False
    return shift_grid(1.5 * step, step, fit.device), True


class PoseSearch:
    """The whole grid of poses and shifts under the present volume: to draw poses from, or to find the best.

    Parameters
    ----------
    fit : Fit
    turn : Tensor, optional
        `(3, 3)` rotation of the whole grid.
    band : int, optional
        Shells that are compared. Default: the fit's.
    """

    def __init__(self, fit: Fit, turn: Tensor | None = None, band: int | None = None) -> None:
        self.fit, self.band = fit, band or fit.band
        self.fine = self._templates(self.band, turn)
        two_stages = fit.max_shift > 0 and self.band > COARSE_BAND
        self.coarse = self._templates(COARSE_BAND, turn) if two_stages else None

    def _templates(self, band: int, turn: Tensor | None) -> Templates:
        fit = self.fit
        rotations = pose_grid(*grid_for(band))
        rotations = (rotations if turn is None else rotations @ turn).to(fit.device)
        points = fit.projector.points[: band_size(fit.images.points, band)]
        return make_templates(fit.volume.hartley(band), rotations, points, fit.projector.padding, band=band)

    def best(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Most probable pose of each particle: `(b, 3, 3)` and `(b, 2)` Angstrom.

        The entropy of the posterior over rotations is noted in `fit.entropy`, as it is where a pose is drawn.
        """
        return self._look(batch, draw=False)

    def draw(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """One pose of each particle, drawn from its posterior: `(b, 3, 3)` and `(b, 2)` Angstrom."""
        return self._look(batch, draw=True)

    def _look(self, batch: Batch, draw: bool) -> tuple[Tensor, Tensor]:
        fit = self.fit
        if not fit.max_shift:
            return self._scan(self.fine, batch, torch.zeros(len(batch.rows), 1, 2, device=fit.device), draw)
        wide = trial_shifts(fit, min(self.band, COARSE_BAND))[0].expand(len(batch.rows), -1, -1)
        if self.coarse is None:
            return self._scan(self.fine, batch, wide, draw)
        _, found = self._scan(self.coarse, batch.inner(len(self.coarse.points)), wide, draw)
        return self._look_about(found, batch, draw)

    def _look_about(self, found: Tensor, batch: Batch, draw: bool) -> tuple[Tensor, Tensor]:
        """Fine scan about the stored shifts and, where they are apart from these, about `(b, 2)` others."""
        fit = self.fit
        stored = fit.poses.shifts[batch.rows.to(fit.device)]
        apart = ((stored - found).norm(dim=-1) > 1.5 * shift_step(fit, COARSE_BAND)).cpu()
        near, far = (~apart).nonzero()[:, 0], apart.nonzero()[:, 0]
        local, _ = trial_shifts(fit, self.band)
        parts = []
        both = torch.stack((stored, found), 1)
        for rows, centres in ((near, both[near, :1]), (far, both[far])):
            if len(rows):
                shifts = (centres[:, :, None] + local).flatten(1, 2)
                parts.append(self._scan(self.fine, batch.part(rows), shifts, draw))
        order = torch.cat((near, far)).argsort()
        rotations, shifts = (torch.cat(column)[order] for column in zip(*parts, strict=True))
        return rotations, shifts

    def _scan(self, templates: Templates, batch: Batch, shifts: Tensor, draw: bool) -> tuple[Tensor, Tensor]:
        """Rotations and shifts of the particles, from all poses of a grid and `(b, t, 2)` shifts; entropies noted."""
        held = CPU_CHUNK if self.fit.device.type == "cpu" else CHUNK
        size = max(1, held // (shifts.shape[1] * len(templates.rotations)))
        found = []
        for start in range(0, len(batch.rows), size):
            part, moves = batch.part(slice(start, start + size)), shifts[start : start + size]
            phases = shift_phases(moves, batch.points, self.fit.images.extent) if self.fit.max_shift else None
            values = log_likelihoods(templates, part.images, part.ctf, part.weights, phases)  # (c, t, k)
            over_poses, index = _log_sum_exp(values), torch.arange(len(values), device=values.device)
            pose, move = _drawn(values, over_poses, self.fit.generator) if draw else _most_probable(values)
            self.fit.entropy[part.rows] = entropy(over_poses).cpu()
            found.append((templates.rotations[pose], moves[index, move]))
        rotations, moves = (torch.cat(column) for column in zip(*found, strict=True))
        return rotations, moves


def _drawn(values: Tensor, over_poses: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Index of a pose and of a shift for each particle: a pose is drawn from `(c, k)`, then a shift of `(c, t, k)`."""
    pose = sample(over_poses, generator)
    return pose, sample(values[torch.arange(len(pose), device=pose.device), :, pose], generator)


def _most_probable(values: Tensor) -> tuple[Tensor, Tensor]:
    best, count = values.flatten(1).argmax(-1), values.shape[-1]
    return best % count, best // count


def _log_sum_exp(values: Tensor) -> Tensor:
    """`(c, k)` sum over the shifts of `(c, t, k)` logarithms."""
    most = values.amax(1, keepdim=True)
    # On a CPU, the exponential is several times slower where it comes to almost nothing.
    return (values - most).clamp_(min=-80).exp_().sum(1).log_().add_(most[:, 0])


def sample_poses(fit: Fit, batch: Batch) -> tuple[Tensor, Tensor]:
    """One pose of each particle, `(b, 3, 3)` and `(b, 2)` Angstrom, drawn from its posterior on a turned grid.

    Once the band is as far as it goes in this stage, most of the particles whose poses are certain keep what they have.
    """
    rows, index = batch.rows, torch.arange(len(batch.rows))
    rests = torch.zeros(len(rows), dtype=torch.bool)
    if fit.band == fit.encoding_band:
        rests = (fit.entropy[rows] < CERTAIN) & (torch.rand(len(rows), generator=fit.generator) < RESTING)
    where = rows.to(fit.device)
    rotations, shifts = fit.poses.rotations[where].clone(), fit.poses.shifts[where].clone()
    looked_at = index[~rests]
    if len(looked_at):
        turn = random_rotations(1, fit.generator)[0]  # so that no pose is out of reach for good
        rotations[looked_at], shifts[looked_at] = PoseSearch(fit, turn).draw(batch.part(looked_at))
    return rotations, shifts
