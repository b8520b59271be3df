"""The switch from auto-encoding to auto-decoding: when, and with which poses (paper, section 4.2)."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_cryospin.engine.auto_encoding import insert_images
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.losses import candidate_errors, take, with_candidate
from napari_cryospin.engine.near_symmetry import with_mates
from napari_cryospin.engine.pose_refinement import refine_poses
from napari_cryospin.engine.sampling import PoseSearch
from napari_cryospin.geometry.so3 import rotation_distance
from napari_cryospin.models.wiener_volume import WienerVolume

ENTROPY = 0.5
"""Median entropy of the particles' posteriors, nats, below which the poses count as certain."""
NEAR = 30.0
"""A head agrees with the posterior where its pose is nearer than this, degrees."""
AGREEMENT = 0.84
"""Share of particles whose nearest head must agree."""
PATIENCE, GAIN = 4, 0.02
"""The heads learn no more where so many epochs raised the share that agrees by no more than this."""
LOOKED_AT, LOOKED_BAND = 500, 11
"""Particles, and shells, that are looked at for the advice where the method itself computes no posterior."""
FAR = 15.0
"""A pose found by searching again counts as another one from this distance, degrees: the spacing of the grid."""


def agreement(fit: Fit, rows: Tensor, rotations: Tensor) -> float:
    """Share of particles one of whose heads lies near a pose, or near its mate under a near-symmetry of the map.

    Which of two mates a head proposes is not a matter of how much it has learned.

    Parameters
    ----------
    fit : Fit
    rows : Tensor
        `(b,)` particles, on the CPU.
    rotations : Tensor
        `(b, 3, 3)` their poses.
    """
    mates = with_mates(rotations, fit.near_symmetries).cpu()
    apart = rotation_distance(fit.candidates[rows, :, None], mates[:, None])
    return float((apart.amin((1, 2)) < NEAR).float().mean())


def advice(fit: Fit) -> tuple[bool, str]:
    """Whether the switch is advised now, and why; to be asked once at the end of an epoch, which it remembers."""
    if fit.band < fit.encoding_band:
        return False, f"not yet: {fit.band} of {fit.encoding_band} shells are looked at"
    rows, rotations = _looked_at(fit)
    median = float(fit.entropy[rows].median())
    text = f"posterior entropy {median:.2f} nats (median)"
    if not median <= ENTROPY:
        return False, f"not yet: poses are uncertain: {text}"
    if fit.encoder is None:
        return True, f"ready: {text}"
    fit.agreed.append(agreement(fit, rows, rotations))
    text += f"; the nearest head agrees for {100 * fit.agreed[-1]:.0f} % of particles"
    if fit.agreed[-1] >= AGREEMENT:
        return True, f"ready: {text}"
    if _stands_still(fit.agreed):
        return True, f"ready: the heads learn no more: {text}"
    return False, f"not yet: the heads still learn: {text}"


def _stands_still(agreed: list[float]) -> bool:
    """Whether the last epochs brought nothing, once the heads agree with half of the particles at all."""
    before, last = agreed[:-PATIENCE], agreed[-PATIENCE:]
    return bool(before) and max(before) > 0.5 and max(last) < max(before) + GAIN


def _looked_at(fit: Fit) -> tuple[Tensor, Tensor]:
    """Particles whose posterior is known, `(b,)`, and their poses, `(b, 3, 3)`: all of them or, where the stage looks
    at none, some that are looked at now."""
    if fit.settings.posterior.posterior_sample:
        return torch.arange(len(fit)), fit.poses.rotations
    rows = torch.arange(0, len(fit), -(-len(fit) // LOOKED_AT))
    search = PoseSearch(fit, band=min(fit.band, LOOKED_BAND))
    return rows, search.best(fit.batch(rows, search.band))[0]


@torch.no_grad()
def choose_poses(fit: Fit) -> None:
    """Best candidate of every particle into the pose table (Eq. 6).

    The encoder is left as it stands and proposes once more, for all particles. Where posterior samples compete, the
    pose that a particle has does so as well, and where it is asked for, the best of a search.
    """
    size = fit.settings.schedule.batch_size
    searches = fit.settings.posterior.search_at_switch
    search = PoseSearch(fit) if searches or fit.encoder is None else None
    if fit.encoder is not None:
        fit.encoder.eval()
    for rows in torch.arange(len(fit)).split(size):
        batch, where = fit.batch(rows), rows.to(fit.device)
        rotations, shifts = _proposals(fit, rows)
        heads = rotations.shape[1]
        rotations, shifts = with_candidate(rotations, shifts, None if search is None else search.best(batch))
        if fit.settings.posterior.posterior_sample:
            stored = fit.poses.rotations[where], fit.poses.shifts[where]
            rotations, shifts = with_candidate(rotations, shifts, stored)
        models, kind = fit.project(batch, rotations, shifts), fit.settings.volume.loss
        errors = candidate_errors(models, batch.images, batch.weights, kind)
        winner = errors.argmin(-1)
        fit.poses.set(where, take(rotations, winner), take(shifts, winner))
        new = (winner < heads + (search is not None)).cpu()  # else it is still he whom the stored pose was from
        fit.winner[rows] = torch.where(new, winner.cpu().to(fit.winner), fit.winner[rows])
        fit.note_error(batch, take(models, winner))
        if heads:
            fit.best_head[rows] = errors[:, :heads].argmin(-1).to(fit.best_head)
    if isinstance(fit.volume, WienerVolume):
        remake_volume(fit)


def _proposals(fit: Fit, rows: Tensor) -> tuple[Tensor, Tensor]:
    """`(b, heads, 3, 3)`, `(b, heads, 2)` of the encoder, written down as well; no heads where there is no encoder."""
    if fit.encoder is None:
        return torch.zeros(len(rows), 0, 3, 3, device=fit.device), torch.zeros(len(rows), 0, 2, device=fit.device)
    rotations, shifts = fit.encoder(fit.encoder_images(rows))
    fit.note_candidates(rows, rotations, shifts)
    return rotations, shifts


@torch.no_grad()
def remake_volume(fit: Fit, band: int | None = None) -> None:
    """A Wiener volume from all particles at their present poses."""
    assert isinstance(fit.volume, WienerVolume)
    if band is not None:
        fit.volume.set_band(band)
    fit.volume.forget(0)
    for rows in torch.arange(len(fit)).split(fit.settings.schedule.batch_size):
        batch, where = fit.batch(rows, band), rows.to(fit.device)
        insert_images(fit, batch, fit.poses.rotations[where], fit.poses.shifts[where])
    fit.volume.solve()


@torch.no_grad()
def search_again(fit: Fit) -> float:
    """Search all particles once more, and keep what explains the image better: share of particles that changed.

    A pose from the grid counts only where it lies well away from the stored one, and after it was refined.
    """
    volume = fit.volume
    assert isinstance(volume, WienerVolume)
    volume.solve()
    search, lattices, changed = PoseSearch(fit), volume.gradient_lattices(), 0
    for rows in torch.arange(len(fit)).split(fit.settings.schedule.batch_size):
        found, found_shifts = search.best(fit.batch(rows))
        where = rows.to(fit.device)
        far = (rotation_distance(found, fit.poses.rotations[where]) > FAR).nonzero()[:, 0]
        if not len(far):
            continue
        found, found_shifts, where = found[far], found_shifts[far], where[far]
        batch = fit.batch(where.cpu())
        data = (batch.images, batch.ctf, batch.weights, batch.points, fit.images.extent)
        moves = fit.max_shift > 0
        stored = fit.poses.shifts[where] if moves else None
        *_, here = refine_poses(lattices, volume.padding, fit.poses.rotations[where], stored, *data, steps=1)
        refined = refine_poses(
            lattices,
            volume.padding,
            found,
            found_shifts if moves else None,
            *data,
            steps=fit.settings.schedule.pose_steps,
        )
        better = (refined[2] < here).nonzero()[:, 0]
        shifts = found_shifts if refined[1] is None else refined[1].clamp(-fit.max_shift, fit.max_shift)
        fit.poses.set(where[better], refined[0][better], shifts[better])
        changed += len(better)
    if changed:
        remake_volume(fit)
    return changed / len(fit)
