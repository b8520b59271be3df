"""The audit at the end of a run: whether its images tell the map from a scrambled one, and whether they tell poses.

Two halves of one run agree in what they share, right or wrong, and a pose that is found again in the same map says
nothing. What an image says of a map that was made without it cannot be made up. The audit therefore takes a sample of
the particles, forgets their poses, and searches all poses anew in a map that the other fold's particles make alone.
Then it does the same with a scrambled copy of that map, whose groups of shells are turned at random against each other:
each shell has the same power, angular spectrum and radial average as before, but they no longer belong to one molecule.
Images of noise find as good a pose in the scrambled map as in the map itself (docs/verdict.md).
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from napari_cryospin.engine.batch import Batch
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.losses import image_errors
from napari_cryospin.engine.near_symmetry import SMALLEST_MATE_TURN
from napari_cryospin.engine.phases import MATES_BAND
from napari_cryospin.engine.pose_posterior import Templates, entropy, log_likelihoods, make_templates, shift_grid
from napari_cryospin.engine.pose_refinement import refine_poses
from napari_cryospin.engine.sampling import COARSE_GRID_BAND, grid_size, pose_grid, unit_size
from napari_cryospin.engine.shift_prior import ShiftPrior
from napari_cryospin.engine.volume_steps import WienerStep
from napari_cryospin.engine.volumes import wiener_volume
from napari_cryospin.geometry.so3 import random_rotations, rotation_distance
from napari_cryospin.models.wiener_volume import WienerVolume
from napari_cryospin.physics.fourier import band_size, map_to_hartley
from napari_cryospin.physics.slicing import crop_lattice, shift_phases

AUDIT_PARTICLES = 300
"""Particles of a fit that are audited: a share is then known to 3 %; chosen by hand."""
AUDITED_TRUST, LEAST_AUDITED = 0.5, 2 / 3
"""Weight in the volume above which an image is audited, since it is more likely than not to show the particle, and the
share of the images that have to be so; chosen by hand."""
AUDIT_BAND = 11
"""Shells that are compared, at most: what the grid of 15 degrees resolves."""
SCRAMBLED_MAPS = 2
"""Scrambled maps of each fold that an image is compared with; chosen by hand."""
SCRAMBLED_SHELLS = 3.0
"""Shells that a scrambled map keeps together. The images' masks make neighbouring coefficients alike, so that a map
scrambled shell by shell would fit even noise worse than a smooth one."""
FOUND_AGAIN = 20.0
"""Distance, degrees, up to which poses of the grid are the same: the grid's spacing of 15, and a little."""
MATE_STEPS = 5
"""Evaluations of the model in the refinement of a pose and of its mates."""
AUDIT_PADDING = 2
"""Oversampling of the audit's maps: slices are then exact to about 1 %."""
AUDIT_BATCH = 16
"""Particles at a time, so that their log-likelihoods fit into a CPU's cache."""


@dataclass(frozen=True)
class Audit:
    """What the audit of a fit found; `(n,)` each, of the sample.

    Attributes
    ----------
    gain : Tensor
        Log-evidence of each image for the map over that for a scrambled one, nats, mean over the scrambled ones.
    entropy : Tensor
        Of the posterior over rotations in the map of the other fold, as a share of its largest value.
    found : Tensor
        `(n, 3, 3)` how the map is turned from each stored pose to the one that was found anew.
    mate : Tensor
        `(3, 3)` the turn that most of the poses share which were not found again.
    mate_lead : Tensor
        Lead of the stored pose over its mate by that turn, both refined, nats; below 0 where the mate is better.
    mate_difference : Tensor
        Squared difference of the map's own images at the stored pose and at its mate, nats: what the lead would be if
        the map were right.
    sign_lead : Tensor
        Lead of the CTF as it is over the one with the opposite sign of the defocus, at the stored poses, nats; empty
        where the images have no CTF whose sign counts.
    """

    gain: Tensor
    entropy: Tensor
    found: Tensor
    mate: Tensor
    mate_lead: Tensor
    mate_difference: Tensor
    sign_lead: Tensor


class _Found(NamedTuple):
    evidence: Tensor  # (b,) nats, all poses summed over, up to a constant of the image
    rotations: Tensor  # (b, 3, 3) the most probable
    entropy: Tensor  # (b,) nats


@torch.no_grad()
def audit(fit: Fit) -> Audit:
    """Search a sample of the particles anew in the other fold's map, and in scrambled ones.

    Nothing of the fit is written, and nothing is drawn from its generator.
    """
    generator = torch.Generator().manual_seed(0)
    volume = volume_at_poses(fit, min(fit.band.now, MATES_BAND))
    # A small class may have all of its particles in one fold, whose map of the other fold is then empty.
    folds = [OtherFold(fit, volume, fold) for fold in (0, 1) if len(fit.fold_members(fold))]
    searched = [_search_again(fold, generator) for fold in folds]
    gain, entropies, found = (torch.cat(column) for column in zip(*searched, strict=True))
    mate = commonest_mate(found)
    lead, difference = (torch.cat(column) for column in zip(*(_compare_mates(f, mate) for f in folds), strict=True))
    columns = (gain, entropies, found, mate, lead, difference, _lead_of_sign(fit, folds))
    return Audit(*(column.cpu() for column in columns))


def volume_at_poses(fit: Fit, band: int) -> WienerVolume:
    """Make a volume of all particles at their present poses, whatever volume the fit has."""
    settings = dataclasses.replace(fit.volume_settings, padding=AUDIT_PADDING)
    volume = wiener_volume(fit.images, settings, band, torch.Generator().manual_seed(0))
    WienerStep(fit, volume).remake(band)
    return volume


def _lead_of_sign(fit: Fit, folds: list[OtherFold]) -> Tensor:
    """Compare the CTF with the one of the opposite defocus, each with a map of its own at the same poses."""
    particles = fit.images.particles
    if fit.images.ctf_parameters is None or particles.ctf_premultiplied or particles.phase_flipped:
        return torch.empty(0)
    given = [fold.errors() for fold in folds]
    with fit.images.opposite_defocus():
        volume = volume_at_poses(fit, folds[0].volume.band)
        opposite = [OtherFold(fit, volume, fold.number).errors() for fold in folds]
    return torch.cat(opposite) - torch.cat(given)


class OtherFold:
    """Particles of one fold, and the map that the other fold's particles make.

    Parameters
    ----------
    fit : Fit
    volume : WienerVolume
        With sums of all particles at their present poses.
    fold : int
        Fold of the particles, 0 or 1.
    """

    def __init__(self, fit: Fit, volume: WienerVolume, fold: int) -> None:
        self.fit, self.volume, self.number = fit, volume, fold
        self.density = volume.fold_average(1 - fold)
        members = _trusted(fit, fit.fold_members(fold))
        count = min(len(members), AUDIT_PARTICLES // 2)
        self.rows = members[torch.linspace(0, len(members) - 1, count).round().long()]

    def batch(self) -> Batch:
        """Read the images, in the band of the volume."""
        return self.fit.batch(self.rows, self.volume.band)

    def project(self, batch: Batch, rotations: Tensor) -> Tensor:
        """Make noise-free images `(b, p)` at rotations `(b, 3, 3)` and at the stored shifts."""
        projector = dataclasses.replace(self.fit.projector, padding=AUDIT_PADDING)
        shifts = self.fit.shift_range.used(self.fit.poses(batch)[1])
        return projector(map_to_hartley(self.density, AUDIT_PADDING), rotations, shifts, batch.ctf)

    def errors(self) -> Tensor:
        """Compute the errors `(b,)` of the images at their stored poses, nats."""
        batch = self.batch()
        models = self.project(batch, self.fit.poses(batch)[0])
        return image_errors(models[:, None], batch.images, batch.weights)[:, 0]


def _trusted(fit: Fit, members: Tensor) -> Tensor:
    """Leave out of a class the images that do not show the particle: they have no pose to be found again.

    Without classes all images are kept. Particles of another molecule may be judged to be junk, and a run of which they
    are half must not be called converged. They are kept as well where more than a third would be left out.
    """
    if fit.number is None:
        return members
    trusted = members[(fit.particles.trust[members.to(fit.device)] > AUDITED_TRUST).cpu()]
    return trusted if len(trusted) >= LEAST_AUDITED * len(members) else members


def _search_again(fold: OtherFold, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Search the poses anew: gains `(b,)`, entropies `(b,)` and turns `(b, 3, 3)` from the stored poses."""
    fit, band = fold.fit, min(fold.volume.band, AUDIT_BAND)
    batch = fit.batch(fold.rows, band)
    lattice = crop_lattice(map_to_hartley(fold.density, AUDIT_PADDING), band, AUDIT_PADDING).contiguous()
    # The map is turned as a whole, so that it goes through the same interpolation as the scrambled ones.
    turn = random_rotations(1, generator).to(lattice)
    found = _search(fit, scrambled(lattice, turn, AUDIT_PADDING, torch.inf), batch)
    gain = torch.zeros_like(found.evidence)
    for _ in range(SCRAMBLED_MAPS):
        turns = random_rotations(int(band / SCRAMBLED_SHELLS) + 2, generator).to(lattice)
        other = _search(fit, scrambled(lattice, turns, AUDIT_PADDING, SCRAMBLED_SHELLS), batch)
        gain += (found.evidence - other.evidence) / SCRAMBLED_MAPS
    # The scrambled maps are not symmetric, so that all copies of a pose are searched in each map, and counted as one.
    group = fit.symmetry
    entropies = (found.entropy - math.log(group.order)) / math.log(unit_size(band, group))
    stored = fit.poses(batch)[0]
    return gain, entropies, stored.mT @ group.nearest_copy(found.rotations @ turn[0], stored)


def commonest_mate(found: Tensor) -> Tensor:
    """Find the turn that most poses share which lie far from the stored ones.

    The mates of a pose `A` under a near-symmetry `Q` are `A Q`: where images were sorted to the wrong mate, the same
    `Q` leads from many stored poses to those that were found anew, whatever the view. Poses of junk share none.

    Parameters
    ----------
    found : Tensor
        `(n, 3, 3)` turns from the stored poses to those found anew.

    Returns
    -------
    Tensor
        `(3, 3)`; the identity where no pose lies far from the stored one.
    """
    identity = torch.eye(3, device=found.device)
    far = found[rotation_distance(found, identity) > SMALLEST_MATE_TURN]
    if not len(far):
        return identity
    together = rotation_distance(far[:, None], far[None]) < FOUND_AGAIN
    members = far[together[together.sum(1).argmax()]]
    left, _, right = torch.linalg.svd(members.mean(0))  # the rotation nearest to their mean
    return left @ right


def _compare_mates(fold: OtherFold, mate: Tensor) -> tuple[Tensor, Tensor]:
    """Refine each stored pose and its mate: the lead of the stored one, and the map's own difference, `(b,)` nats each.

    On the grid alone, how well a pose happens to lie to the grid counts for more than the difference of mates.
    """
    fit, batch = fold.fit, fold.batch()
    lattices = fold.volume.gradient_lattices(fold.density)
    rotations, shifts = fit.poses(batch)
    moved = fit.shift_range.used(shifts)
    both = rotations, rotations @ mate
    stored, turned = (
        refine_poses(lattices, batch, each, moved, padding=AUDIT_PADDING, steps=MATE_STEPS)[2] for each in both
    )
    models = [fold.project(batch, each) for each in both]
    return turned - stored, image_errors(models[0][:, None], models[1], batch.weights)[:, 0]


def scrambled(lattice: Tensor, turns: Tensor, padding: int, shells: float) -> Tensor:
    """Turn groups of shells of a Hartley lattice against each other.

    Parameters
    ----------
    lattice : Tensor
        `(G, G, G)`.
    turns : Tensor
        `(k, 3, 3)` rotation of each group, inner ones first; shells beyond the last group belong to it.
    padding : int
        Oversampling of the lattice.
    shells : float
        Shells of a group.
    """
    size = lattice.shape[-1]
    axis = torch.linspace(-1, 1, size, device=lattice.device)
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    points = torch.stack((x, y, z), dim=-1).reshape(-1, 3)
    group = (points.norm(dim=-1) * (size // 2 / padding / shells)).long().clamp(max=len(turns) - 1)
    where = torch.einsum("ni,nij->nj", points, turns[group]).reshape(1, size, size, size, 3)
    return torch.nn.functional.grid_sample(lattice[None, None], where, align_corners=True)[0, 0]


def _search(fit: Fit, lattice: Tensor, batch: Batch) -> _Found:
    """Search all poses and shifts, with no regard to the stored ones but for how far off centre particles lie."""
    prior = ShiftPrior.of(fit)
    parts = [batch.part(slice(start, start + AUDIT_BATCH)) for start in range(0, len(batch), AUDIT_BATCH)]
    moves = _likely_shifts(fit, lattice, parts, batch.points, prior)
    templates = _templates(lattice, batch.points)
    found = []
    for part, move in zip(parts, moves, strict=True):
        phases = fit.shift_range.phases(move, part.points, part.extent)
        values = log_likelihoods(templates, part.images, part.ctf, part.weights, phases)
        values = (values + prior.log_density(move)[..., None]).logsumexp(1)
        found.append((values.logsumexp(-1), templates.rotations[values.argmax(-1)], entropy(values)))
    return _Found(*(torch.cat(column) for column in zip(*found, strict=True)))


def _likely_shifts(fit: Fit, lattice: Tensor, parts: list[Batch], points: Tensor, prior: ShiftPrior) -> list[Tensor]:
    """Find shifts to try of each particle, `(b, t, 2)` a part: about the most probable one of a coarse search."""
    if not fit.shift_range.looked_for:
        return [torch.zeros(len(part), 1, 2, device=fit.device) for part in parts]
    full = _band(points)
    band = min(full, COARSE_GRID_BAND)
    coarse, fine = (fit.images.extent / (4 * each) for each in (band, full))
    wide, local = shift_grid(fit.shift_range.largest, coarse, fit.device), shift_grid(coarse, fine, fit.device)
    templates = _templates(lattice, points[: band_size(points, band)])
    moves = []
    for part in (each.inner(len(templates.points)) for each in parts):
        phases = shift_phases(wide, part.points, part.extent).expand(len(part), -1, -1)
        values = log_likelihoods(templates, part.images, part.ctf, part.weights, phases).logsumexp(-1)
        moves.append(wide[(values + prior.log_density(wide)).argmax(-1)][:, None] + local)
    return moves


def _templates(lattice: Tensor, points: Tensor) -> Templates:
    """Slice a map at every pose of the grid that the band of the points asks for."""
    grid = pose_grid(*grid_size(_band(points))).to(lattice.device)
    return make_templates(lattice, grid, points, AUDIT_PADDING)


def _band(points: Tensor) -> int:
    return int(points[-1].double().norm().ceil())
