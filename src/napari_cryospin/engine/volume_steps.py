"""How a volume is learned: by gradients (paper, section 4.3), or in closed form as a running Wiener average.

A new way is one class here, one entry in `VOLUME_STEPS`, and its volume in `engine.volumes`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from napari_cryospin.engine.batch import Batch
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.learner import Learner
from napari_cryospin.models.hartley_volume import HartleyVolume
from napari_cryospin.models.wiener_volume import WienerVolume

FADING_STEPS = 30
"""Steps during which the Wiener average forgets faster: what it learned from random poses must not last."""
FIRST_MEMORY, MEMORY = 0.8, 0.9
"""Share of the running Wiener average that a step keeps, during the first `FADING_STEPS` and afterwards."""
LEAST_STEPS_AN_EPOCH = 4
"""Steps that a running average wants even in an epoch of few particles."""
UNSEEN_DIRECTION = 0.01
"""Share of a shift's weight that holds the map where it is along a direction that no image shows."""


class VolumeStep(Learner):
    """Changes the volume of a fit, given images and their poses.

    Attributes
    ----------
    by_gradients : bool
        The volume learns from the graph of the loss, by `descend`; else from winning poses, by `average`.
    """

    @property
    def by_gradients(self) -> bool:
        return self.optimiser is not None

    def batch_size(self, wanted: int, particles: int) -> int:
        """Return how many of the fit's particles to look at in a step."""
        return wanted

    def part_size(self, batch: int, wanted: int) -> int:
        """Return how many images of a batch the proposers learn from at a time."""
        return batch

    def average(self, batch: Batch, rotations: Tensor, shifts: Tensor, step: int) -> None:
        """Learn from images at their winning poses `(b, 3, 3)`, `(b, 2)`, in a step of the first stage."""

    def centre(self) -> dict[str, float]:
        """Move the map, and all shifts with it, to where the shifts are least. Return metrics."""
        return {}

    def remake(self) -> None:
        """Make the volume anew from all particles at their present poses, where it is a function of these."""


class AdamStep(VolumeStep):
    """A gradient step on mantissa and exponent of the lattice (the paper)."""

    def __init__(self, fit: Fit[HartleyVolume], rate: float | None = None) -> None:
        rate = fit.settings.volume.volume_learning_rate if rate is None else rate
        self.optimiser = torch.optim.Adam(fit.volume.parameters(), lr=rate)


class WienerStep(VolumeStep):
    """Adds images to the sums of a Wiener average, from which the volume is solved (not in the paper)."""

    def __init__(self, fit: Fit[WienerVolume]) -> None:
        self.fit, self.volume = fit, fit.volume

    def batch_size(self, wanted: int, particles: int) -> int:
        return min(wanted, -(-particles // LEAST_STEPS_AN_EPOCH))

    def part_size(self, batch: int, wanted: int) -> int:
        return wanted

    @torch.no_grad()
    def average(self, batch: Batch, rotations: Tensor, shifts: Tensor, step: int) -> None:
        """Add images to the running average. What the volume before leaves unexplained of them counts as noise."""
        self.fit.noise.observe(batch.where, batch.images, self.fit.project(batch, rotations, shifts))
        self.volume.forget(FIRST_MEMORY if step < FADING_STEPS else MEMORY)
        self.insert(batch, rotations, shifts)
        self.volume.solve()

    @torch.no_grad()
    def insert(self, batch: Batch, rotations: Tensor, shifts: Tensor) -> None:
        """Add images at poses `(b, 3, 3)`, `(b, 2)` to the sums. The volume itself stays until it is solved."""
        images = batch.images
        phases = self.fit.shift_range.phases(shifts, batch.points, batch.extent)
        if phases is not None:
            images = images * phases.conj()
        values, weights = images * (batch.ctf * batch.weights), batch.ctf.square() * batch.weights
        self.volume.insert(rotations, batch.points, values, weights, self.fit.particles.folds[batch.where])

    @torch.no_grad()
    def remake(self, band: int | None = None) -> None:
        """Make the volume anew from all particles at their present poses, in this band or in another."""
        if band is not None:
            self.volume.set_band(band)
        self.volume.forget(0)
        for batch in self.fit.batches(band=band):
            self.insert(batch, *self.fit.poses(batch))
        self.volume.solve()

    @torch.no_grad()
    def centre(self) -> dict[str, float]:
        """Move the map to where the shifts are least: those of an eccentric map may lie out of range.

        A map at `u` from there is explained by shifts that differ by `(A u)_xy`: least squares.

        Returns
        -------
        dict
            centred: by how far, Angstrom; nothing where shifts are not looked for.
        """
        fit = self.fit
        if not fit.shift_range.looked_for:
            return {}
        seen = fit.particles.rotations[:, :2]  # (n, 2, 3)
        normal = torch.einsum("nik,nil->kl", seen, seen)
        normal += UNSEEN_DIRECTION * len(seen) * torch.eye(3, device=fit.device)
        offset = torch.linalg.solve(normal, torch.einsum("nik,ni->k", seen, fit.particles.shifts))
        fit.particles.recentre(offset)
        self.volume.move(-offset / fit.images.extent)
        return {"centred": float(offset.norm())}


VOLUME_STEPS: dict[str, Callable[[Fit[Any]], VolumeStep]] = {"adam": AdamStep, "wiener": WienerStep}
"""By the setting `volume_update`."""


def volume_step(fit: Fit) -> VolumeStep:
    """Make the step that the settings of a fit ask for."""
    return VOLUME_STEPS[fit.settings.volume.volume_update](fit)
