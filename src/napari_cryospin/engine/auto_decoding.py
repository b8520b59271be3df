"""Stage two: poses are refined directly, in turn with the volume (paper, section 4.2 and appendix A)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from napari_cryospin.engine.auto_encoding import insert_images
from napari_cryospin.engine.fit import Batch, Fit
from napari_cryospin.engine.losses import candidate_errors
from napari_cryospin.engine.mates import BAND as MATES_BAND
from napari_cryospin.engine.mates import MateTest
from napari_cryospin.engine.pose_refinement import refine_poses
from napari_cryospin.engine.switching import search_again
from napari_cryospin.geometry.so3 import exponential_map, rotation_distance
from napari_cryospin.models.hartley_volume import HartleyVolume
from napari_cryospin.models.wiener_volume import WienerVolume

BAND_GROWTH = 1.3
"""Factor by which the band grows from one epoch to the next."""
NEARLY = 0.9
"""Share of the full band that is as good as all of it: an epoch for the last few shells alone would be wasted."""
STILL = 0.2
"""Mean turn of the poses in an epoch, degrees, below which the full band has nothing more to give."""
SETTLED = 0.002
"""Share of particles whose pose a search changes below which it is not repeated."""
SETTLING_EPOCHS = (2, 12)
"""Epochs at the band of the switch before it grows, at least and at most. A symmetric map that came out a little
twisted must relax first: with more shells, or once its mates are tested, the twist would stay."""
RELAXED = 0.1
"""Mean turn of the poses in an epoch, degrees, below which a map has relaxed."""
MOMENTUM = 0.4
"""How far a map that relaxes is extrapolated. A twist alone falls by a fifth to a quarter an epoch, as poses follow the
map and the map the poses; extrapolated it falls by almost a half (Nesterov)."""


class GradientDecoding:
    """The paper's second stage: Adam on each particle's pose, five steps, then one on the volume."""

    settled = False  # the paper's number of epochs is fixed

    def __init__(self, fit: Fit) -> None:
        assert isinstance(fit.volume, HartleyVolume)
        self.fit, self.settings = fit, fit.settings
        fit.band = fit.full_band
        rate = self.settings.volume.volume_learning_rate_after_switch
        self.optimiser = torch.optim.Adam(fit.volume.parameters(), lr=rate)
        turn = self.settings.schedule.pose_learning_rate
        move = turn * fit.images.pixel_size if fit.max_shift else 0.0
        self.rates = torch.tensor([turn] * 3 + [move] * 2, device=fit.device)

    def step(self, rows: Tensor) -> dict[str, float]:
        """Pose steps with the volume fixed, then a volume step with the poses fixed."""
        fit, kind = self.fit, self.settings.volume.loss
        batch = fit.batch(rows)
        where = rows.to(fit.device)
        before = fit.poses.rotations[where]
        with torch.no_grad():
            lattice = fit.volume.hartley(fit.band)
        for _ in range(self.settings.schedule.pose_steps):
            fit.poses.step(where, self._pose_gradient(batch, lattice, where), self.rates)
        model = fit.project(batch, fit.poses.rotations[where], fit.poses.shifts[where])
        errors = candidate_errors(model[:, None], batch.images, batch.weights, kind)[:, 0]
        points = len(batch.points) if kind == "squared" else 1
        self.optimiser.zero_grad(set_to_none=True)
        (errors.mean() / points).backward()
        self.optimiser.step()
        fit.note_error(batch, model.detach())
        return {
            "loss": float(fit.error[rows].mean()),
            "pose_change": float(rotation_distance(before, fit.poses.rotations[where]).mean()),
        }

    def _pose_gradient(self, batch: Batch, lattice: Tensor, where: Tensor) -> Tensor:
        """`(b, 5)` derivative of each particle's error in the perturbation of its pose (Eq. 9), at none."""
        fit = self.fit
        omega = torch.zeros(len(where), 3, device=fit.device, requires_grad=True)
        move = torch.zeros(len(where), 2, device=fit.device, requires_grad=True)
        rotations = exponential_map(omega) @ fit.poses.rotations[where]
        shifts = fit.poses.shifts[where] + move
        model = fit.projector(lattice, rotations, shifts if fit.max_shift else None, batch.ctf)
        errors = candidate_errors(model[:, None], batch.images, batch.weights, self.settings.volume.loss)
        gradients = torch.autograd.grad(errors.sum(), (omega, move), allow_unused=True)
        turned, moved = gradients
        return torch.cat((turned, torch.zeros_like(move) if moved is None else moved), dim=1)

    def end_epoch(self) -> dict[str, float]:
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {"optimiser": self.optimiser.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimiser.load_state_dict(state["optimiser"])


class ClosedFormDecoding:
    """The same alternation with exact steps: damped Gauss-Newton for the poses, a Wiener average for the volume.

    Within an epoch the volume stands still; all particles, at their new poses, make the next one, which sees more
    shells. A shell is therefore never looked at before it was fitted.
    """

    KEPT = ("epochs", "turned", "settled", "next_band", "searching", "settling", "lattices", "before")

    def __init__(self, fit: Fit) -> None:
        assert isinstance(fit.volume, WienerVolume)
        self.fit, self.settings = fit, fit.settings
        self.epochs = 0
        self.turned: list[float] = []  # mean turn in each step of the epoch
        self.settled = False
        self.next_band = fit.band
        self.mates = MateTest(fit) if self.settings.posterior.mates else None
        self.searching = self.settings.posterior.search_at_switch
        self.settling = True
        self.lattices: Tensor | None = None
        self.before: Tensor | None = None  # while it settles, the map of the epoch before

    def _open_epoch(self) -> Tensor:
        """Lattices of this epoch's volume; empty sums, as large as the next band needs, to gather the next."""
        volume = self.fit.volume
        assert isinstance(volume, WienerVolume)
        density = volume.density
        if self.before is not None and self.before.shape == density.shape:
            density = density + MOMENTUM * (density - self.before)
        # The first map of all is not extrapolated from: its poses were the heads'.
        self.before = volume.density if self.settling and self.epochs else None
        lattices = volume.gradient_lattices(density)
        volume.set_band(self.next_band)
        volume.forget(0)
        return lattices

    def step(self, rows: Tensor) -> dict[str, float]:
        """Refine the poses of some particles, and add them to the next volume."""
        fit = self.fit
        volume = fit.volume
        assert isinstance(volume, WienerVolume)
        if self.lattices is None:
            self.lattices = self._open_epoch()
        wide = fit.batch(rows, self.next_band)
        batch = fit.batch(rows)
        where = rows.to(fit.device)
        before = fit.poses.rotations[where]
        stored = fit.poses.shifts[where] if fit.max_shift else None
        data = (batch.images, batch.ctf, batch.weights, batch.points, fit.images.extent)
        steps = self.settings.schedule.pose_steps
        rotations, shifts, _ = refine_poses(self.lattices, volume.padding, before, stored, *data, steps=steps)
        shifts = fit.poses.shifts[where] if shifts is None else shifts.clamp(-fit.max_shift, fit.max_shift)
        fit.poses.set(where, rotations, shifts)
        model = fit.project(batch, rotations, shifts)
        fit.note_error(batch, model)
        fit.observe_residual(batch, model)
        insert_images(fit, wide, rotations, shifts)
        self.turned.append(float(rotation_distance(before, rotations).mean()))
        return {"loss": float(fit.error[rows].mean()), "pose_change": self.turned[-1], "band": float(fit.band)}

    def end_epoch(self) -> dict[str, float]:
        """Make the new volume; let the band grow; test mates once poses are fine."""
        fit = self.fit
        volume = fit.volume
        assert isinstance(volume, WienerVolume)
        metrics: dict[str, float] = {}
        self.epochs += 1
        refined, fit.band = fit.band, self.next_band
        turn = sum(self.turned) / len(self.turned)
        least, most = SETTLING_EPOCHS
        if self.searching:
            metrics["searched_changed"] = search_again(fit)
            self.searching = metrics["searched_changed"] > SETTLED and turn > RELAXED and self.epochs < most
        elif self.mates is not None and not self.settling and self.mates.due():
            metrics |= self.mates.run()
        moving = self.searching or turn > RELAXED or self.epochs < least
        self.settling = self.settling and moving and self.epochs < most
        volume.solve()
        testing = self.searching or (self.mates is not None and not self.mates.over)
        self.settled = refined == fit.full_band and turn <= STILL and not testing
        self.turned = []
        if self.settling:
            self.next_band = max(fit.band, fit.encoding_band)
        else:
            self.before = None
            grown = int(fit.band * BAND_GROWTH) + 1
            self.next_band = grown if grown < NEARLY * fit.full_band else fit.full_band
            if self.mates is not None and not self.mates.over:  # more shells than it compares would only cost time
                self.next_band = min(self.next_band, max(fit.band, MATES_BAND))
        self.lattices = None
        return metrics

    def state_dict(self) -> dict[str, Any]:
        mates = self.mates.state_dict() if self.mates is not None else None
        return {**{name: getattr(self, name) for name in self.KEPT}, "mates": mates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in self.KEPT:
            setattr(self, name, state[name])
        for name in ("lattices", "before"):
            if state[name] is not None:
                setattr(self, name, state[name].to(self.fit.device))
        if self.mates is not None:
            self.mates.load_state_dict(state["mates"])
