"""The engine: one step at a time, through both stages, on one set of particles or on two halves of it."""

from __future__ import annotations

import copy
import dataclasses
import logging
import threading
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_cryospin.engine.auto_decoding import ClosedFormDecoding, GradientDecoding
from napari_cryospin.engine.auto_encoding import AutoEncoding
from napari_cryospin.engine.devices import choose_devices
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.half_sets import HalfSetMonitor
from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.engine.outcome import make_head_share, make_history, make_results, make_snapshot
from napari_cryospin.engine.switching import advice, choose_poses
from napari_cryospin.evaluation.fsc import fsc
from napari_cryospin.models.wiener_volume import WienerVolume
from napari_cryospin.particles import Particles
from napari_cryospin.runs.epoch_record import EpochRecord
from napari_cryospin.runs.messages import RefusedError, Stage
from napari_cryospin.runs.results import Results
from napari_cryospin.runs.snapshot import Snapshot
from napari_cryospin.settings import Settings

log = logging.getLogger(__name__)


class Reconstruction:
    """An ab-initio reconstruction.

    Parameters
    ----------
    particles : Particles
    settings : Settings
    hurry : Event, optional
        Setting it breaks off what takes long, with `Interrupted`.

    Attributes
    ----------
    step, epoch : int
        Steps done, epochs closed.
    epoch_ended : bool
        True after the step that closed an epoch.
    whole_state : dict, optional
        State before what is being done, where that may be interrupted halfway.
    indices : ndarray
        `(n,)` rows of `particles` that are used: half by half where half sets are reconstructed.
    """

    def __init__(self, particles: Particles, settings: Settings, hurry: threading.Event | None = None) -> None:
        self.settings, self.hurry = settings, hurry
        self.generator = torch.Generator().manual_seed(settings.machine.seed)
        halves = choose_rows(particles, settings, self.generator)
        devices = choose_devices(settings.machine.device, len(halves))
        preparation = settings.preparation
        preparation = dataclasses.replace(preparation, cache=preparation.cache / len(halves))
        images = [
            PreparedImages(particles, preparation, rows, device, hurry=hurry)
            for rows, device in zip(halves, devices, strict=True)
        ]
        self.fits = [Fit(part, settings, self.generator) for part in images]
        self.indices = torch.cat(halves).numpy()
        self.half_sets = None
        if settings.preparation.half_sets:
            self.half_sets = np.repeat(np.array([1, 2], np.int8), [len(rows) for rows in halves])
        self.box_size, self.pixel_size = images[0].box_size, images[0].pixel_size
        self.stages: list[AutoEncoding | GradientDecoding | ClosedFormDecoding] = [AutoEncoding(f) for f in self.fits]
        self.step = self.epoch = 0
        self.switched_at: int | None = None
        self.epoch_ended = False
        self.queue: list[tuple[int, Tensor]] = []
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        self.resolution = float("nan")
        self.monitor = HalfSetMonitor()
        self.whole_state: dict[str, Any] | None = None
        self._interruptible(False)
        self.advice = (False, "not every particle has been looked at yet")

    @property
    def stage(self) -> Stage:
        return "auto-encoding" if self.switched_at is None else "auto-decoding"

    @property
    def epochs(self) -> int:
        """Epochs planned in all, as far as is known now."""
        schedule = self.settings.schedule
        if self.switched_at is not None and schedule.decoding_epochs is not None:
            return self.switched_at + schedule.epochs_kept
        return schedule.epochs

    @property
    def progress(self) -> float:
        per_epoch = sum(-(-len(fit) // self._batch_size(fit)) for fit in self.fits)
        within = 1 - len(self.queue) / per_epoch if self.queue else 0.0
        return min(1.0, (self.epoch + within) / self.epochs)

    @property
    def finished(self) -> bool:
        settled = all(not isinstance(stage, AutoEncoding) and stage.settled for stage in self.stages)
        return self.epoch >= self.epochs or (settled and not self.queue)

    def advance(self) -> dict[str, float]:
        """One step on one half: its metrics."""
        if not self.queue:
            self._open_epoch()
        if len(self.queue) == 1:
            self._keep_state()
        half, rows = self.queue.pop(0)
        metrics = self.stages[half].step(rows)
        for name, value in metrics.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1
        self.step += 1
        self.epoch_ended = not self.queue
        if self.epoch_ended:
            self._interruptible(True)
            self._close_epoch()
            self._interruptible(False)
            self.whole_state = None
        return metrics

    def _interruptible(self, may_be: bool) -> None:
        for fit in self.fits:
            fit.images.interruptible = may_be

    def _keep_state(self) -> None:
        """Before something that may be interrupted halfway; kept only where somebody may be in a hurry."""
        if self.hurry is not None:
            self.whole_state = copy.deepcopy(self.state_dict())

    def _batch_size(self, fit: Fit) -> int:
        """As the settings say; a running average wants several steps even in an epoch of few particles."""
        size = self.settings.schedule.batch_size
        return min(size, -(-len(fit) // 4)) if isinstance(fit.volume, WienerVolume) else size

    def _open_epoch(self) -> None:
        """Particles in a new random order, the halves' steps in turn."""
        orders = [list(fit.images.batches(self._batch_size(fit), self.generator)) for fit in self.fits]
        longest = max(len(order) for order in orders)
        self.queue = [(half, order[k]) for k in range(longest) for half, order in enumerate(orders) if k < len(order)]
        self.sums, self.counts = {}, {}

    def _close_epoch(self) -> None:
        self.epoch += 1
        for stage in self.stages:
            for name, value in stage.end_epoch().items():
                self.sums[name] = self.sums.get(name, 0.0) + value
                self.counts[name] = self.counts.get(name, 0) + 1
        self.resolution = self._measure_resolution()
        if self.switched_at is None and self.settings.method != "fully-amortized":
            self.advice = self._advise()

    def _measure_resolution(self) -> float:
        """Resolution in A at FSC 0.143 between the two folds of the particles, which share a reference: a guide while
        the run goes on, no gold standard; nan where the volume has no folds. Of half sets what was measured last."""
        if len(self.fits) == 2:
            return self.resolution
        volume = self.fits[0].volume
        if not isinstance(volume, WienerVolume):
            return float("nan")
        first, second = (part.cpu().numpy() for part in volume.fold_maps())
        if not first.any() or not second.any():
            return self.resolution
        pixel_size = self.fits[0].images.extent / volume.inner_box
        limit = self.fits[0].images.extent / volume.band
        return max(limit, fsc(first, second, pixel_size).resolution(0.143))

    def compare_halves(self) -> dict[str, Any]:
        """Gold-standard resolution of the half sets as they stand, taken over as the run's: the FSC curves by name,
        and a warning where the halves could not be laid on each other. Empty without half sets."""
        if len(self.fits) < 2:
            return {}
        found, halves = self.monitor.measure(self.fits)
        self.resolution = float("nan") if halves.failed else found.resolution
        curves = {name: values.round(5).tolist() for name, values in found.table.items()}
        return {"fsc": curves, "half_sets_warning": halves.warning}

    def epoch_metrics(self) -> dict[str, float]:
        """Means over the epoch that was just closed, and where the heads stand."""
        metrics = {name: value / self.counts[name] for name, value in self.sums.items()}
        metrics["resolution"] = self.resolution
        entropies = torch.cat([fit.entropy for fit in self.fits])
        if bool((~entropies.isnan()).any()):
            metrics["entropy"] = float(entropies.nanmean())
        share = make_head_share(self.fits)
        metrics |= {f"head_share_{head}": float(value) for head, value in enumerate(share[:-1])}
        metrics["sample_share"] = float(share[-1])
        return metrics

    def switch_to_auto_decoding(self, reason: str) -> None:
        """Best candidate of every particle into the pose table; from here on poses are refined directly.

        Raises
        ------
        RefusedError
            The switch was made already, or the method has none, or an epoch has not been seen yet.
        """
        if self.switched_at is not None:
            raise RefusedError(f"the reconstruction switched already, after epoch {self.switched_at}")
        if self.settings.method == "fully-amortized":
            raise RefusedError("the fully amortized method keeps its encoder to the end")
        if self.epoch == 0:
            raise RefusedError("not every particle has been looked at yet: wait for the end of the first epoch")
        log.info("switch to auto-decoding: %s", reason)
        self._keep_state()
        self._interruptible(True)
        for fit in self.fits:
            choose_poses(fit)
        self._interruptible(False)
        self.whole_state = None
        self.switched_at = self.epoch
        self.queue = []
        self.stages = [make_decoding(fit) for fit in self.fits]

    def switch_advice(self) -> tuple[bool, str]:
        """Whether to switch now, and why."""
        if self.switched_at is not None or self.settings.method == "fully-amortized":
            return False, ""
        return self.advice

    def _advise(self) -> tuple[bool, str]:
        schedule = self.settings.schedule
        if self.epoch >= schedule.epochs - schedule.epochs_kept:
            return True, "ready: the epochs planned for the encoder are over"
        answers = [advice(fit) for fit in self.fits]
        return next((answer for answer in answers if not answer[0]), answers[0])

    def snapshot(self) -> Snapshot:
        ready, reason = self.switch_advice()
        return make_snapshot(self, ready, reason)

    def history(self) -> EpochRecord:
        return make_history(self)

    def results(self) -> Results:
        """Maps and poses; `Interrupted` changes nothing here."""
        self._interruptible(True)
        found = make_results(self)
        self._interruptible(False)
        return found

    def state_dict(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "epoch": self.epoch,
            "switched_at": self.switched_at,
            "generator": self.generator.get_state(),
            "queue": self.queue,
            "sums": self.sums,
            "counts": self.counts,
            "resolution": self.resolution,
            "advice": self.advice,
            "fits": [fit.state_dict() for fit in self.fits],
            "stages": [stage.state_dict() for stage in self.stages],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a checkpoint of a reconstruction of the same particles with the same settings."""
        for name in ("step", "epoch", "switched_at", "queue", "sums", "counts", "resolution", "advice"):
            setattr(self, name, state[name])
        for fit, part in zip(self.fits, state["fits"], strict=True):
            fit.load_state_dict(part)
        self.generator.set_state(state["generator"].cpu())  # shared with the fits
        if self.switched_at is not None:
            self.stages = [make_decoding(fit) for fit in self.fits]
        for stage, part in zip(self.stages, state["stages"], strict=True):
            stage.load_state_dict(part)


def make_decoding(fit: Fit) -> GradientDecoding | ClosedFormDecoding:
    """Second stage, as the volume's kind asks for."""
    if fit.settings.schedule.pose_update == "gauss-newton":
        return ClosedFormDecoding(fit)
    return GradientDecoding(fit)


def choose_rows(particles: Particles, settings: Settings, generator: torch.Generator) -> list[Tensor]:
    """Rows to use: one tensor, or one for each half set (the input's own halves, where it names them)."""
    count = len(particles)
    wanted = settings.preparation.subset
    rows = torch.arange(count)
    if wanted is not None and wanted < count:
        rows = torch.randperm(count, generator=generator)[:wanted].sort().values
    if not settings.preparation.half_sets:
        return [rows]
    if particles.half_sets is not None:
        half = torch.as_tensor(np.asarray(particles.half_sets))[rows]
        halves = [rows[half == 1], rows[half == 2]]
    else:
        order = torch.randperm(len(rows), generator=generator)
        halves = [rows[order[0::2]].sort().values, rows[order[1::2]].sort().values]
    if min(len(half) for half in halves) == 0:
        raise ValueError(f"{particles.source}: one of the half sets holds none of the {len(rows)} particles used")
    return halves
