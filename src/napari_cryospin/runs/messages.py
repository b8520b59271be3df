"""What a run and those who watch it say to each other, in plain numbers and text: commands, events, status."""

from __future__ import annotations

import dataclasses
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Stage = Literal["auto-encoding", "auto-decoding"]
State = Literal["starting", "running", "paused", "finished", "stopped", "failed"]
LIVE_STATES: tuple[State, ...] = ("starting", "running", "paused")
"""States of a run that a process drives."""
CommandKind = Literal["pause", "resume", "switch", "save", "stop"]
EventKind = Literal[
    "started",  # a new run
    "continued",  # a run went on from its checkpoint
    "epoch",  # an epoch was closed; detail: its metrics
    "paused",
    "resumed",  # after a pause
    "switched",  # auto-encoding -> auto-decoding; detail: reason
    "saved",  # a checkpoint that was asked for
    "refused",  # a command could not be obeyed; detail: command, reason
    "stopped",
    "finished",
    "failed",  # detail: error, traceback
]


class RefusedError(Exception):
    """A command that cannot be obeyed now; the text says why. The run goes on."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """Request to a run. The run obeys it, or refuses it with a reason, between two steps."""

    kind: CommandKind
    reason: str = "by hand"
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    time: float = field(default_factory=time.time)  # s since 1970

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened in a run, at a step."""

    kind: EventKind
    step: int
    detail: Mapping[str, Any] = field(default_factory=dict)  # plain numbers and text
    time: float = field(default_factory=time.time)  # s since 1970

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))


@dataclass(frozen=True, kw_only=True)
class Status:
    """How a run stands; the newest one replaces the one before."""

    state: State
    stage: Stage = "auto-encoding"
    step: int = 0
    epoch: int = 0  # epochs finished
    epochs: int = 0  # planned in all
    progress: float = 0.0  # 0..1 of the whole run
    elapsed: float = 0.0  # s, without the time between a stop and a resume
    loss: float | None = None
    resolution: float | None = None  # A
    switch_ready: bool = False
    switch_reason: str = ""
    message: str = ""  # why it failed or stopped
    pid: int = 0
    device: str = ""  # cpu, cuda:0, mps; empty: not known yet
    memory: float | None = None  # GiB that the driving process holds on the device; None on a CPU
    heartbeat: float = field(default_factory=time.time)  # s since 1970

    @property
    def time_left(self) -> float | None:
        """Seconds to the end at the pace so far; None while that says nothing yet."""
        return self.elapsed * (1 - self.progress) / self.progress if self.progress > 0.005 else None

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))
