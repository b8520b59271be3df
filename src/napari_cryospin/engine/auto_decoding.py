"""The second stage: poses are refined directly, in turn with the volume (paper, section 4.2 and appendix A)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from napari_cryospin.engine.batch import Batch
from napari_cryospin.engine.belonging import BELONGING_BAND
from napari_cryospin.engine.class_decoding import ClassDecoding
from napari_cryospin.engine.class_sorting import sort_classes
from napari_cryospin.engine.classes import dead_class, drop_class, merge_classes, offer
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.kept_state import KeptState
from napari_cryospin.engine.mate_sorting import sort_mates
from napari_cryospin.engine.other_modes import try_other_modes
from napari_cryospin.engine.phases import Bands, DecodingStanding, EpochReport, Task, after_epoch, first_standing
from napari_cryospin.engine.pose_steps import AdamPoses, GaussNewtonPoses
from napari_cryospin.engine.sampling import PoseSearch
from napari_cryospin.engine.volume_steps import AdamStep, WienerStep
from napari_cryospin.geometry.so3 import rotation_distance
from napari_cryospin.models.learned_volume import LearnedVolume
from napari_cryospin.models.wiener_volume import WienerVolume
from napari_cryospin.physics.fourier import band_size

ANOTHER_POSE = 15.0
"""Distance, degrees, from which a pose found by a repeated search differs from the stored one: the grid's spacing."""
MOST_OFFERS = 2
"""How often in a run the place of a dead class is offered to other particles, before the class is dropped; chosen by
hand."""


class GradientDecoding:
    """The paper's second stage: several Adam steps on each particle's pose, then one on the volume."""

    settled = False  # The paper fixes the number of epochs.

    def __init__(self, fit: Fit[LearnedVolume]) -> None:
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
    """State of the second stage in closed form, beside those of the fit and of its classes.

    Attributes
    ----------
    standing : DecodingStanding
        Phase and bands.
    turned : list of float
        Mean turn of the poses in each step of this epoch, degrees.
    offered : int
        How often the place of a dead class was offered to other particles.
    mates_sorted : bool
        Whether the particles were sorted among their mates, or there was nothing to sort.
    """

    standing: DecodingStanding
    turned: list[float] = field(default_factory=list)
    offered: int = 0
    mates_sorted: bool = False


class ClosedFormDecoding:
    """The second stage in closed form: damped Gauss-Newton pose steps, and a Wiener average as the volume.

    Within an epoch the volume is fixed. All particles, at their new poses, make the next volume, whose band may be
    larger: a shell is never compared before it was fitted. `engine.phases` decides on the phase after an epoch. With
    several classes, each particle is refined in the volume of its class.
    """

    def __init__(self, fit: Fit[WienerVolume]) -> None:
        self.fit, self.poses = fit, GaussNewtonPoses(fit)
        self.classes = [ClassDecoding(view) for view in fit.classes]
        self.state = DecodingState(first_standing(fit.band.now, searches=fit.settings.posterior.search_at_switch))

    @property
    def volume_step(self) -> WienerStep:
        """Step that learns the volume of the fit: with several classes, of the first one."""
        return self.classes[0].volume_step

    @property
    def settled(self) -> bool:
        return self.state.standing.settled

    def batch_size(self, wanted: int) -> int:
        """Return how many particles to look at in a step."""
        return self.volume_step.batch_size(wanted, len(self.fit))

    def step(self, rows: Tensor) -> dict[str, float]:
        """Refine the poses of some particles, and add them to the next volume. Return metrics."""
        fit, state = self.fit, self.state
        lattices = [part.lattices(state.standing) for part in self.classes]
        wide = fit.batch(rows, state.standing.next_band)
        batch = wide.inner(band_size(fit.images.points, fit.band.now))
        before, stored = fit.poses(batch)
        members = self._members(batch)
        model = torch.empty_like(batch.images)
        for number, own in members.items():
            mine, where = batch.part(own), _on(fit.device, own)
            start = before[where], stored[where]
            rotations, shifts, _ = self.poses.refine(lattices[number], mine, *start, judge_all=False)
            fit.particles.record_poses(mine.where, rotations, shifts)
            model[where] = fit.classes[number].project(mine, rotations, shifts)
        fit.record_errors(batch, model)
        fit.noise.observe(batch.where, batch.images, model)
        if fit.settings.posterior.junk:
            self._record_odds(batch, model, lattices, members)
        for number, own in members.items():
            mine = wide.part(own)
            self.classes[number].volume_step.insert(mine, *fit.poses(mine))
        state.turned.append(float(rotation_distance(before, fit.poses(batch)[0]).mean()))
        return {"loss": fit.mean_error(rows), "pose_change": state.turned[-1], "band": float(fit.band.now)}

    def _members(self, batch: Batch) -> dict[int, slice | Tensor]:
        """Return the positions in a batch of each class's particles, on the CPU; classes without any are left out."""
        if len(self.classes) == 1:
            return {0: slice(None)}
        numbers = self.fit.particles.classes[batch.where].cpu()
        return {int(number): (numbers == number).nonzero()[:, 0] for number in numbers.unique()}

    def _record_odds(
        self, batch: Batch, model: Tensor, lattices: list[Tensor], members: dict[int, slice | Tensor]
    ) -> None:
        """Record the odds of what the images show, each against the map of its class."""
        fit = self.fit
        seen = batch.inner(band_size(fit.images.points, min(fit.band.now, BELONGING_BAND)))
        for number, own in members.items():
            power = self.classes[number].slice_power(lattices[number], seen)
            fit.record_odds(seen.part(own), model[_on(fit.device, own), : len(seen.points)], power)

    def end_epoch(self) -> dict[str, float]:
        """Make the new volume, and do the phase's task at the end of an epoch. Return metrics."""
        fit, state = self.fit, self.state
        task = state.standing.task(fit.band.full)
        fit.band.now = state.standing.next_band
        metrics: dict[str, float] = {}
        changed = 1.0
        if task is Task.SEARCH:
            changed = sum(search_again(part.fit, part.volume_step, self.poses) for part in self.classes)
            metrics["searched_changed"] = changed
        elif task is Task.TEST_MATES:
            metrics |= self._test_mates()
        elif task is Task.TRY_MODES and fit.settings.posterior.search_at_switch:
            changes = [try_other_modes(part.fit, part.volume_step, self.poses) for part in self.classes]
            metrics["modes_changed"] = sum(changes)
        class_change = self._sort_classes(task) if fit.views else {}
        for view in fit.classes:
            view.volume.solve()
        fit.update_scales(particles_differ=True)
        if fit.settings.posterior.junk:
            fit.update_belonging()
        report = EpochReport(
            turn=sum(state.turned) / len(state.turned),
            changed=changed,
            mates_tested=all(part.mates_tested for part in self.classes),
            class_change=class_change.get("class_change", 0.0),
        )
        state.standing = after_epoch(state.standing, report, Bands(fit.band.encoding, fit.band.full))
        if fit.settings.posterior.mates and state.standing.band == fit.band.full and not state.mates_sorted:
            metrics |= self._sort_mates()
        state.turned = []
        for part in self.classes:
            part.close_epoch(relaxing=state.standing.relaxing)
        return metrics | class_change

    def _sort_mates(self) -> dict[str, float]:
        """Sort the particles of each class among their mates, once the map has all shells. Return metrics."""
        self.state.mates_sorted = True
        found = [(part, sort_mates(part.fit, self.poses)) for part in self.classes]
        sorted_mates = [(part, each) for part, each in found if each is not None]
        if not sorted_mates:
            return {}
        for part, each in sorted_mates:
            if each.changed:
                part.volume_step.remake()
                self.state.standing = replace(self.state.standing, settled=False)
        return {
            "mates_certainty": max(each.certainty for _, each in sorted_mates),
            "mates_sorted": sum(each.changed * len(part.fit.members) for part, each in sorted_mates) / len(self.fit),
        }

    def _sort_classes(self, task: Task) -> dict[str, float]:
        """Sort the particles into classes while maps relax, and whenever the band has grown. Return metrics."""
        relaxing = self.state.standing.relaxing
        if task is Task.TEST_MATES or (task is Task.NOTHING and not relaxing):
            return {}
        change = sort_classes(self.fit, self.poses, draw=relaxing)
        self._look_after_classes()
        return {"class_change": change}

    def _look_after_classes(self) -> None:
        """Offer the place of a dead class to other particles or, if that was done often enough, drop it."""
        fit, state = self.fit, self.state
        if (number := dead_class(fit)) is None:
            return
        if state.standing.relaxing and state.offered < MOST_OFFERS:
            count = offer(fit, number)
            for part in self.classes:
                part.forget_map_before()
            state.offered += 1
            told = f"class {number + 1} has lost its particles: its place is offered to the {count:,} explained worst"
            fit.news.append({"change": "offered", "class": number + 1, "reason": told})
            return
        count = self.drop(number)
        told = (
            f"class {number + 1} has no more than {count:,} particles left: it is given up, and later classes move up"
        )
        fit.news.append({"change": "dropped", "class": number + 1, "reason": told})

    def merge(self, first: int, second: int) -> None:
        """Make one class of two, with the number of the first of them, and go on."""
        merge_classes(self.fit, first, second)
        self._rebuild([k for k in range(len(self.classes)) if k != max(first, second)])

    def restart_epoch(self) -> None:
        """Begin the epoch anew, because the classes are not those that it began with."""
        self.state.turned = []
        for part in self.classes:
            part.close_epoch(relaxing=True)

    def drop(self, number: int) -> int:
        """Take a class out, and go on with the others. Return how many particles were in it."""
        count = drop_class(self.fit, number)
        self._rebuild([k for k in range(len(self.classes)) if k != number])
        return count

    def _rebuild(self, kept: list[int]) -> None:
        """Make the classes of this stage anew, with the state of those that are kept."""
        states = [self.classes[number].state_dict() for number in kept]
        self.classes = [ClassDecoding(view) for view in self.fit.classes]
        for part, state in zip(self.classes, states, strict=True):
            part.load_state_dict(state)
            part.forget_map_before()

    def _test_mates(self) -> dict[str, float]:
        """Make one round of the test of mates in each class where it is not over. Return metrics of the last one."""
        metrics: dict[str, float] = {}
        for part in self.classes:
            if part.mates is not None and not part.mates_tested:
                metrics = part.mates.run()
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """Return the state that `load_state_dict` needs beside the fit's."""
        return {"state": self.state.state_dict(), "classes": [part.state_dict() for part in self.classes]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state of this stage."""
        self.state.load_state_dict(state["state"], self.fit.device)
        self.classes = [ClassDecoding(view) for view in self.fit.classes]
        for part, kept in zip(self.classes, state["classes"], strict=True):
            part.load_state_dict(kept)


def _on(device: torch.device, own: slice | Tensor) -> slice | Tensor:
    return own if isinstance(own, slice) else own.to(device)


@torch.no_grad()
def search_again(fit: Fit[WienerVolume], step: WienerStep, poses: GaussNewtonPoses) -> float:
    """Search the grid for all particles of a fit or of a class once more, and store poses that explain images better.

    A pose from the grid is a candidate only where it lies farther than `ANOTHER_POSE` from the stored one. Both are
    refined before their errors are compared.

    Returns
    -------
    float
        Particles whose pose changed, over all of the fit.
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
