"""Publishing the state of a run: which messages, how often, and at what cost."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from napari_cryospin.runs.channel import Channel
from napari_cryospin.runs.messages import Event, EventKind, Stage, State, Status
from napari_cryospin.runs.verdict import Verdict

if TYPE_CHECKING:
    from napari_cryospin.engine.reconstruction import Reconstruction

logger = logging.getLogger(__name__)

SHARE = 0.05
"""Share of the wall clock that publishing may take (docs/half_sets.md, first section). Chosen by hand."""
COMPARING = 0.02
"""Part of `SHARE` that the comparison of half sets may take (docs/half_sets.md, first section). Chosen by hand."""
LEAST_BAND = 8
"""Smallest band, in shells, at which half maps are compared. Chosen by hand."""
STATUS_EVERY = 0.5
"""Seconds between two messages of status. Chosen by hand."""
HISTORY_EVERY = 1.0
"""Least seconds between two records of epochs, so that not every shorter epoch is stored. Chosen by hand."""


class Budget:
    """A limit on the time spent on publishing, as a share of the wall clock.

    Parameters
    ----------
    share
        Share of the wall clock, 0 to 1.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self.started = time.monotonic()
        self.spent = 0.0  # Seconds.
        self.costs: dict[str, float] = {}  # Last cost of each kind of work, seconds.

    def admits(self, kind: str) -> bool:
        """Return whether one more piece of work of this kind, at the cost of the last one, stays within the share."""
        return self.spent + self.costs.get(kind, 0.0) <= self.share * (time.monotonic() - self.started)

    @property
    def left(self) -> bool:
        """Whether the time spent so far is within the share; unlike `admits`, this does not predict the next cost.

        It suits work that is much more expensive the first time than all later times.
        """
        return self.spent <= self.share * (time.monotonic() - self.started)

    @contextlib.contextmanager
    def spending(self, kind: str) -> Iterator[None]:
        """Measure the time of work of this kind, and add it to the time spent."""
        before = time.monotonic()
        yield
        self.costs[kind] = time.monotonic() - before
        self.spent += self.costs[kind]


class Publisher:
    """A sender of a reconstruction's state through a channel.

    Parameters
    ----------
    reconstruction
        The engine, between two steps.
    channel
        Sink of all messages.
    snapshot_every, checkpoint_every
        Seconds between two snapshots and between two checkpoints; snapshots are rarer if the budget requires it.
    elapsed
        Seconds that the run took before this process continued it.
    """

    def __init__(
        self,
        reconstruction: Reconstruction,
        channel: Channel,
        *,
        snapshot_every: float,
        checkpoint_every: float,
        elapsed: float = 0.0,
    ) -> None:
        self.reconstruction = reconstruction
        self.channel = channel
        self.every = {"status": STATUS_EVERY, "snapshot": snapshot_every, "checkpoint": checkpoint_every}
        self.every["history"] = HISTORY_EVERY
        self.comparing = Budget(COMPARING)
        self.budget = Budget(SHARE - COMPARING if reconstruction.half_sets is not None else SHARE)
        self.started = time.monotonic() - elapsed
        self.last = dict.fromkeys(("status", "snapshot", "history"), -math.inf) | {"checkpoint": time.monotonic()}
        self.newest: dict[str, float] = {}  # Newest value of every metric.
        self.losses: list[float] = []  # Losses since the last line of metrics.
        self.shown: tuple[int, Stage, str] | None = None  # Step, stage and symmetry of the last snapshot.
        self.kept = -1  # Epoch of the last stored record.
        self.verdict: Verdict | None = None  # Of the run as it stands; None: no epoch has ended yet.

    @property
    def elapsed(self) -> float:
        """Seconds that the run took so far, without the time between a stop and the resume after it."""
        return time.monotonic() - self.started

    def step_done(self, metrics: Mapping[str, float]) -> None:
        """Publish the messages that are due after a step."""
        self.newest |= metrics
        self.losses.append(metrics["loss"])
        self.heartbeat("running")
        if self._due("snapshot") and self.budget.admits("snapshot"):
            self.snapshot()
        if self._due("checkpoint"):
            self.checkpoint()

    def heartbeat(self, state: State) -> None:
        """Publish the status and a line of metrics, if they are due."""
        if self._due("status"):
            with self.budget.spending("status"):
                self.status(state)
                if self.losses:
                    self._metrics({})

    def epoch_done(self) -> None:
        """Publish the epoch's metrics and its history."""
        metrics = self.reconstruction.epoch_metrics()
        halves = self._halves(metrics)
        if halves:
            metrics["resolution"] = self.reconstruction.resolution
        self.newest |= metrics
        self.verdict = self.reconstruction.verdict()
        self._metrics({**metrics, **halves, "epoch_ended": True, "verdict": self.verdict.kind})
        self.say("epoch", **self._standing(), **metrics)
        self.classes()
        # The time slider needs every epoch, so this ignores the budget; later snapshots are rarer instead.
        if self._due("history") or self.reconstruction.finished:
            self.history()

    def classes(self) -> None:
        """Publish what has happened to classes, if anything has."""
        for news in self.reconstruction.take_news():
            self.say("classes", **news)

    def _standing(self) -> dict[str, Any]:
        """Return epoch, stage and switch advice at the end of an epoch."""
        reconstruction = self.reconstruction
        advice = reconstruction.switch_advice()
        return {
            "epoch": reconstruction.epoch,
            "epochs": reconstruction.epochs,
            "stage": reconstruction.stage,
            "switch_ready": advice.ready,
            "switch_reason": advice.reason,
            "symmetry": reconstruction.symmetry.name,
            "looks_like": reconstruction.looks_like,
            "verdict": "" if self.verdict is None else self.verdict.sentence,
        }

    def _halves(self, metrics: Mapping[str, float]) -> dict[str, Any]:
        """Measure the gold-standard FSC of half sets; return nothing without half sets, or if the budget is spent."""
        reconstruction = self.reconstruction
        if reconstruction.half_sets is None or not self.comparing.left or metrics.get("band", LEAST_BAND) < LEAST_BAND:
            return {}
        with self.comparing.spending("fsc"):
            return reconstruction.compare_halves()

    def say(self, kind: EventKind, **detail: Any) -> None:
        """Publish an event, and write it to the log."""
        detail = _plain(detail)
        logger.info("step %d: %s", self.reconstruction.step, _text(kind, detail))
        self.channel.event(Event(kind=kind, step=self.reconstruction.step, detail=detail))

    def status(self, state: State, message: str = "") -> None:
        """Publish the status of the run as it is now."""
        self.last["status"] = time.monotonic()
        self.channel.status(self.present(state, message))

    def present(self, state: State, message: str = "") -> Status:
        """Return the status of the run as it is now."""
        reconstruction = self.reconstruction
        advice = reconstruction.switch_advice()
        return Status(
            state=state,
            stage=reconstruction.stage,
            step=reconstruction.step,
            epoch=reconstruction.epoch,
            epochs=reconstruction.epochs,
            progress=1.0 if state == "finished" else reconstruction.progress,
            elapsed=self.elapsed,
            switch_ready=advice.ready,
            switch_reason=advice.reason,
            symmetry=reconstruction.symmetry.name,
            looks_like=reconstruction.looks_like,
            message=message,
            verdict="" if self.verdict is None else self.verdict.kind,
            verdict_text="" if self.verdict is None else self.verdict.sentence,
            **_plain({name: self.newest.get(name) for name in ("loss", "resolution")}),
        )

    def snapshot(self, *, anew: bool = False) -> None:
        """Publish the present state of the reconstruction, unless it was published already and nothing is `anew`."""
        present = self.reconstruction.step, self.reconstruction.stage, self.reconstruction.symmetry.name
        if anew or present != self.shown:
            with self.budget.spending("snapshot"):
                self.channel.snapshot(self.reconstruction.snapshot())
            self.shown = present
        self.last["snapshot"] = time.monotonic()

    def history(self) -> None:
        """Store the epoch that has just ended, unless it is stored already. Within an epoch, do nothing."""
        epoch = self.reconstruction.epoch
        if self.reconstruction.epoch_ended and epoch != self.kept:
            with self.budget.spending("history"):
                self.channel.history(self.reconstruction.history())
            self.kept = epoch
            self.last["history"] = time.monotonic()

    def checkpoint(self, state: dict[str, Any] | None = None) -> None:
        """Write a checkpoint of the reconstruction's present state, or of the state that is given."""
        state = state or self.reconstruction.state_dict()
        step, epoch = state["progress"]["step"], state["progress"]["epoch"]
        where = {"step": step, "epoch": epoch, "elapsed": self.elapsed}
        self.channel.checkpoint(step, {**where, "reconstruction": state})
        self.last["checkpoint"] = time.monotonic()

    def _due(self, kind: str) -> bool:
        return time.monotonic() - self.last[kind] >= self.every[kind]

    def _metrics(self, values: Mapping[str, Any]) -> None:
        """Publish one line of metrics: the mean loss since the line before, and `values`."""
        reconstruction = self.reconstruction
        where = {"step": reconstruction.step, "epoch": reconstruction.epoch, "stage": reconstruction.stage}
        loss = {"loss": sum(self.losses) / len(self.losses)} if self.losses else {}
        self.losses.clear()
        self.channel.metrics(_plain({"time": time.time(), "elapsed": self.elapsed, **where, **loss, **values}))


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with None in place of nan and infinity, since JSON has neither."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }


def _text(kind: EventKind, detail: Mapping[str, Any]) -> str:
    """Return an event as one line of the log; for the end of an epoch, only with the measures of progress."""
    shown = ("epoch", "loss", "resolution", "entropy", "pose_change") if kind == "epoch" else [*detail]
    known = {name: detail[name] for name in shown if detail.get(name) is not None and name != "id"}
    parts = [f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in known.items()]
    return f"{kind}: {', '.join(parts)}" if parts else kind
