"""Messages between a run and its watchers, of plain numbers and text: commands, events and status."""

from __future__ import annotations

import dataclasses
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Stage = Literal["auto-encoding", "auto-decoding"]
State = Literal["starting", "running", "paused", "finished", "stopped", "failed"]
LIVE_STATES: tuple[State, ...] = ("starting", "running", "paused")
"""States of a run that has not ended, and which a process therefore drives."""
CommandKind = Literal["pause", "resume", "switch", "symmetry", "save", "stop", "drop-class", "merge-classes"]
EventKind = Literal[
    "started",  # A new run began.
    "continued",  # A run went on from its checkpoint.
    "epoch",  # An epoch ended; the detail has its metrics.
    "paused",
    "resumed",  # The run went on after a pause.
    "switched",  # The run switched from auto-encoding to auto-decoding; the detail has the reason.
    "symmetry",  # A symmetry was imposed, or relaxed to C1; the detail has both groups and the score.
    "classes",  # Classes were made, merged or dropped, or a dead one's place was offered; the detail has which and why.
    "saved",  # A checkpoint was written by command.
    "refused",  # A command could not be obeyed; the detail has the command and the reason.
    "stopped",
    "finished",
    "failed",  # The detail has the error and the traceback.
]


class RefusedError(Exception):
    """A refusal of a command that cannot be obeyed now. The text gives the reason, and the run goes on."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A request to a run, which obeys it, or refuses it with a reason, between two steps."""

    kind: CommandKind
    """Kind of the request."""
    reason: str = "by hand"
    """Reason for the request, which a switch repeats in its event."""
    arguments: Sequence[str] = ()
    """What the request is about: a point group to impose (C1 relaxes the present one), or numbers of classes, from 1:
    one to drop, two to merge."""
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    """Identifier, which the event that answers the command repeats in its detail."""
    time: float = field(default_factory=time.time)
    """Time of the request, seconds since 1970."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "arguments", tuple(self.arguments))  # JSON has no tuples.

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened in a run, at a step."""

    kind: EventKind
    """Kind of the event."""
    step: int
    """Number of steps done then."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """Name -> plain number or text; the names depend on the kind."""
    time: float = field(default_factory=time.time)
    """Time of the event, seconds since 1970."""

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))


@dataclass(frozen=True, kw_only=True)
class Status:
    """The state and the progress of a run; a new status replaces the one before."""

    state: State
    """Whether the run goes on, and if not, how it ended."""
    stage: Stage = "auto-encoding"
    """Stage of the run."""
    step: int = 0
    """Number of steps done."""
    epoch: int = 0
    """Number of epochs finished."""
    epochs: int = 0
    """Number of epochs planned in all."""
    progress: float = 0.0
    """Share of the whole run that is done, 0 to 1."""
    elapsed: float = 0.0
    """Seconds that the run took, without the time between a stop and a resume."""
    loss: float | None = None
    """Newest error of the images, in units of the background's noise; None: not known."""
    resolution: float | None = None
    """Newest resolution, A; None: not known."""
    switch_ready: bool = False
    """Whether the switch to auto-decoding is advised now."""
    switch_reason: str = ""
    """Reason why the switch is advised, or is not advised yet."""
    symmetry: str = ""
    """Point group that the map has now; empty: not known, so the one of the settings."""
    looks_like: str = ""
    """What a map without symmetry looks like, "looks like C3 (0.98)"; empty: like nothing, or not looked at yet."""
    message: str = ""
    """Reason why the run failed or stopped."""
    verdict: str = ""
    """Kind of the verdict on the run as it stands; empty: no epoch has ended yet."""
    verdict_text: str = ""
    """The verdict as a sentence, with its reasons and what to try next."""
    pid: int = 0
    """Identifier of the process that drives the run."""
    device: str = ""
    """Names of the devices, such as cpu, cuda:0 or mps; empty: not known yet."""
    memory: float | None = None
    """GiB that the driving process holds on its CUDA devices; None without one."""
    heartbeat: float = field(default_factory=time.time)
    """Time of the status, seconds since 1970."""

    @property
    def time_left(self) -> float | None:
        """Seconds to the end at the pace so far; None during the first 0.5 % of the run, when the pace is not known."""
        return self.elapsed * (1 - self.progress) / self.progress if self.progress > 0.005 else None

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))
