"""The reconstruction, step by step through both stages, from one set of particles or from two halves of it."""

from __future__ import annotations

import contextlib
import copy
import logging
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_cryospin.engine.choice_at_switch import choose_poses
from napari_cryospin.engine.class_starts import begin_classes
from napari_cryospin.engine.classes import class_shares, remake_classes
from napari_cryospin.engine.devices import choose_devices
from napari_cryospin.engine.evidence import present_evidence
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.fit_metrics import fit_metrics
from napari_cryospin.engine.fold_resolution import fold_resolution
from napari_cryospin.engine.half_sets import HalfSetMonitor
from napari_cryospin.engine.methods import METHODS
from napari_cryospin.engine.outcome import make_history, make_results, make_snapshot
from napari_cryospin.engine.reference import start_from
from napari_cryospin.engine.run_progress import RunProgress
from napari_cryospin.engine.sought_symmetry import SoughtSymmetry, sought_group
from napari_cryospin.engine.stage import FirstStage, Stage
from napari_cryospin.engine.switching import SwitchAdvice, SwitchAdvisor, advise_all, by_hand, take_measured
from napari_cryospin.engine.symmetry_change import SymmetryChange
from napari_cryospin.engine.symmetry_steps import take_sought
from napari_cryospin.engine.used_images import prepare_used_images
from napari_cryospin.evaluation.verdict import Evidence, judge_run
from napari_cryospin.geometry.symmetry import NO_SYMMETRY, PointGroup, point_group
from napari_cryospin.particles import Particles
from napari_cryospin.runs.epoch_record import EpochRecord
from napari_cryospin.runs.messages import RefusedError
from napari_cryospin.runs.messages import Stage as StageName
from napari_cryospin.runs.results import Results
from napari_cryospin.runs.snapshot import Snapshot
from napari_cryospin.runs.verdict import Verdict
from napari_cryospin.settings import Settings

log = logging.getLogger(__name__)


class Reconstruction:
    """An ab-initio reconstruction.

    It switches to the second stage by itself, at the time that the settings ask for::

        while not reconstruction.finished:
            reconstruction.advance()

    Parameters
    ----------
    particles : Particles
    settings : Settings
    hurry : Event, optional
        Setting it makes long computations raise `Interrupted`.
    references : sequence of Tensor
        `(n, n, n)` low-passed maps in the working box to start from, as many as the settings name. A reconstruction
        that goes on from a checkpoint needs none.

    Raises
    ------
    ValueError
        The images show the negative of a reference.

    Attributes
    ----------
    progress_made : RunProgress
        Steps, epochs and metrics so far.
    epoch_ended : bool
        Whether the last step closed an epoch.
    whole_state : dict, optional
        State before the present computation, if that can be interrupted halfway; otherwise None.
    indices : ndarray
        `(n,)` rows of `particles` that are used; with half sets, those of the first half before those of the second.
    half_sets : ndarray, optional
        `(n,)` half set of each particle, 1 or 2; None: there are none.
    left_out : dict
        Row of `particles` -> what was found, of the images that cannot be used and were left out.
    preparation_notes : tuple of str
        What the user should know of the images.
    """

    def __init__(
        self,
        particles: Particles,
        settings: Settings,
        hurry: threading.Event | None = None,
        references: Sequence[Tensor] = (),
    ) -> None:
        self.settings, self.hurry, self.method = settings, hurry, METHODS[settings.method]
        self.generator = torch.Generator().manual_seed(settings.machine.seed)
        devices = choose_devices(settings.machine.device, 2 if settings.preparation.half_sets else 1)
        used = prepare_used_images(particles, settings, devices, self.generator, hurry)
        images, self.left_out, self.preparation_notes = used.parts, used.left_out, used.notes
        halves = [part.rows for part in images]
        self.indices = torch.cat(halves).numpy()
        self.half_sets = None
        if settings.preparation.half_sets:
            self.half_sets = np.repeat(np.array([1, 2], np.int8), [len(rows) for rows in halves])
        self.box_size, self.pixel_size = images[0].box_size, images[0].pixel_size
        self.policy = None if self.method.switch is None else self.method.switch(settings.schedule)
        self.progress_made = RunProgress(sought=SoughtSymmetry(sought_group(settings)))
        self.images = images
        self.start(NO_SYMMETRY if self.progress_made.sought.group else point_group(settings.volume.symmetry))
        if references:
            notes = [note for fit in self.fits for note in start_from(fit, references)]
            self.preparation_notes = (*self.preparation_notes, *dict.fromkeys(notes))
        self.epoch_ended = False
        self.monitor = HalfSetMonitor()
        self.whole_state: dict[str, Any] | None = None

    def start(self, symmetry: PointGroup) -> None:
        """Begin, or begin anew, from a random map with a symmetry and random poses."""
        uses_encoder = self.method.description.uses_encoder
        self.fits: list[Fit] = [
            Fit(part, self.settings, self.generator, uses_encoder=uses_encoder, symmetry=symmetry)
            for part in self.images
        ]
        self.first_stages: list[FirstStage] = [self.method.first_stage(fit) for fit in self.fits]
        self.stages: list[Stage] = [*self.first_stages]
        self.advisors = [SwitchAdvisor(fit) for fit in self.fits]

    @property
    def step(self) -> int:
        return self.progress_made.step

    @property
    def epoch(self) -> int:
        return self.progress_made.epoch

    @property
    def switched_at(self) -> int | None:
        return self.progress_made.switched_at

    @property
    def resolution(self) -> float:
        """Resolution when it was last measured, Angstrom; nan: never, or the poses are not determined."""
        return self.measured_resolution if self.verdict().tells_resolution else float("nan")

    @property
    def measured_resolution(self) -> float:
        """The same, whatever the verdict: of wrong poses it means nothing."""
        return self.progress_made.resolution

    @property
    def stage(self) -> StageName:
        return "auto-encoding" if self.switched_at is None else "auto-decoding"

    @property
    def epochs(self) -> int:
        """Number of planned epochs, as far as is known now."""
        schedule, begun_at = self.settings.schedule, self.progress_made.begun_at
        own = schedule.epochs if self.switched_at is None else schedule.epochs_in_all(self.switched_at - begun_at)
        return begun_at + own

    @property
    def progress(self) -> float:
        """Share of the run that is done, 0 to 1."""
        per_epoch = sum(-(-len(fit) // size) for fit, size in zip(self.fits, self._batch_sizes(), strict=True))
        queue = self.progress_made.queue
        within = 1 - len(queue) / per_epoch if queue else 0.0
        return min(1.0, (self.epoch + within) / self.epochs)

    @property
    def finished(self) -> bool:
        settled = all(stage.settled for stage in self.stages) and not self.progress_made.queue
        return (self.epoch >= self.epochs or settled) and not self.symmetry_due

    @property
    def waits_for_switch(self) -> bool:
        """Whether the planned epochs are over, and the switch was left to the user; it can still be made."""
        return self.finished and self.switched_at is None and self.policy is by_hand

    @property
    def switch_due(self) -> str | None:
        """Reason to switch now, by the policy of the settings; None: no switch is due.

        The next `advance` begins with the switch, unless it was made by then.
        """
        between_epochs = self.epoch > 0 and not self.progress_made.queue
        if self.policy is None or self.switched_at is not None or self.finished or not between_epochs:
            return None
        return None if self.progress_made.sought.group else self._reason_to_switch()

    def _reason_to_switch(self) -> str | None:
        made = self.progress_made
        return None if self.policy is None else self.policy(made.epoch - made.begun_at, made.advice)

    @property
    def symmetry_due(self) -> bool:
        """Whether the map is to get the symmetry that was looked for now.

        The next `advance` begins with it, unless it was made by then.
        """
        return self.progress_made.sought.due

    def take_symmetry(self) -> SymmetryChange | None:
        """Give the map the symmetry that was looked for, which is due; see `symmetry_steps.take_sought`."""
        return take_sought(self)

    def advance(self) -> dict[str, float]:
        """Give the map its symmetry or make the switch if these are due, then one step on one half. Return metrics."""
        if self.symmetry_due:
            self.take_symmetry()
        if (reason := self.switch_due) is not None:
            self.switch_to_auto_decoding(reason)
        made = self.progress_made
        if not made.queue:
            self._open_epoch()
        if len(made.queue) == 1:
            self._keep_state()
        half, rows = made.queue.pop(0)
        metrics = self.stages[half].step(rows)
        made.count(metrics)
        made.step += 1
        self.epoch_ended = not made.queue
        if self.epoch_ended:
            with self.interruptible():
                self._close_epoch()
            self.whole_state = None
        return metrics

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Allow the images of all fits to raise `Interrupted` when `hurry` is set."""
        with contextlib.ExitStack() as stack:
            for fit in self.fits:
                stack.enter_context(fit.images.interruptions_allowed())
            yield

    @contextlib.contextmanager
    def new_epoch(self) -> Iterator[None]:
        """Let something be changed between two steps, interruptibly; the present epoch then begins anew."""
        self._keep_state()
        with self.interruptible():
            yield
        self.whole_state, self.progress_made.queue = None, []

    def begin_stage_anew(self, index: int) -> None:
        """Let the stage of a fit go on after its map and poses were turned, or begin the second stage anew."""
        fit = self.fits[index]
        if self.switched_at is None:
            self.first_stages[index].begin_anew(self.method.volume_step(fit))
            self.advisors[index] = SwitchAdvisor(fit)
        else:
            fit.band.now = min(fit.band.now, fit.band.encoding)
            for view in fit.classes:
                view.volume.set_band(fit.band.now)
            self.stages[index] = self.method.second_stage(fit)
        if fit.views:
            remake_classes(fit)
        else:
            self.stages[index].volume_step.remake()

    def _keep_state(self) -> None:
        """Keep the state before a computation that `hurry` can interrupt, if there is such an event."""
        if self.hurry is not None:
            self.whole_state = copy.deepcopy(self.state_dict())

    def _batch_sizes(self) -> list[int]:
        wanted = self.settings.schedule.batch_size
        return [stage.batch_size(wanted) for stage in self.stages]

    def _open_epoch(self) -> None:
        """Queue the particles in a new random order; the steps of the halves take turns."""
        sizes = zip(self.fits, self._batch_sizes(), strict=True)
        orders = [list(fit.images.batches(size, self.generator)) for fit, size in sizes]
        longest = max(len(order) for order in orders)
        made = self.progress_made
        made.queue = [(half, order[k]) for k in range(longest) for half, order in enumerate(orders) if k < len(order)]
        made.sums, made.counts = {}, {}

    def _close_epoch(self) -> None:
        made = self.progress_made
        made.epoch += 1
        for stage in self.stages:
            made.count(stage.end_epoch())
        made.resolution = self._measure_resolution()
        made.turn = made.means.get("pose_change", float("nan"))
        if self.switched_at is None and self.policy is not None:
            made.advice = advise_all(self.advisors, self.epoch - made.begun_at, self.settings.schedule)
        if made.sought.group:
            last = self.epoch >= self.epochs or self._reason_to_switch() is not None
            made.sought.end_epoch(self.fits, last=last)
        else:
            made.symmetry.end_epoch(self.fits, switched=self.switched_at is not None)

    def _measure_resolution(self) -> float:
        """Return the resolution between the two folds of the particles, Angstrom; with classes, that of the largest.

        With half sets, it is the resolution of their last comparison.
        """
        if len(self.fits) == 2:
            return self.measured_resolution
        fit = self.fits[0]
        return fold_resolution(fit.classes[int(class_shares(fit).argmax())], self.measured_resolution)

    def compare_halves(self) -> dict[str, Any]:
        """Measure the gold-standard resolution of the half sets as they stand, and make it the resolution of the run.

        Returns
        -------
        dict
            fsc: curves by name; half_sets_warning: warning about the comparison, or empty. The dict is empty without
            half sets.
        """
        if len(self.fits) < 2:
            return {}
        found, halves = self.monitor.measure(self.fits)
        self.progress_made.resolution = float("nan") if halves.failed else found.resolution
        curves = {name: values.round(5).tolist() for name, values in found.table.items()}
        return {"fsc": curves, "half_sets_warning": halves.warning}

    def epoch_metrics(self) -> dict[str, float]:
        """Return means over the epoch that was just closed, and the shares of the heads."""
        known = take_measured(self.advisors) | fit_metrics(self.fits)
        return self.progress_made.means | {"resolution": self.resolution} | known

    def switch_to_auto_decoding(self, reason: str) -> None:
        """Switch to the second stage: the best candidate of every particle becomes its pose, which is then refined.

        Raises
        ------
        RefusedError
            The switch was made already, the method has no second stage, or no epoch has ended yet.
        """
        if self.switched_at is not None:
            raise RefusedError(f"the reconstruction switched already, after epoch {self.switched_at}")
        if self.policy is None:
            description = self.method.description
            raise RefusedError(f"the method {description.name} has no second stage: {description.help}")
        if self.epoch == 0:
            raise RefusedError("not every particle has been looked at yet: wait for the end of the first epoch")
        if self.progress_made.sought.group:
            begun = self.progress_made.sought.starts > 0
            known = "the symmetry of the map is not judged yet" if begun else "the map has no symmetry yet"
            raise RefusedError(f"{known}: {self.progress_made.sought.text}")
        log.info("switch to auto-decoding: %s", reason)
        with self.new_epoch():
            for fit, stage in zip(self.fits, self.first_stages, strict=True):
                choose_poses(fit, stage.learners, stage.volume_step)
                if self.settings.volume.classes > 1:
                    begin_classes(fit, self.settings.volume.classes)
        self.progress_made.switched_at = self.epoch
        self.stages = [self.method.second_stage(fit) for fit in self.fits]

    @property
    def symmetry(self) -> PointGroup:
        """Point group that the map has now; the settings have the one that was asked for when the run began."""
        return self.fits[0].symmetry

    @property
    def looks_like(self) -> str:
        """What a map without symmetry looked like when it was last looked at: "looks like C3 (0.98)", or nothing.

        While a symmetry is looked for, how well the map shows it.
        """
        return self.progress_made.sought.text or self.progress_made.symmetry.looks_like

    def take_news(self) -> list[dict[str, Any]]:
        """Return what happened to classes since the last call, each with a reason; of half sets with the half."""
        told = []
        for half, fit in enumerate(self.fits, start=1):
            where = {"half": half} if len(self.fits) == 2 else {}
            told += [where | one for one in fit.news]
            fit.news.clear()
        return told

    def switch_advice(self) -> SwitchAdvice:
        """Return whether to switch now, and why."""
        if self.switched_at is not None or self.policy is None:
            return SwitchAdvice()
        sought = self.progress_made.sought
        return SwitchAdvice(False, f"not yet: {sought.text}") if sought.group else self.progress_made.advice

    def evidence(self) -> Evidence:
        """Return what is known of the poses as the run stands; nothing is computed for it."""
        agreed = [advisor.agreed[-1] for advisor in self.advisors if advisor.agreed and self.switched_at is None]
        return present_evidence(
            self.fits,
            turn=self.progress_made.turn,
            heads_agree=min(agreed, default=float("nan")),
            halves_agree=self.monitor.agree,
            symmetry_lag=self.progress_made.sought.lag_of_best,
        )

    def verdict(self) -> Verdict:
        """Judge the run as it stands. The verdict on a run that is over is that of its results."""
        return judge_run(self.evidence())

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of the images, and of the run as it stands."""
        return (*self.preparation_notes, *self.progress_made.sought.notes)

    def snapshot(self) -> Snapshot:
        """Return a snapshot of the reconstruction as it stands."""
        return make_snapshot(self, self.switch_advice())

    def history(self) -> EpochRecord:
        """Return the record that is kept of an epoch."""
        return make_history(self)

    def results(self) -> Results:
        """Return the results as they stand. `Interrupted` leaves the reconstruction as it was."""
        with self.interruptible():
            made = make_results(self)
        if self.finished:
            self.progress_made.symmetry.conclude(made.looks_like)
        return made

    def state_dict(self) -> dict[str, Any]:
        """Return the state from which a reconstruction can go on, as plain types and tensors."""
        return {
            "progress": self.progress_made.state_dict(),
            "generator": self.generator.get_state(),
            **self.learned_state(),
        }

    def learned_state(self) -> dict[str, Any]:
        """Return the part of the state that is learned from the images."""
        return {
            "fits": [fit.state_dict() for fit in self.fits],
            "stages": [stage.state_dict() for stage in self.stages],
            "advisors": [advisor.state_dict() for advisor in self.advisors],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a checkpoint of a reconstruction of the same particles with the same settings.

        Raises
        ------
        KeyError, RuntimeError, TypeError, ValueError
            The checkpoint is of other particles, other settings or another version.
        """
        self.progress_made.load_state_dict(state["progress"])
        self.generator.set_state(state["generator"].cpu())  # The fits share this generator.
        self.load_learned(state)

    def load_learned(self, state: dict[str, Any]) -> None:
        """Take over what `learned_state` returned, in the present stage."""
        _load_all(self.fits, state["fits"])
        if self.switched_at is not None:
            self.stages = [self.method.second_stage(fit) for fit in self.fits]
        _load_all(self.stages, state["stages"])
        _load_all(self.advisors, state["advisors"])


def _load_all(parts: Sequence[Any], states: Sequence[dict[str, Any]]) -> None:
    for part, state in zip(parts, states, strict=True):
        part.load_state_dict(state)
