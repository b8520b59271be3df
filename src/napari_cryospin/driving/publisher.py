"""What a run says of itself, how often, and at what cost."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from napari_cryospin.runs.channel import Channel
from napari_cryospin.runs.messages import Event, EventKind, Stage, State, Status

if TYPE_CHECKING:
    from napari_cryospin.engine.reconstruction import Reconstruction

logger = logging.getLogger(__name__)

SHARE = 0.05  # of the wall clock that publishing may take
COMPARING = 0.02  # of the wall clock, and part of that share: comparing half sets
LEAST_BAND = 8  # shells from which half maps are worth comparing
STATUS_EVERY = 0.5  # s
HISTORY_EVERY = 1.0  # s: of shorter epochs not all are kept


class Budget:
    """Keeps what is spent on something under a share of the wall clock."""

    def __init__(self, share: float) -> None:
        self.share = share
        self.started = time.monotonic()
        self.spent = 0.0  # s
        self.costs: dict[str, float] = {}  # s that each kind took last

    def admits(self, kind: str) -> bool:
        """Whether one more of this kind, if it costs what the last one did, stays within the share."""
        return self.spent + self.costs.get(kind, 0.0) <= self.share * (time.monotonic() - self.started)

    @property
    def left(self) -> bool:
        """Whether anything may be spent now: for what costs much once, and little from then on."""
        return self.spent <= self.share * (time.monotonic() - self.started)

    @contextlib.contextmanager
    def spending(self, kind: str) -> Iterator[None]:
        before = time.monotonic()
        yield
        self.costs[kind] = time.monotonic() - before
        self.spent += self.costs[kind]


class Publisher:
    """Says through a channel how a reconstruction stands.

    Parameters
    ----------
    reconstruction
        The engine, between two steps.
    channel
        Where everything goes.
    snapshot_every, checkpoint_every
        s; snapshots come as often as this or as the budget admits, whichever is rarer.
    elapsed
        s that the run took before this process went on with it.
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
        self.newest: dict[str, float] = {}  # value of every metric
        self.losses: list[float] = []  # since the last line of metrics
        self.shown: tuple[int, Stage] | None = None  # step and stage of the last snapshot
        self.kept = -1  # epoch of the last history

    @property
    def elapsed(self) -> float:
        """Seconds that the run took so far, without those between a stop and the resume after it."""
        return time.monotonic() - self.started

    def step_done(self, metrics: Mapping[str, float]) -> None:
        """Publish what is due after a step."""
        self.newest |= metrics
        self.losses.append(metrics["loss"])
        self.heartbeat("running")
        if self._due("snapshot") and self.budget.admits("snapshot"):
            self.snapshot()
        if self._due("checkpoint"):
            self.checkpoint()

    def heartbeat(self, state: State) -> None:
        """Publish the status and a line of metrics, where the last ones are old."""
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
        self._metrics({**metrics, **halves, "epoch_ended": True})
        self.say("epoch", **self._standing(), **metrics)
        # Whoever goes back in time wants every epoch; what it costs is saved on snapshots.
        if self._due("history") or self.reconstruction.finished:
            self.history()

    def _standing(self) -> dict[str, Any]:
        """Say where the run stands at the end of an epoch."""
        reconstruction = self.reconstruction
        advice = reconstruction.switch_advice()
        return {
            "epoch": reconstruction.epoch,
            "epochs": reconstruction.epochs,
            "stage": reconstruction.stage,
            "switch_ready": advice.ready,
            "switch_reason": advice.reason,
        }

    def _halves(self, metrics: Mapping[str, float]) -> dict[str, Any]:
        """Gold-standard FSC of half sets, where there are any, and as often as its budget admits."""
        reconstruction = self.reconstruction
        if reconstruction.half_sets is None or not self.comparing.left or metrics.get("band", LEAST_BAND) < LEAST_BAND:
            return {}
        with self.comparing.spending("fsc"):
            return reconstruction.compare_halves()

    def say(self, kind: EventKind, **detail: Any) -> None:
        detail = _plain(detail)
        logger.info("step %d: %s", self.reconstruction.step, _text(kind, detail))
        self.channel.event(Event(kind=kind, step=self.reconstruction.step, detail=detail))

    def status(self, state: State, message: str = "") -> None:
        self.last["status"] = time.monotonic()
        self.channel.status(self.present(state, message))

    def present(self, state: State, message: str = "") -> Status:
        """How the run stands."""
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
            message=message,
            **_plain({name: self.newest.get(name) for name in ("loss", "resolution")}),
        )

    def snapshot(self) -> None:
        """Publish the present, unless it was published already."""
        present = self.reconstruction.step, self.reconstruction.stage
        if present != self.shown:
            with self.budget.spending("snapshot"):
                self.channel.snapshot(self.reconstruction.snapshot())
            self.shown = present
        self.last["snapshot"] = time.monotonic()

    def history(self) -> None:
        """Keep the epoch that has just ended, unless it is kept already; nothing in the middle of one."""
        epoch = self.reconstruction.epoch
        if self.reconstruction.epoch_ended and epoch != self.kept:
            with self.budget.spending("history"):
                self.channel.history(self.reconstruction.history())
            self.kept = epoch
            self.last["history"] = time.monotonic()

    def checkpoint(self, state: dict[str, Any] | None = None) -> None:
        """Write the reconstruction's state, or the one given."""
        state = state or self.reconstruction.state_dict()
        step, epoch = state["progress"]["step"], state["progress"]["epoch"]
        where = {"step": step, "epoch": epoch, "elapsed": self.elapsed}
        self.channel.checkpoint(step, {**where, "reconstruction": state})
        self.last["checkpoint"] = time.monotonic()

    def _due(self, kind: str) -> bool:
        return time.monotonic() - self.last[kind] >= self.every[kind]

    def _metrics(self, values: Mapping[str, Any]) -> None:
        """One line: the mean loss since the line before, and `values`."""
        reconstruction = self.reconstruction
        where = {"step": reconstruction.step, "epoch": reconstruction.epoch, "stage": reconstruction.stage}
        loss = {"loss": sum(self.losses) / len(self.losses)} if self.losses else {}
        self.losses.clear()
        self.channel.metrics(_plain({"time": time.time(), "elapsed": self.elapsed, **where, **loss, **values}))


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no nan or infinity: what is not known is None."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }


def _text(kind: EventKind, detail: Mapping[str, Any]) -> str:
    """Describe an event in a line of the log; of an epoch, only what tells how far the run is."""
    shown = ("epoch", "loss", "resolution", "entropy", "pose_change") if kind == "epoch" else [*detail]
    known = {name: detail[name] for name in shown if detail.get(name) is not None and name != "id"}
    parts = [f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in known.items()]
    return f"{kind}: {', '.join(parts)}" if parts else kind
