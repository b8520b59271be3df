"""Other modes of uncertain particles, tried again once finer shells can tell them apart.

At the band of the switch, an image may fit several distant poses nearly equally well, and its particle then sits in one
of them. Finer shells decide between these poses, but refinement never leaves a mode. So each time that the band has
grown, the modes of the grid posterior at the band of the switch are refined at the present band and compared with the
particle's own pose. Only particles are looked at whose posterior was not certain, or whose signal is weak at their
pose, so that clean particles cost nothing. Where all are in doubt, the modes with the largest weight are refined, no
more of them than there are particles, so that this takes about as long as an epoch's refinement.

Modes are searched over all shifts that the particles of the stack have (`engine.shift_prior`), and how usual its shift
is counts for a pose. Of the wrong poses of images with little signal, most have a shift far beyond all others: on the
spliceosome of docs/method.md (Other modes), half of them were more than 30 A off, where the shifts' spread is 8 A.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from napari_cryospin.engine.batch import Batch
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.losses import take
from napari_cryospin.engine.pose_posterior import shift_step
from napari_cryospin.engine.pose_steps import GaussNewtonPoses
from napari_cryospin.engine.proposers import CERTAIN_ENTROPY
from napari_cryospin.engine.sampling import PoseSearch
from napari_cryospin.engine.shift_prior import ShiftPrior
from napari_cryospin.engine.subdivision import UNDIVIDED_BAND
from napari_cryospin.engine.volume_steps import WienerStep
from napari_cryospin.geometry.so3 import random_rotations
from napari_cryospin.models.wiener_volume import WienerVolume
from napari_cryospin.physics.fourier import band_size

MODES_TRIED = 6
"""Number of modes that are looked at for each particle in doubt."""
MODES_A_PARTICLE = 1.0
"""Largest number of modes that are refined, over the number of particles in the fit: an epoch refines as many poses."""
MODES_BATCH = 200
"""Particles at a time."""
SMALL_SCALE = 0.75
"""Scale of a particle, as a share of the median, below which its pose is in doubt (docs/method.md, other modes)."""
COARSE_BANDS, COARSE_STEPS = (14, 20), 6
"""Bands, shells, at which a mode is refined before it is at the present one, and evaluations of the model at each. A
pose of the grid lies up to 10 degrees from the best one of its mode: too far to come there with all shells at once
(docs/method.md, other modes)."""


class Modes(NamedTuple):
    """Modes of some particles, the most probable first."""

    rotations: Tensor  # (u, m, 3, 3)
    shifts: Tensor  # (u, m, 2) Angstrom
    weight: Tensor  # (u, m) share of the particle's probability; -1 where the first mode is repeated


@torch.no_grad()
def try_other_modes(fit: Fit[WienerVolume], step: WienerStep, poses: GaussNewtonPoses) -> float:
    """Refine modes of uncertain particles at the present band, and store those that explain the image better.

    The volume is made anew where any pose changed. Of a view (`engine.classes`), only the particles of its class are
    looked at.

    Returns
    -------
    float
        Particles whose pose changed, over all of the fit.
    """
    members = fit.members
    uncertain = members[in_doubt(fit.particles.entropy[members], fit.particles.scale.cpu()[members])]
    if not len(uncertain):
        return 0.0
    fit.volume.solve()
    prior = ShiftPrior.of(fit)
    modes = find_modes(fit, uncertain, prior)
    chosen = heaviest(modes.weight, int(MODES_A_PARTICLE * len(members)))
    lattices, changed = fit.volume.gradient_lattices(), 0
    for part in chosen.any(1).nonzero()[:, 0].split(MODES_BATCH):
        batch = fit.batch(uncertain[part.cpu()])
        tried = [poses.refine(lattices, batch, *fit.poses(batch), steps=1)]
        tried += [
            _refined(poses, lattices, batch, modes.rotations[part, mode], modes.shifts[part, mode], chosen[part, mode])
            for mode in range(MODES_TRIED)
        ]
        rotations, shifts, errors = (torch.stack(column, dim=1) for column in zip(*tried, strict=True))
        best: Tensor = (errors - prior.log_density(shifts)).argmin(1)
        moved = (best > 0).nonzero()[:, 0]
        fit.particles.record_poses(batch.where[moved], take(rotations, best)[moved], take(shifts, best)[moved])
        changed += len(moved)
    if changed:
        step.remake()
    return changed / len(fit)


def in_doubt(entropy: Tensor, scale: Tensor) -> Tensor:
    """Choose the particles `(n,)` whose pose may be wrong: of uncertain posterior, or of a small scale for their fit.

    At a wrong pose the map explains little of an image, whose scale is small then, however sure the search was.
    """
    return ~(entropy <= CERTAIN_ENTROPY) | (scale < SMALL_SCALE * scale.median())


def find_modes(fit: Fit[WienerVolume], rows: Tensor, prior: ShiftPrior) -> Modes:
    """Find the modes of the grid posteriors of the particles `rows` `(u,)`, at the band of the switch.

    Each call turns the grid at random, so that a mode that lies between the poses of one grid is found with another.
    """
    band = min(fit.band.now, fit.band.encoding, UNDIVIDED_BAND)
    search, found = PoseSearch(fit, random_rotations(1, fit.generator)[0], band), []
    trials = prior.trial_shifts(shift_step(fit.images.extent, band), fit.device)
    for part in rows.split(MODES_BATCH):
        batch = fit.batch(part, band)
        rotations, shifts, _ = search.modes(batch, MODES_TRIED, trials, prior.log_density(trials))
        repeated = (rotations[:, 1:] == rotations[:, :1]).flatten(2).all(2)
        errors = fit.errors(batch, fit.project(batch, rotations, shifts)) - prior.log_density(shifts)
        errors[:, 1:].masked_fill_(repeated, torch.inf)
        found.append((rotations, shifts, (-errors).softmax(-1).masked_fill(errors.isinf(), -1.0)))
    return Modes(*(torch.cat(column) for column in zip(*found, strict=True)))


def heaviest(weight: Tensor, most: int) -> Tensor:
    """Choose the modes `(u, m)` to refine: all whose weight is not below 0, or the `most` largest weights."""
    chosen = weight >= 0
    if int(chosen.sum()) <= most:
        return chosen
    index = weight.flatten().topk(most).indices
    return torch.zeros_like(chosen).flatten().index_fill_(0, index, True).view_as(chosen)


def _refined(
    poses: GaussNewtonPoses, lattices: Tensor, batch: Batch, found: Tensor, moves: Tensor, chosen: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Refine one mode `(b, 3, 3)`, `(b, 2)` of the chosen particles `(b,)`, with few shells first, then with all.

    The errors of the others are infinite.
    """
    rotations, shifts = found.clone(), moves.clone()
    errors = torch.full((len(batch),), torch.inf, device=found.device)
    alive = chosen.nonzero()[:, 0]
    if not len(alive):
        return rotations, shifts, errors
    part, turned, moved = batch.part(alive.cpu()), rotations[alive], shifts[alive]
    sizes = [band_size(poses.fit.images.points, band) for band in COARSE_BANDS]
    for size in (size for size in sizes if size < len(part.points)):
        turned, moved, _ = poses.refine(lattices, part.inner(size), turned, moved, steps=COARSE_STEPS)
    rotations[alive], shifts[alive], errors[alive] = poses.refine(lattices, part, turned, moved)
    return rotations, shifts, errors
