"""The run folder as the channel of the loop: messages are written as files, commands are read from files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch

from napari_cryospin.driving.results import write_results
from napari_cryospin.particles import Particles
from napari_cryospin.runs.epoch_record import EpochRecord
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import Command, Event, Status
from napari_cryospin.runs.results import Results
from napari_cryospin.runs.snapshot import Snapshot

COMMANDS_EVERY = 0.1
"""Seconds between two reads of the folder's commands, since it may lie on a slow network disk. Chosen by hand."""


class FolderChannel:
    """A channel of the loop that reads commands from a run folder and writes messages to it.

    Parameters
    ----------
    folder
        Folder of the run.
    on_status
        Called with every status that is written, for example to update a progress bar.
    on_event
        Called with every event that is written, for example by a script.
    """

    particles: Particles
    """Input of the run, to whose rows the poses of the results belong; set as soon as it is open."""

    def __init__(
        self,
        folder: RunFolder,
        on_status: Callable[[Status], None] | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        self.folder = folder
        self.on_status, self.on_event = on_status, on_event
        self.looked = 0.0
        self.devices: tuple[torch.device, ...] = ()  # Set as soon as they are chosen.

    def commands(self) -> Iterable[Command]:
        if time.monotonic() - self.looked < COMMANDS_EVERY:
            return ()
        self.looked = time.monotonic()
        return self.folder.take_commands()

    def status(self, status: Status) -> None:
        held = [torch.cuda.memory_reserved(device) / 2**30 for device in self.devices if device.type == "cuda"]
        names = ", ".join(map(str, self.devices))
        status = replace(status, pid=os.getpid(), device=names, memory=sum(held) if held else None)
        self.folder.write_status(status)
        if self.on_status is not None:
            self.on_status(status)

    def event(self, event: Event) -> None:
        self.folder.append_event(event)
        if self.on_event is not None:
            self.on_event(event)
            self.looked = 0.0  # The callback may have sent a command, which must be obeyed before the next step.

    def metrics(self, values: Mapping[str, Any]) -> None:
        self.folder.append_metrics(values)

    def snapshot(self, snapshot: Snapshot) -> None:
        self.folder.write_snapshot(snapshot)

    def history(self, record: EpochRecord) -> None:
        self.folder.write_history(record)

    def checkpoint(self, step: int, state: Mapping[str, Any]) -> None:
        # Writing to an open file, and not to a path, makes torch report a full disk as such.
        with self.folder.writing_checkpoint(step) as part, part.open("wb") as file:
            torch.save(dict(state), file)

    def results(self, results: Results) -> None:
        write_results(self.folder.path / "results", results, self.particles)
