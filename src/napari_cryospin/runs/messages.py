"""What a run and those who watch it say to each other: commands in; events, status, snapshots and results out."""

from __future__ import annotations

import dataclasses
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self

import numpy as np

from napari_cryospin.io.npz import open_npz

Stage = Literal["auto-encoding", "auto-decoding"]
State = Literal["starting", "running", "paused", "finished", "stopped", "failed"]
LIVE_STATES: tuple[State, ...] = ("starting", "running", "paused")
"""States of a run that somebody drives."""
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


PARTICLES_FILE = "particles.npz"
"""In results/: poses and all else that a run knows of its particles, in the order of the input."""


class RefusedError(Exception):
    """A command that cannot be obeyed now; the text says why. The run goes on."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """What somebody who watches asks of a run; obeyed, or refused, between two steps."""

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


def _freeze(record: Any, dtypes: Mapping[str, Any]) -> None:
    """Give a frozen dataclass arrays of its own, of the named types, that nobody can write to."""
    for name, dtype in dtypes.items():
        value = np.asarray(getattr(record, name), dtype)
        if value.flags.writeable:
            value = value.copy()
            value.flags.writeable = False
        object.__setattr__(record, name, value)


def _freeze_maps(record: Any, name: str) -> None:
    maps = tuple(np.array(half_map, np.float32) for half_map in getattr(record, name))
    for half_map in maps:
        half_map.flags.writeable = False
    object.__setattr__(record, name, maps)


@dataclass(frozen=True, kw_only=True, eq=False)
class Snapshot:
    """A run at one step, as those who watch see it. Arrays are read-only, and never the engine's own."""

    step: int
    epoch: int
    stage: Stage
    map: np.ndarray  # (z, y, x) float32
    half_maps: tuple[np.ndarray, ...] = ()  # two maps where half sets are reconstructed
    pixel_size: float  # A
    band: int  # Fourier shells that are looked at
    noise: np.ndarray  # (1 or 2, shells) float32: variance of a coefficient, as the likelihood has it; one row a map
    max_shift: float  # A; 0: shifts are not looked for
    indices: np.ndarray  # (n,) int64: rows of the input that are used
    half_sets: np.ndarray  # (n,) int8: 1 / 2, or 0 where there are no halves
    rotations: np.ndarray  # (n, 3, 3) float32
    shifts: np.ndarray  # (n, 2) float32, A
    winning_head: np.ndarray  # (n,) int16: 0..M-1 a head, M the posterior sample, -1 none yet
    head_share: np.ndarray  # (M + 1,) float32: share of particles won by each head, last the posterior sample
    loss: float  # error in units of that of noise alone
    resolution: float  # A; nan where nothing is known yet
    switch_ready: bool
    switch_reason: str

    def __post_init__(self) -> None:
        _freeze_maps(self, "half_maps")
        singles = dict.fromkeys(("map", "noise", "rotations", "shifts", "head_share"), np.float32)
        _freeze(self, {**singles, "indices": np.int64, "half_sets": np.int8, "winning_head": np.int16})

    def save(self, file: Path | BinaryIO) -> None:
        """Write to an .npz file: arrays, numbers and text, nothing that is unpickled on reading."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        if not self.half_maps:
            del values["half_maps"]
        np.savez(file, **values)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        ValueError
            The file is not a snapshot, or it is torn.
        """
        try:
            with open_npz(path) as file:
                values = {name: file[name] for name in file.files}
            half_maps = tuple(values.pop("half_maps", ()))
            numbers = {name: value.item() for name, value in values.items() if value.ndim == 0}
            return cls(**{**values, **numbers}, half_maps=half_maps)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: not a snapshot of a run ({error})") from error


@dataclass(frozen=True, kw_only=True, eq=False)
class Results:
    """What a run leaves behind: maps in real space, and one pose a particle that was used."""

    map: np.ndarray  # (z, y, x) float32, unfiltered; of half sets the mean
    filtered_map: np.ndarray  # (z, y, x) float32, low-passed at the resolution reached
    half_maps: tuple[np.ndarray, ...] = ()  # two maps in one frame where half sets were reconstructed
    sharpened_map: np.ndarray | None = None  # (z, y, x) float32, with half sets
    mask: np.ndarray | None = None  # (z, y, x) float32, 0 to 1: of the FSC
    pixel_size: float  # A
    resolution: float  # A; nan where it could not be estimated
    error_over_noise: float = float("nan")  # 1: the map explains all but the noise; nan: the run is not over
    fsc: Mapping[str, np.ndarray] | None = None  # (shells,): frequency in 1/A, unmasked, ..., corrected
    guinier: Mapping[str, np.ndarray] | None = None  # (shells,): square in 1/A^2, log_amplitude
    b_factor: float = 0.0  # A^2, of the sharpened map; negative sharpens
    band: int | None = None  # Fourier shells that the half maps were made of
    notes: tuple[str, ...] = ()  # how far these can be trusted
    indices: np.ndarray  # (n,) int64: rows of the input that were used
    rotations: np.ndarray  # (n, 3, 3) float64
    shifts: np.ndarray  # (n, 2) float64, A
    precision: np.ndarray | None = None  # (n,) float32, degrees: expected error of the rotation; nan: not looked at
    winning_head: np.ndarray  # (n,) int16: 0..M-1 a head, M the posterior sample, -1 none
    half_sets: np.ndarray | None = None  # (n,) int8: 1 / 2, where half sets were reconstructed
    epoch: int = 0  # epochs finished
    stage: Stage = "auto-encoding"
    posterior: Mapping[str, np.ndarray] = field(default_factory=dict)  # (n,): best_head, error, entropy, ... by name

    def __post_init__(self) -> None:
        _freeze_maps(self, "half_maps")
        optional = [name for name in ("sharpened_map", "mask", "precision") if getattr(self, name) is not None]
        _freeze(self, dict.fromkeys(("map", "filtered_map", *optional), np.float32))
        _freeze(self, dict.fromkeys(("rotations", "shifts"), np.float64))
        _freeze(self, {"indices": np.int64, "winning_head": np.int16})
