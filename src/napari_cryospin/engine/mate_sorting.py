"""Particles sorted among their mates by all images together, where single images hardly tell mates apart.

Whole regions of views that sit at the wrong mate vote for each other, and no test of one particle after the other leads
out of that. But the difference that tells mates apart is a linear function of how the particles are weighted at their
mates, and so is what it says of each particle: the two together are a symmetric matrix of particles by particles, whose
entries tell how far two images agree about their mates. Where the map has a difference, the eigenvector with the
largest eigenvalue sorts the particles, from whatever state they are in: the problem is known as synchronisation (A.
Singer, 2011, "Angular synchronization by eigenvectors and semidefinite programming"). The Lanczos method finds the
eigenvector in a dozen products, each of which costs as much as an insertion and a projection of all images.

An exactly symmetric map has an eigenvector too, which is noise. Particles of which no difference was ever made tell the
two apart: under a real difference, what coarse and fine shells say of the mates of one image agrees.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.losses import take
from napari_cryospin.engine.mated_particles import Leads, MatedParticles
from napari_cryospin.engine.mates import MOST_MATES
from napari_cryospin.engine.near_symmetry import near_symmetries
from napari_cryospin.engine.pose_steps import GaussNewtonPoses
from napari_cryospin.engine.used_rows import evenly_spread
from napari_cryospin.models.wiener_volume import WienerVolume

log = logging.getLogger(__name__)

MOST_SORTED = 20_000
"""Largest number of particles that a difference is made of, so that a million cost no more; chosen by hand."""
FIRST_SORTING_BAND, SORTING_BAND = 16, 22
"""Shells in which the eigenvector is looked for, which costs the most, and in which particles are then sorted."""
LANCZOS_STEPS = 12
"""Products with the matrix; three times as many found no better eigenvector (docs/method.md, Near-symmetries)."""
SORTING_ROUNDS = 4
"""Rounds in which difference and mates are made from each other, once the eigenvector is known."""
FIRST_WEIGHT = 0.3
"""Root mean square of the first weights of the mates, less their mean; chosen by hand."""
SORTED_ALREADY = 0.97
"""Share of the particles that prefer the mate at which they are, from which they count as sorted; chosen by hand."""
HINT_OF_A_DIFFERENCE = 2.0
"""As `REAL_DIFFERENCE`, in the coarse shells: below, finer ones are not asked, which would take longer than all before;
chosen by hand."""
REAL_DIFFERENCE = 5.0
"""Standard errors by which coarse and fine shells have to agree on particles that were held out, for a difference to be
real (docs/method.md, Near-symmetries)."""


@dataclass(frozen=True)
class SortedMates:
    """What became of the mates of a fit.

    Attributes
    ----------
    certainty : float
        Standard errors by which coarse and fine shells agree about the mates of particles that were held out.
    changed : float
        Share of the particles that changed to a mate.
    """

    certainty: float
    changed: float = 0.0


class _Difference(NamedTuple):
    particles: MatedParticles
    density: Tensor  # (m, m, m), of all parts
    likelihood: Tensor  # (n, q), of each mate
    certainty: float


@torch.no_grad()
def sort_mates(fit: Fit[WienerVolume], poses: GaussNewtonPoses) -> SortedMates | None:
    """Sort the particles of a fit among the mates under its map's near-symmetries, and store the better poses.

    Where the images show no difference between mates, nothing is changed. Nothing is drawn from the fit's generator.

    Returns
    -------
    SortedMates or None
        None: the map has no near-symmetry, or the particles are sorted already.
    """
    volume, members = fit.volume, fit.members
    mates = near_symmetries(volume.hartley(), volume.padding, fit.band.now, MOST_MATES, fit.symmetry)
    if not len(mates):
        return None
    rows = _sample(members)
    coarse = MatedParticles.of(fit, poses, rows, mates, min(fit.band.now, FIRST_SORTING_BAND))
    if sorted_already(coarse):
        return None
    found = _find_difference(coarse)
    if found.certainty < REAL_DIFFERENCE:
        log.info("mates: the images show no difference between them (%.1f standard errors)", found.certainty)
        return SortedMates(found.certainty)
    particles = found.particles
    changed = _store(fit, particles.rows, particles.rotations, particles.shifts, found.likelihood)
    rest = members[~torch.isin(members, rows)]
    if len(rest):
        changed += _store(fit, rest, *particles.others(rest, mates, found.density))
    log.info("mates: %d of %d particles changed (%.1f standard errors)", changed, len(members), found.certainty)
    return SortedMates(found.certainty, changed / len(members))


@torch.no_grad()
def symmetry_broken(fit: Fit, poses: GaussNewtonPoses) -> float:
    """Compute by how many standard errors images contradict the symmetry that a fit's map was given.

    nan where the map has no symmetry, or so many symmetric copies that each would have too few images.
    """
    copies = fit.symmetry.others(fit.particles.rotations)
    if not 0 < len(copies) <= MOST_MATES:
        return math.nan
    settings = dataclasses.replace(fit.volume_settings, symmetry="C1")
    band = min(fit.band.now, FIRST_SORTING_BAND)
    return _find_difference(MatedParticles.of(fit, poses, _sample(fit.members), copies, band, settings)).certainty


def _sample(members: Tensor) -> Tensor:
    """Choose no more than `MOST_SORTED` of the particles, evenly."""
    return members[evenly_spread(len(members), MOST_SORTED)]


def _find_difference(coarse: MatedParticles) -> _Difference:
    """Find the difference that sorts particles best, in finer shells as well unless coarse ones deny it."""
    found = _settled(coarse, leading_weights(coarse), 1)
    band = min(coarse.fit.band.now, SORTING_BAND)
    if found.certainty < HINT_OF_A_DIFFERENCE or band == coarse.band:
        return found
    return _settled(coarse.in_band(band), even(found.likelihood.softmax(1)), SORTING_ROUNDS)


def _settled(particles: MatedParticles, weights: Tensor, rounds: int) -> _Difference:
    """Make difference and weights from each other in some rounds."""
    for _ in range(rounds):
        difference = particles.difference(weights)
        leads = particles.compare(difference)
        likelihood = leads.log_likelihood()
        weights = even(likelihood.softmax(1))
    trust = particles.fit.particles.trust[particles.rows.to(weights.device)]
    certainty = shells_agree(leads, particles.held_out, trust)
    return _Difference(particles, difference[-1], likelihood, certainty)


def sorted_already(particles: MatedParticles) -> bool:
    """Return whether nearly all particles prefer the mate at which they are, with a difference made of the others."""
    weights = even(torch.nn.functional.one_hot(torch.zeros_like(particles.trust).long(), particles.rotations.shape[1]))
    leads = particles.compare(particles.difference(weights)).log_likelihood()
    return float((leads.argmax(1) == 0).float().mean()) >= SORTED_ALREADY


def leading_weights(particles: MatedParticles) -> Tensor:
    """Find the weights `(n, q)` of the mates, less their mean, that agree best with each other.

    They are the eigenvector with the largest eigenvalue of the matrix of particles by particles; its diagonal is left
    out, as each part is compared with the difference of the others.
    """
    root = particles.trust.sqrt()[:, None]

    def product(vector: Tensor) -> Tensor:
        inside = torch.where(root > 0, vector / root.clamp(min=1e-6), 0.0)
        return even(particles.compare(particles.difference(inside)).overlap.sum(-1)) * root

    generator = torch.Generator().manual_seed(0)
    count = particles.rotations.shape[1]
    start = torch.randn(len(root), count, generator=generator).to(root)
    start[:, 0] += 1  # The particles as they are may be sorted in part.
    weights = lanczos(product, even(start) * root, LANCZOS_STEPS) / root.clamp(min=1e-6) * (root > 0)
    return weights * (FIRST_WEIGHT / weights[root[:, 0] > 0].square().mean().sqrt().clamp(min=1e-12)).nan_to_num()


def even(weights: Tensor) -> Tensor:
    """Take from weights `(n, q)` their mean over the mates."""
    return weights - weights.float().mean(1, keepdim=True)


def shells_agree(leads: Leads, held_out: slice, trust: Tensor) -> float:
    """Compute how far coarse and fine shells agree about the mates of particles that were held out.

    Noise is independent from shell to shell, so that they only agree where the difference is real. A shell between the
    two is left out, because the mask makes neighbouring shells alike.

    Returns
    -------
    float
        Mean covariance of what the two say of the mates, in its standard errors.
    """
    overlap, share = leads.overlap[held_out], leads.power.sum((0, 1)).cumsum(0)
    middle = int((share < share[-1] / 2).sum())
    coarse, fine = even(overlap[..., :middle].sum(-1)), even(overlap[..., middle + 1 :].sum(-1))
    together = (coarse * fine).sum(1) * trust[held_out]
    spread = float(together.std()) / math.sqrt(max(len(together), 1))
    return float(together.mean()) / spread if spread > 0 else 0.0


def lanczos(product: Callable[[Tensor], Tensor], start: Tensor, steps: int) -> Tensor:
    """Find the eigenvector with the largest eigenvalue of a symmetric matrix, of which only products are known.

    Parameters
    ----------
    product : callable
        Returns the product of the matrix with a vector, which may have any shape.
    start : Tensor
        First vector.
    steps : int
        Number of products.

    Returns
    -------
    Tensor
        Of unit length, in the shape of `start`.
    """
    if not bool(start.any()):
        return start
    basis = [start / start.norm()]
    matrix = torch.zeros(steps, steps, dtype=torch.float64)
    for step in range(steps):
        image = product(basis[step])
        least = 1e-5 * float(image.norm())
        for number, vector in enumerate(basis):
            matrix[number, step] = float((image * vector).sum())
            image = image - matrix[number, step].item() * vector
        if float(image.norm()) <= least:  # The basis holds all that products lead to.
            matrix = matrix[: step + 1, : step + 1]
            break
        basis.append(image / image.norm())
    leading = torch.linalg.eigh(matrix, UPLO="U").eigenvectors[:, -1]  # The lower triangle was not filled.
    return sum((float(share) * vector for share, vector in zip(leading, basis, strict=False)), torch.zeros_like(start))


def _store(fit: Fit, rows: Tensor, rotations: Tensor, shifts: Tensor, likelihood: Tensor) -> int:
    """Store the likeliest of the poses `(n, q, 3, 3)`, `(n, q, 2)`; return how many particles changed to a mate."""
    best = likelihood.argmax(1)
    fit.particles.record_poses(rows.to(fit.device), take(rotations, best), take(shifts, best))
    return int((best != 0).sum())
