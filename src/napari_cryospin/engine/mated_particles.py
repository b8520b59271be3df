"""Particles at all of their mates, and what a map that takes all mates evenly leaves unexplained of their images.

If a map looks nearly the same after a turn `Q`, it is the sum of an even part, which looks exactly the same after it,
and of a difference. An image at the pose `A` shows the even part plus the difference; seen from the mate `A Q`, it
shows the even part plus the difference turned by `Q`. What is left of the images once the even part is taken away is
therefore all that tells mates apart. `engine.mate_sorting` finds the difference and the mates from it.
"""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.near_symmetry import with_mates
from napari_cryospin.engine.pose_steps import GaussNewtonPoses
from napari_cryospin.engine.volume_steps import WienerStep
from napari_cryospin.engine.volumes import wiener_volume
from napari_cryospin.models.wiener_volume import WienerVolume
from napari_cryospin.physics.fourier import band_size, map_to_hartley
from napari_cryospin.physics.slicing import central_slices, crop_lattice, insert_slices
from napari_cryospin.settings import VolumeSettings

PARTS = 8
"""Parts of the particles. Each part is compared with a difference that the others make, so that no image is compared
with itself, which would favour the mate that it has."""
HELD_OUT_SHARE = 0.2
"""Share of the particles that no difference is ever made of, so that they can judge it; chosen by hand."""
EVEN_STEPS = 3
"""Evaluations of the model in the refinement of poses at all mates in the even map; chosen by hand."""
MATED_BATCH = 250
"""Particles at a time."""


class Leads(NamedTuple):
    """How a difference explains images at each of their mates, by shell, `(n, q, shells)` nats each.

    The log-likelihood of a mate is `overlap - power`, up to a constant of the image.
    """

    overlap: Tensor
    power: Tensor

    def log_likelihood(self) -> Tensor:
        """Return the log-likelihood of each mate `(n, q)`, less its mean over the mates."""
        values = (self.overlap - self.power).sum(-1)
        return values - values.mean(1, keepdim=True)


@dataclass(frozen=True)
class MatedBatch:
    """Some particles of one part.

    Attributes
    ----------
    rows : Tensor
        `(b,)` positions in the fit, on the CPU.
    rotations, shifts : Tensor
        `(b, q, 3, 3)` and `(b, q, 2)` Angstrom: the stored pose and its mates, refined in the even map.
    residuals : Tensor
        `(b, q, p)` complex: image less the even map's, centred, times CTF and inverse noise variance.
    power : Tensor
        `(b, p)` squared CTF times inverse noise variance.
    trust : Tensor
        `(b,)` weight of each particle in the volume.
    """

    rows: Tensor
    rotations: Tensor
    shifts: Tensor
    residuals: Tensor
    power: Tensor
    trust: Tensor

    def insert(self, weights: Tensor, points: Tensor, volume: WienerVolume) -> Tensor:
        """Insert the residuals, times weights `(b, q)`, at all mates: numerators `(G, G, G)` of a difference."""
        values = (self.residuals * (self.trust[:, None] * weights)[..., None]).flatten(0, 1)
        rotations, size, odd = self.rotations.flatten(0, 1), volume.sums.shape[-1], len(values) % 2
        # Two halves are inserted in parallel; an odd number is made even by an image of zeros.
        values = torch.cat((values, values.new_zeros(odd, values.shape[1]))).unflatten(0, (2, -1))
        rotations = torch.cat((rotations, rotations[:odd])).unflatten(0, (2, -1))
        made = insert_slices(rotations, points, values, values.real * 0, size=size, padding=volume.padding)
        return made[:, 0].sum(0)

    def compare(self, lattice: Tensor, points: Tensor, padding: int, shells: Tensor) -> Leads:
        """Compare the residuals with a difference's lattice `(G, G, G)`; `shells` `(p, s)`: the shell of each point."""
        slices = central_slices(lattice, self.rotations, points, padding)
        overlap = self.residuals.real * slices.real + self.residuals.imag * slices.imag
        power = (slices.real.square() + slices.imag.square()) * (self.power[:, None] / 2)
        return Leads(overlap @ shells, power @ shells)


class MatedParticles:
    """Particles at all of their mates under some turns of the map.

    Parameters
    ----------
    fit : Fit
    poses : GaussNewtonPoses
        Refinement of the fit's poses.
    parts : list of Tensor
        Particles `(k,)` of each part, on the CPU; last, those that are held out.
    rotations, shifts : Tensor
        `(n, q, 3, 3)` and `(n, q, 2)` Angstrom: their poses and mates in the order of the parts; refined here.
    band : int
        Shells that are compared.
    settings : VolumeSettings
        Of the even map and of the difference.

    Attributes
    ----------
    rows : Tensor
        `(n,)` particles of all parts.
    held_out : slice
        Where those are that are held out.
    """

    def __init__(
        self,
        fit: Fit,
        poses: GaussNewtonPoses,
        parts: list[Tensor],
        rotations: Tensor,
        shifts: Tensor,
        band: int,
        settings: VolumeSettings,
    ) -> None:
        self.fit, self.poses, self.band, self.settings = fit, poses, band, settings
        self.rows, self._parts = torch.cat(parts), parts
        self.held_out = slice(len(self.rows) - len(parts[-1]), None)
        self.rotations, self.shifts = rotations, shifts
        self.volume = wiener_volume(fit.images, settings, band, torch.Generator().manual_seed(0))
        self._make_even_map()
        self._refine()
        self._make_even_map()
        self._denominator = self.volume.denominator()
        self.batches = [[self._batch(each) for each in pieces] for pieces in self._pieces()]
        self.points = fit.projector.points[: band_size(fit.images.points, band)]
        self._shells = torch.nn.functional.one_hot(fit.noise.shell[: len(self.points)].long()).float()

    @classmethod
    def of(
        cls,
        fit: Fit,
        poses: GaussNewtonPoses,
        rows: Tensor,
        mates: Tensor,
        band: int,
        settings: VolumeSettings | None = None,
    ) -> MatedParticles:
        """Divide particles `rows` `(n,)` into parts, and begin at their stored poses.

        Parameters
        ----------
        mates : Tensor
            `(q - 1, 3, 3)` turns of the map, without the identity.
        settings : VolumeSettings, optional
            Of the even map and of the difference. Default: those of the fit's volume.
        """
        draws = torch.rand(len(rows), generator=torch.Generator().manual_seed(0))
        part = (draws * (PARTS / (1 - HELD_OUT_SHARE))).long().clamp(max=PARTS)
        parts = [rows[part == number] for number in range(PARTS + 1)]
        start = _at_mates(fit, torch.cat(parts), mates)
        return cls(fit, poses, parts, *start, band, settings or fit.volume_settings)

    def in_band(self, band: int) -> MatedParticles:
        """Return the same particles, from their poses here, in another band (shells)."""
        start = self.rotations.clone(), self.shifts.clone()
        return MatedParticles(self.fit, self.poses, self._parts, *start, band, self.settings)

    def _pieces(self) -> list[list[slice]]:
        """Return where the particles of each part are among all, a batch at a time."""
        ends = itertools.accumulate((len(part) for part in self._parts), initial=0)
        return [_slices(start, stop) for start, stop in itertools.pairwise(ends)]

    def difference(self, weights: Tensor) -> list[Tensor]:
        """Make differences from the residuals at all mates.

        Parameters
        ----------
        weights : Tensor
            `(n, q)` of each mate of each particle, less their mean `1 / q`.

        Returns
        -------
        list of Tensor
            Maps `(m, m, m)`, one without each part, and one of all parts. None has particles that are held out.
        """
        numerators = []
        for pieces, batches in zip(self._pieces()[:PARTS], self.batches[:PARTS], strict=True):
            self.fit.images.check()
            own = torch.zeros_like(self._denominator)
            for piece, batch in zip(pieces, batches, strict=True):
                own += batch.insert(weights[piece], self.points, self.volume)
            numerators.append(own)
        total = torch.stack(numerators).sum(0)
        return [self.volume.made_of(total - own, self._denominator) for own in (*numerators, torch.zeros_like(total))]

    def compare(self, difference: list[Tensor]) -> Leads:
        """Compare each part with the difference that was made without it."""
        leads = []
        for density, batches in zip(difference, self.batches, strict=True):
            self.fit.images.check()
            lattice = self._lattice(density)
            leads += [self._compare(batch, lattice) for batch in batches]
        return Leads(*(torch.cat(column) for column in zip(*leads, strict=True)))

    def others(self, rows: Tensor, mates: Tensor, density: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compare further particles `rows` with a difference `(m, m, m)`, at their mates under turns of the map.

        Returns
        -------
        rotations, shifts, log_likelihood
            `(u, q, 3, 3)`, `(u, q, 2)` and `(u, q)`.
        """
        lattice, lattices, found = self._lattice(density), self.volume.gradient_lattices(), []
        for chosen in rows.split(MATED_BATCH):
            refined = self._refined(chosen, *_at_mates(self.fit, chosen, mates), lattices)
            batch = self._residuals(chosen, *refined)
            found.append((*refined, self._compare(batch, lattice).log_likelihood()))
        rotations, shifts, likelihood = (torch.cat(column) for column in zip(*found, strict=True))
        return rotations, shifts, likelihood

    @property
    def trust(self) -> Tensor:
        """Weight `(n,)` of each particle in the difference; 0 where it is held out."""
        trust = self.fit.particles.trust[self.rows.to(self.fit.device)]
        trust[self.held_out] = 0
        return trust

    def _lattice(self, density: Tensor) -> Tensor:
        return crop_lattice(map_to_hartley(density, self.volume.padding), self.band, self.volume.padding).contiguous()

    def _compare(self, batch: MatedBatch, lattice: Tensor) -> Leads:
        return batch.compare(lattice, self.points, self.volume.padding, self._shells)

    def _make_even_map(self) -> None:
        """Make the map of all particles at all mates evenly."""
        self.volume.forget(0)
        step, mates = WienerStep(self.fit, self.volume), self.rotations.shape[1]
        for chosen in _slices(0, len(self.rows)):
            batch = self.fit.batch(self.rows[chosen], self.band)
            batch = dataclasses.replace(batch, weights=batch.weights / mates)
            for mate in range(mates):
                step.insert(batch, self.rotations[chosen, mate], self.shifts[chosen, mate])
        self.volume.solve()

    def _refine(self) -> None:
        """Refine the poses at all mates in the even map."""
        lattices = self.volume.gradient_lattices()
        for chosen in _slices(0, len(self.rows)):
            refined = self._refined(self.rows[chosen], self.rotations[chosen], self.shifts[chosen], lattices)
            self.rotations[chosen], self.shifts[chosen] = refined

    def _refined(self, rows: Tensor, rotations: Tensor, shifts: Tensor, lattices: Tensor) -> tuple[Tensor, Tensor]:
        """Refine poses `(b, q, 3, 3)`, `(b, q, 2)` in the even map."""
        batch = self.fit.batch(rows, self.band)
        each = [
            self.poses.refine(lattices, batch, rotations[:, mate], shifts[:, mate], steps=EVEN_STEPS)[:2]
            for mate in range(rotations.shape[1])
        ]
        turned, moved = (torch.stack(column, dim=1) for column in zip(*each, strict=True))
        return turned, moved

    def _batch(self, chosen: slice) -> MatedBatch:
        return self._residuals(self.rows[chosen], self.rotations[chosen], self.shifts[chosen])

    def _residuals(self, rows: Tensor, rotations: Tensor, shifts: Tensor) -> MatedBatch:
        """Take the even map away from the images of particles at their mates."""
        fit, batch = self.fit, self.fit.batch(rows, self.band)
        phases = fit.shift_range.phases(shifts, batch.points, batch.extent)
        images = batch.images[:, None] if phases is None else batch.images[:, None] * phases.conj()
        even = central_slices(self._lattice(self.volume.density), rotations, batch.points, self.volume.padding)
        left = (images - even * batch.ctf[:, None]) * (batch.ctf * batch.weights)[:, None]
        trust = fit.particles.trust[batch.where]
        return MatedBatch(rows, rotations, shifts, left, batch.ctf.square() * batch.weights, trust)


def _slices(start: int, stop: int) -> list[slice]:
    """Cut a range into batches."""
    return [slice(first, min(first + MATED_BATCH, stop)) for first in range(start, stop, MATED_BATCH)]


def _at_mates(fit: Fit, rows: Tensor, mates: Tensor) -> tuple[Tensor, Tensor]:
    """Return the stored poses of particles and their mates: `(n, q, 3, 3)`, and `(n, q, 2)` Angstrom."""
    where = rows.to(fit.device)
    shifts = fit.particles.shifts[where][:, None].repeat(1, 1 + len(mates), 1)
    return with_mates(fit.particles.rotations[where], mates), shifts
