"""Steps of a volume: by gradients (paper, section 4.3), or in closed form as a running Wiener average.

A new step is one class here, one entry in `VOLUME_STEPS`, and its volume in `engine.volumes`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from napari_cryospin.engine.batch import Batch
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.grid_posterior import FoundPoses, drawn, in_order, most_probable
from napari_cryospin.engine.learner import Learner
from napari_cryospin.engine.sampling import PoseSearch
from napari_cryospin.engine.soft_assignments import SoftInsertion
from napari_cryospin.geometry.so3 import random_rotations
from napari_cryospin.models.learned_volume import LearnedVolume
from napari_cryospin.models.wiener_volume import WienerVolume

FADING_STEPS = 30
"""Number of first steps in which the Wiener average forgets faster, since poses are random then; chosen by hand."""
FIRST_MEMORY, MEMORY = 0.8, 0.9
"""Share of the running Wiener average that a step keeps, in the first `FADING_STEPS` and afterwards; chosen by hand."""
LEAST_STEPS_AN_EPOCH = 4
"""Smallest number of steps in an epoch, which a running average needs even with few particles; chosen by hand."""
UNSEEN_DIRECTION = 0.01
"""Weight that holds the map in its place along a direction that no image shows, as a share of the weight of the shifts;
chosen by hand."""


class VolumeStep(Learner):
    """A step that changes the volume of a fit, given images and their poses.

    Attributes
    ----------
    by_gradients : bool
        Whether the volume learns from the graph of the loss, by `descend`; otherwise from winning poses, by `average`.
    """

    @property
    def by_gradients(self) -> bool:
        return self.optimiser is not None

    def batch_size(self, wanted: int, particles: int) -> int:
        """Return the number of particles in a step, given the `wanted` one and the number of the fit's particles."""
        return wanted

    def part_size(self, batch: int, wanted: int) -> int:
        """Return the number of a batch's images from which the proposers learn at a time."""
        return batch

    def average(self, batch: Batch, rotations: Tensor, shifts: Tensor, step: int) -> None:
        """Learn from images at their winning poses `(b, 3, 3)`, `(b, 2)`, in a step of the first stage."""

    def centre(self) -> dict[str, float]:
        """Move the map, and all shifts with it, to where the shifts are smallest. Return metrics."""
        return {}

    def remake(self) -> None:
        """Make the volume anew from all particles at their present poses, if it is a function of these."""


class AdamStep(VolumeStep):
    """A gradient step on mantissa and exponent of the lattice (the paper), or on the weights of a network (cryoAI)."""

    def __init__(self, fit: Fit[LearnedVolume], rate: float | None = None) -> None:
        rate = fit.settings.volume.volume_learning_rate if rate is None else rate
        self.optimiser = torch.optim.Adam(fit.volume.parameters(), lr=rate)


class WienerStep(VolumeStep):
    """A step that adds images to the sums of a Wiener average, and solves the volume from these (not in the paper).

    Parameters
    ----------
    fit : Fit
    volume : WienerVolume, optional
        Volume to add to. Default: the one of the fit.
    """

    def __init__(self, fit: Fit, volume: WienerVolume | None = None) -> None:
        self.fit: Fit = fit
        self.volume: WienerVolume = fit.volume if volume is None else volume

    def batch_size(self, wanted: int, particles: int) -> int:
        return min(wanted, -(-particles // LEAST_STEPS_AN_EPOCH))

    def part_size(self, batch: int, wanted: int) -> int:
        return wanted

    @torch.no_grad()
    def average(self, batch: Batch, rotations: Tensor, shifts: Tensor, step: int) -> None:
        """Add images to the running average. What the volume before it leaves unexplained of them counts as noise."""
        self.fit.noise.observe(batch.where, batch.images, self.fit.project(batch, rotations, shifts))
        self.volume.forget(self.memory(step))
        self.insert(batch, rotations, shifts)
        if not self.fit.holds_reference:
            self.volume.solve()

    def memory(self, step: int) -> float:
        """Return the share of the running average that a step keeps.

        Poses that were found in a reference are not random: while it is held nothing is forgotten.
        """
        if self.fit.settings.start.reference is None:
            return FIRST_MEMORY if step < FADING_STEPS else MEMORY
        return 1.0 if self.fit.holds_reference else MEMORY

    @torch.no_grad()
    def insert(self, batch: Batch, rotations: Tensor, shifts: Tensor) -> None:
        """Add images at poses `(b, 3, 3)`, `(b, 2)` to the sums. The volume itself is unchanged until `solve`."""
        images = batch.images
        phases = self.fit.shift_range.phases(shifts, batch.points, batch.extent)
        if phases is not None:
            images = images * phases.conj()
        values, weights = self.weighted(batch, images)
        self.volume.insert(rotations, batch.points, values, weights, self.fit.particles.folds[batch.where])

    def weighted(self, batch: Batch, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return centred images of a batch, times CTF and inverse noise variance, and their weights, `(b, p)` each."""
        trusted = batch.weights * self.fit.particles.trust[batch.where, None]
        return images * (batch.ctf * trusted), batch.ctf.square() * trusted

    @torch.no_grad()
    def remake(self, band: int | None = None) -> None:
        """Make the volume anew from all particles at their present poses, in this or in another band (shells)."""
        if band is not None:
            self.volume.set_band(band)
        self.volume.forget(0)
        for batch in self.fit.batches(band=band):
            self.insert(batch, *self.fit.poses(batch))
        self.volume.solve()

    @torch.no_grad()
    def centre(self) -> dict[str, float]:
        """Move the map to where the shifts are smallest, because those of a map off centre may lie out of range.

        A symmetric map is moved along the directions only that its symmetry leaves free: along z, or nowhere.

        If the map is moved by `u`, each shift changes by `(A u)_xy`. The sum of squares of the shifts is minimised.

        Returns
        -------
        dict
            centred: distance moved, Angstrom. The dict is empty if shifts are not searched, and where the map is to
            stay in the frame of a reference.
        """
        fit = self.fit
        if not fit.shift_range.looked_for or fit.settings.start.reference is not None:
            return {}
        seen = fit.particles.rotations[:, :2]  # (n, 2, 3)
        normal = torch.einsum("nik,nil->kl", seen, seen)
        normal += UNSEEN_DIRECTION * len(seen) * torch.eye(3, device=fit.device)
        free = fit.symmetry.free_directions(seen)
        if not len(free):
            return {}
        pull = torch.einsum("nik,ni->k", seen, fit.particles.shifts)
        offset = (torch.linalg.solve(free @ normal @ free.T, free @ pull)[:, None] * free).sum(0)
        fit.particles.recentre(offset)
        self.volume.move(-offset / fit.images.extent)
        return {"centred": float(offset.norm())}


class SoftStep(WienerStep):
    """A Wiener average to which every image is added at all poses of the grid, by its posterior (not in the paper)."""

    @torch.no_grad()
    def average(self, batch: Batch, rotations: Tensor, shifts: Tensor, step: int) -> None:
        """Add images to the running average, whatever poses have won; these tell what of an image is noise."""
        self.fit.noise.observe(batch.where, batch.images, self.fit.project(batch, rotations, shifts))
        turn = random_rotations(1, self.fit.generator)[0]
        self.volume.forget(self.memory(step))
        self.assign(PoseSearch(self.fit, turn), batch, batch)
        if not self.fit.holds_reference:
            self.volume.solve()

    @torch.no_grad()
    def assign(self, search: PoseSearch, batch: Batch, wide: Batch) -> tuple[FoundPoses, FoundPoses]:
        """Add images to the sums at all poses of a search, by their posteriors. The volume is unchanged until `solve`.

        Parameters
        ----------
        search : PoseSearch
        batch, wide : Batch
            Images with the shells that are compared, and with those that are added.

        Returns
        -------
        best, samples : FoundPoses
            Of each particle the most probable pose, and one drawn from its posterior.
        """
        insertion = SoftInsertion(self.fit, self.volume, wide, *self.weighted(wide, wide.images))
        draw = partial(drawn, generator=self.fit.generator)
        best, samples = [], []
        for posterior in search.posteriors(batch):
            insertion.add(posterior)
            best.append((posterior.where, posterior.chosen(most_probable)))
            samples.append((posterior.where, posterior.chosen(draw)))
        insertion.finish()
        return in_order(best), in_order(samples)


class WholeAverage(WienerStep):
    """A Wiener average in which each particle counts once, for poses that stay as they are (not in the paper).

    While all particles are looked at for the first time, the volume is that of those seen so far; later on it changes
    once all of them were seen again, with the noise that the volume before leaves.
    """

    def __init__(self, fit: Fit) -> None:
        super().__init__(fit)
        self.seen = 0

    @torch.no_grad()
    def average(self, batch: Batch, rotations: Tensor, shifts: Tensor, step: int) -> None:
        """Add images to the average; begin a new one when all particles are in it."""
        count = len(self.fit)
        self.fit.noise.observe(batch.where, batch.images, self.fit.project(batch, rotations, shifts))
        if self.seen % count == 0:
            self.volume.forget(0)
        self.insert(batch, rotations, shifts)
        self.seen += len(batch)
        if self.seen <= count or self.seen % count == 0:
            self.volume.solve()

    def centre(self) -> dict[str, float]:
        """Leave the map where the known poses have it."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return how many images were added so far; the sums are the volume's."""
        return super().state_dict() | {"seen": self.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state of a step of the same fit."""
        super().load_state_dict(state)
        self.seen = state["seen"]


VOLUME_STEPS: dict[str, Callable[[Fit[Any]], VolumeStep]] = {
    "adam": AdamStep,
    "implicit": AdamStep,
    "wiener": WienerStep,
}
"""Setting `volume_update` -> the class of its step."""


def volume_step(fit: Fit) -> VolumeStep:
    """Make the volume step that the settings of a fit name."""
    settings = fit.settings.volume
    return SoftStep(fit) if settings.assignments == "soft" else VOLUME_STEPS[settings.volume_update](fit)
