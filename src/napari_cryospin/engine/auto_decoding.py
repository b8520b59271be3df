"""The second stage: poses are refined directly, in turn with the volume (paper, section 4.2 and appendix A)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from napari_cryospin.engine.belonging import BELONGING_BAND, slice_power
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.kept_state import KeptState
from napari_cryospin.engine.mates import MateTest
from napari_cryospin.engine.other_modes import try_other_modes
from napari_cryospin.engine.phases import Bands, DecodingStanding, EpochReport, Task, after_epoch, first_standing
from napari_cryospin.engine.pose_steps import AdamPoses, GaussNewtonPoses
from napari_cryospin.engine.sampling import PoseSearch
from napari_cryospin.engine.volume_steps import AdamStep, WienerStep
from napari_cryospin.geometry.so3 import rotation_distance
from napari_cryospin.models.hartley_volume import HartleyVolume
from napari_cryospin.models.wiener_volume import WienerVolume
from napari_cryospin.physics.fourier import band_size

MAP_MOMENTUM = 0.4
"""Factor on a relaxing map's last change, by which the map is extrapolated (Nesterov's momentum). Without it a twist of
the map falls by only a fifth to a quarter an epoch; with it, by about a third (docs/method.md, Near-symmetries)."""
ANOTHER_POSE = 15.0
"""Distance, degrees, from which a pose found by a repeated search differs from the stored one: the grid's spacing."""


class GradientDecoding:
    """The paper's second stage: several Adam steps on each particle's pose, then one on the volume."""

    settled = False  # The paper fixes the number of epochs.

    def __init__(self, fit: Fit[HartleyVolume]) -> None:
        self.fit = fit
        fit.band.now = fit.band.full
        fit.volume.set_band(fit.band.full)
        self.poses = AdamPoses(fit)
        self.volume_step = AdamStep(fit, fit.settings.volume.volume_learning_rate_after_switch)

    def batch_size(self, wanted: int) -> int:
        """Return how many particles to look at in a step."""
        return self.volume_step.batch_size(wanted, len(self.fit))

    def step(self, rows: Tensor) -> dict[str, float]:
        """Make pose steps with the volume fixed, then a volume step with the poses fixed. Return metrics."""
        fit = self.fit
        batch = fit.batch(rows)
        before, _ = fit.poses(batch)
        with torch.no_grad():
            lattice = fit.volume.hartley(fit.band.now)
        for _ in range(fit.settings.schedule.pose_steps):
            self.poses.step(batch, lattice)
        rotations, shifts = fit.poses(batch)
        model = fit.project(batch, rotations, shifts)
        points = len(batch.points) if fit.settings.volume.loss == "squared" else 1
        self.volume_step.zero_gradients()
        (fit.errors(batch, model[:, None])[:, 0].mean() / points).backward()
        self.volume_step.descend()
        fit.record_errors(batch, model.detach())
        return {"loss": fit.mean_error(rows), "pose_change": float(rotation_distance(before, rotations).mean())}

    def end_epoch(self) -> dict[str, float]:
        """Estimate the scales anew. Return no metrics."""
        self.fit.update_scales(particles_differ=True)
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return the state that `load_state_dict` needs beside the fit's."""
        return {"moments": self.poses.moments.state_dict(), "volume_step": self.volume_step.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state of this stage."""
        self.poses.moments.load_state_dict(state["moments"])
        self.volume_step.load_state_dict(state["volume_step"])


@dataclass(eq=False)
class DecodingState(KeptState):
    """State of the second stage in closed form, beside that of the fit.

    Attributes
    ----------
    standing : DecodingStanding
        Phase and bands.
    turned : list of float
        Mean turn of the poses in each step of this epoch, degrees.
    lattices : Tensor, optional
        `(4, G, G, G)` of the volume that is fixed in this epoch; None between two epochs.
    before : Tensor, optional
        `(m, m, m)` map of the epoch before, while the map relaxes.
    """

    standing: DecodingStanding
    turned: list[float] = field(default_factory=list)
    lattices: Tensor | None = None
    before: Tensor | None = None


class ClosedFormDecoding:
    """The second stage in closed form: damped Gauss-Newton pose steps, and a Wiener average as the volume.

    Within an epoch the volume is fixed. All particles, at their new poses, make the next volume, whose band may be
    larger: a shell is never compared before it was fitted. `engine.phases` decides on the phase after an epoch.
    """

    def __init__(self, fit: Fit[WienerVolume]) -> None:
        self.fit = fit
        self.volume_step, self.poses = WienerStep(fit), GaussNewtonPoses(fit)
        posterior = fit.settings.posterior
        self.mates = MateTest(fit, self.volume_step, self.poses) if posterior.mates else None
        self.state = DecodingState(first_standing(fit.band.now, searches=posterior.search_at_switch))
        self.power: Tensor | None = None  # Of this epoch's slices; it follows from the volume, and is not saved.

    @property
    def settled(self) -> bool:
        return self.state.standing.settled

    def batch_size(self, wanted: int) -> int:
        """Return how many particles to look at in a step."""
        return self.volume_step.batch_size(wanted, len(self.fit))

    def _open_epoch(self) -> Tensor:
        """Make the lattices of this epoch's volume, and empty the sums for the next volume and its band."""
        volume, state = self.fit.volume, self.state
        density = volume.density
        if state.before is not None and state.before.shape == density.shape:
            density = density + MAP_MOMENTUM * (density - state.before)
        # The map of the first epoch is no base for the extrapolation, because its poses were those at the switch.
        state.before = volume.density if state.standing.relaxing and state.standing.epochs else None
        lattices = volume.gradient_lattices(density)
        volume.set_band(state.standing.next_band)
        volume.forget(0)
        return lattices

    def step(self, rows: Tensor) -> dict[str, float]:
        """Refine the poses of some particles, and add them to the next volume. Return metrics."""
        fit, state = self.fit, self.state
        if state.lattices is None:
            state.lattices = self._open_epoch()
        wide = fit.batch(rows, state.standing.next_band)
        batch = fit.batch(rows)
        before, stored = fit.poses(batch)
        rotations, shifts, _ = self.poses.refine(state.lattices, batch, before, stored)
        fit.particles.record_poses(batch.where, rotations, shifts)
        model = fit.project(batch, rotations, shifts)
        fit.record_errors(batch, model)
        fit.noise.observe(batch.where, batch.images, model)
        if fit.settings.posterior.junk:
            seen = batch.inner(band_size(fit.images.points, min(fit.band.now, BELONGING_BAND)))
            count = len(seen.points)
            if self.power is None:
                self.power = slice_power(state.lattices[0], fit.volume.padding, seen.points, fit.noise.shell[:count])
            fit.record_odds(seen, model[:, :count], self.power)
        self.volume_step.insert(wide, rotations, shifts)
        state.turned.append(float(rotation_distance(before, rotations).mean()))
        return {"loss": fit.mean_error(rows), "pose_change": state.turned[-1], "band": float(fit.band.now)}

    def end_epoch(self) -> dict[str, float]:
        """Make the new volume, and do the phase's task at the end of an epoch. Return metrics."""
        fit, state = self.fit, self.state
        task = state.standing.task(fit.band.full)
        fit.band.now = state.standing.next_band
        metrics: dict[str, float] = {}
        changed = 1.0
        if task is Task.SEARCH:
            changed = metrics["searched_changed"] = search_again(fit, self.volume_step, self.poses)
        elif task is Task.TEST_MATES and self.mates is not None:
            metrics |= self.mates.run()
        elif task is Task.TRY_MODES and fit.settings.posterior.search_at_switch:
            metrics["modes_changed"] = try_other_modes(fit, self.volume_step, self.poses)
        fit.volume.solve()
        fit.update_scales(particles_differ=True)
        if fit.settings.posterior.junk:
            fit.update_belonging()
        report = EpochReport(
            turn=sum(state.turned) / len(state.turned),
            changed=changed,
            mates_tested=self.mates is None or self.mates.tally.over,
        )
        state.standing = after_epoch(state.standing, report, Bands(fit.band.encoding, fit.band.full))
        state.turned, state.lattices, self.power = [], None, None
        if not state.standing.relaxing:
            state.before = None
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """Return the state that `load_state_dict` needs beside the fit's."""
        mates = None if self.mates is None else self.mates.tally.state_dict()
        return {"state": self.state.state_dict(), "mates": mates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state of this stage."""
        self.state.load_state_dict(state["state"], self.fit.device)
        if self.mates is not None:
            self.mates.tally.load_state_dict(state["mates"])


@torch.no_grad()
def search_again(fit: Fit[WienerVolume], step: WienerStep, poses: GaussNewtonPoses) -> float:
    """Search the grid for all particles once more, and store the poses that explain the image better.

    A pose from the grid is a candidate only where it lies farther than `ANOTHER_POSE` from the stored one. Both are
    refined before their errors are compared.

    Returns
    -------
    float
        Share of particles whose pose changed.
    """
    fit.volume.solve()
    search, lattices, changed = PoseSearch(fit), fit.volume.gradient_lattices(), 0
    for batch in fit.batches():
        found = search.best(batch)
        fit.particles.record_entropy(batch.rows, found.entropy)
        stored, _ = fit.poses(batch)
        copies = fit.symmetry.nearest_copy(found.rotations, stored)
        far = (rotation_distance(copies, stored) > ANOTHER_POSE).nonzero()[:, 0]
        if not len(far):
            continue
        part = fit.batch(batch.where[far].cpu())
        *_, here = poses.refine(lattices, part, *fit.poses(part), steps=1)
        rotations, shifts, there = poses.refine(lattices, part, copies[far], found.shifts[far])
        better = (there < here).nonzero()[:, 0]
        fit.particles.record_poses(part.where[better], rotations[better], shifts[better])
        changed += len(better)
    if changed:
        step.remake()
    return changed / len(fit)
