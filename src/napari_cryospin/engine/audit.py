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
from napari_cryospin.engine.pose_posterior import (
    Templates,
    entropy,
    log_likelihoods,
    make_templates,
    shift_grid,
    shift_step,
)
from napari_cryospin.engine.pose_refinement import refine_poses
from napari_cryospin.engine.sampling import COARSE_GRID_BAND, grid_size, pose_grid
from napari_cryospin.engine.shift_prior import ShiftPrior
from napari_cryospin.engine.used_rows import evenly_spread
from napari_cryospin.engine.volume_steps import WienerStep
from napari_cryospin.engine.volumes import wiener_volume
from napari_cryospin.evaluation.verdict import LEAST_TOLD_APART, TELLING_GAIN
from napari_cryospin.geometry.so3 import random_rotations, rotation_distance
from napari_cryospin.geometry.symmetry import PointGroup
from napari_cryospin.models.wiener_volume import WienerVolume
from napari_cryospin.physics.fourier import band_size, map_to_hartley
from napari_cryospin.physics.slicing import crop_lattice, shift_phases

AUDITED_TRUST, LEAST_AUDITED = 0.5, 2 / 3
"""Weight in the volume above which an image is audited, since it is more likely than not to show the particle, and the
share of the images that have to be so; chosen by hand."""
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
class Look:
    """How closely an audit looks.

    Attributes
    ----------
    band : int
        Shells that are compared, at most.
    nside, in_plane : int
        Grid of the poses, which resolves as many shells.
    particles : int
        Particles of a fit that are audited, at most.
    """

    band: int
    nside: int
    in_plane: int
    particles: int

    def rotations(self, group: PointGroup, turn: Tensor) -> Tensor:
        """Return the poses `(k, 3, 3)` of the asymmetric unit of a map that was turned by `(3, 3)`."""
        grid = pose_grid(self.nside, self.in_plane).to(turn)
        return grid if group.trivial else grid[group.in_unit(grid @ turn)]


COARSE_LOOK = Look(band=11, nside=4, in_plane=24, particles=300)
"""A share is known to 3 %; the grid of 15 degrees is that of the search."""
FINE_LOOK = Look(band=22, nside=8, in_plane=48, particles=100)
"""A share is known to 5 %; the grid of 7.5 degrees has eight times as many poses."""


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
    found = _looked_at(fit, COARSE_LOOK)
    if fit.band.now <= COARSE_LOOK.band or told_apart(found.gain) >= LEAST_TOLD_APART:
        return found
    # A hollow molecule looks nearly alike from all sides in coarse shells (docs/verdict.md).
    return dataclasses.replace(_looked_at(fit, FINE_LOOK), sign_lead=found.sign_lead)


def told_apart(gain: Tensor) -> float:
    """Return the share of gains, nats, at which an image tells the map from a scrambled one."""
    return float((gain >= TELLING_GAIN).float().mean())


def _looked_at(fit: Fit, look: Look) -> Audit:
    """Audit the particles of a fit with one look; only a coarse one looks at the sign of the defocus."""
    generator = torch.Generator().manual_seed(0)
    volume = volume_at_poses(fit, min(fit.band.now, max(MATES_BAND, look.band)))
    # A small class may have all of its particles in one fold, whose map of the other fold is then empty.
    folds = [OtherFold(fit, volume, fold, look.particles) for fold in (0, 1) if len(fit.fold_members(fold))]
    searched = [_search_again(fold, look, generator) for fold in folds]
    gain, entropies, found = (torch.cat(column) for column in zip(*searched, strict=True))
    mate = commonest_mate(found)
    lead, difference = (torch.cat(column) for column in zip(*(_compare_mates(f, mate) for f in folds), strict=True))
    sign_lead = _lead_of_sign(fit, folds) if look is COARSE_LOOK else torch.empty(0)
    columns = (gain, entropies, found, mate, lead, difference, sign_lead)
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
    count : int
        Particles of both folds that are audited, at most.
    """

    def __init__(self, fit: Fit, volume: WienerVolume, fold: int, count: int = COARSE_LOOK.particles) -> None:
        self.fit, self.volume, self.number = fit, volume, fold
        self.density = volume.fold_average(1 - fold)
        members = _trusted(fit, fit.fold_members(fold))
        self.rows = members[evenly_spread(len(members), count // 2)]

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


def _search_again(fold: OtherFold, look: Look, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Search the poses anew: gains `(b,)`, entropies `(b,)` and turns `(b, 3, 3)` from the stored poses.

    In a scrambled map as many poses are looked at as in the map, although its symmetry, if it had one, is broken: among
    more of them, noise would find a better one by chance.
    """
    fit, band = fold.fit, min(fold.volume.band, look.band)
    batch = fit.batch(fold.rows, band)
    lattice = crop_lattice(map_to_hartley(fold.density, AUDIT_PADDING), band, AUDIT_PADDING).contiguous()
    # The map is turned as a whole, so that it goes through the same interpolation as the scrambled ones.
    turn = random_rotations(1, generator).to(lattice)
    rotations = look.rotations(fit.symmetry, turn[0])
    found = _search(fit, scrambled(lattice, turn, AUDIT_PADDING, torch.inf), batch, rotations)
    gain = torch.zeros_like(found.evidence)
    for _ in range(SCRAMBLED_MAPS):
        turns = random_rotations(int(band / SCRAMBLED_SHELLS) + 2, generator).to(lattice)
        other = _search(fit, scrambled(lattice, turns, AUDIT_PADDING, SCRAMBLED_SHELLS), batch, rotations)
        gain += (found.evidence - other.evidence) / SCRAMBLED_MAPS
    stored = fit.poses(batch)[0]
    turns_found = stored.mT @ fit.symmetry.nearest_copy(found.rotations @ turn[0], stored)
    return gain, found.entropy / math.log(len(rotations)), turns_found


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


def _search(fit: Fit, lattice: Tensor, batch: Batch, rotations: Tensor) -> _Found:
    """Search poses `(k, 3, 3)` and shifts; of the stored ones only how far particles lie off centre is used."""
    prior = ShiftPrior.of(fit)
    parts = [batch.part(slice(start, start + AUDIT_BATCH)) for start in range(0, len(batch), AUDIT_BATCH)]
    moves = _likely_shifts(fit, lattice, parts, batch.points, prior)
    templates = make_templates(lattice, rotations, batch.points, AUDIT_PADDING)
    found = []
    for part, move in zip(parts, moves, strict=True):
        phases = fit.shift_range.phases(move, part.points, part.extent)
        values = log_likelihoods(templates, part.images, part.ctf, part.weights, phases)
        values = (values + prior.log_density(move)[..., None]).logsumexp(1)
        found.append((values.logsumexp(-1), rotations[values.argmax(-1)], entropy(values)))
    return _Found(*(torch.cat(column) for column in zip(*found, strict=True)))


def _likely_shifts(fit: Fit, lattice: Tensor, parts: list[Batch], points: Tensor, prior: ShiftPrior) -> list[Tensor]:
    """Find shifts to try of each particle, `(b, t, 2)` a part: about the most probable one, band by band."""
    if not fit.shift_range.looked_for:
        return [torch.zeros(len(part), 1, 2, device=fit.device) for part in parts]
    full = int(points[-1].double().norm().ceil())
    bands = sorted({min(full, band) for band in (COARSE_GRID_BAND, COARSE_LOOK.band)} | {full})
    steps = [shift_step(fit.images.extent, band) for band in bands]
    wide = shift_grid(fit.shift_range.largest, steps[0], fit.device)
    moves = [wide.expand(len(part), -1, -1) for part in parts]
    for band, step, finer in zip(bands[:-1], steps[:-1], steps[1:], strict=True):
        inner = points[: band_size(points, band)]
        templates = make_templates(lattice, pose_grid(*grid_size(band)).to(lattice), inner, AUDIT_PADDING)
        local = shift_grid(step, finer, fit.device)
        moves = [
            _best_shift(part.inner(len(inner)), templates, move, prior)[:, None] + local
            for part, move in zip(parts, moves, strict=True)
        ]
    return moves


def _best_shift(batch: Batch, templates: Templates, moves: Tensor, prior: ShiftPrior) -> Tensor:
    """Find the most probable of the shifts `(b, t, 2)`, whatever the rotation: `(b, 2)`."""
    phases = shift_phases(moves, batch.points, batch.extent)
    values = log_likelihoods(templates, batch.images, batch.ctf, batch.weights, phases).logsumexp(-1)
    best = (values + prior.log_density(moves)).argmax(-1)
    return moves[torch.arange(len(moves), device=moves.device), best]
