"""Other modes of uncertain particles, tried again once finer shells can tell them apart.

At the band of the switch, an image may fit several distant poses nearly equally well, and its particle then sits in one
of them. Finer shells decide between these poses, but refinement never leaves a mode. So each time that the band has
grown, the modes of the grid posterior at the band of the switch are refined at the present band and compared with the
particle's own pose. Only particles whose posterior was not certain are looked at, so that clean particles cost nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from napari_cryospin.engine.batch import Batch
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.losses import take
from napari_cryospin.engine.pose_steps import GaussNewtonPoses
from napari_cryospin.engine.proposers import CERTAIN_ENTROPY
from napari_cryospin.engine.sampling import PoseSearch
from napari_cryospin.engine.volume_steps import WienerStep
from napari_cryospin.models.wiener_volume import WienerVolume

MODES_TRIED = 6
"""Number of modes that are refined for each uncertain particle; each costs as much as an epoch's refinement of it."""
MODES_BATCH = 200
"""Particles at a time."""


@torch.no_grad()
def try_other_modes(fit: Fit[WienerVolume], step: WienerStep, poses: GaussNewtonPoses) -> float:
    """Refine the modes of all uncertain particles at the present band, and store those that explain the image better.

    The volume is made anew where any pose changed.

    Returns
    -------
    float
        Share of particles whose pose changed.
    """
    uncertain = (~(fit.particles.entropy <= CERTAIN_ENTROPY)).nonzero()[:, 0]
    if not len(uncertain):
        return 0.0
    fit.volume.solve()
    band = min(fit.band.now, fit.band.encoding)
    search, lattices, changed = PoseSearch(fit, band=band), fit.volume.gradient_lattices(), 0
    for rows in uncertain.split(MODES_BATCH):
        found, moves, _ = search.modes(fit.batch(rows, band), MODES_TRIED)
        batch = fit.batch(rows)
        tried = [poses.refine(lattices, batch, *fit.poses(batch), steps=1)]
        tried += [_refined(poses, lattices, batch, found, moves, mode) for mode in range(MODES_TRIED)]
        rotations, shifts, errors = (torch.stack(column, dim=1) for column in zip(*tried, strict=True))
        best: Tensor = errors.argmin(1)
        moved = (best > 0).nonzero()[:, 0]
        fit.particles.record_poses(batch.where[moved], take(rotations, best)[moved], take(shifts, best)[moved])
        changed += len(moved)
    if changed:
        step.remake()
    return changed / len(fit)


def _refined(
    poses: GaussNewtonPoses, lattices: Tensor, batch: Batch, found: Tensor, moves: Tensor, mode: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Refine one of the modes `(b, m, 3, 3)`, `(b, m, 2)`; where the first is repeated, its error is infinite."""
    rotations, shifts = found[:, mode].clone(), moves[:, mode].clone()
    errors = torch.full((len(batch),), torch.inf, device=found.device)
    alive = torch.arange(len(batch), device=found.device)
    if mode:
        alive = (found[:, mode] != found[:, 0]).flatten(1).any(1).nonzero()[:, 0]
    if len(alive):
        refined = poses.refine(lattices, batch.part(alive.cpu()), rotations[alive], shifts[alive])
        rotations[alive], shifts[alive], errors[alive] = refined
    return rotations, shifts, errors
