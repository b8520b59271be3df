"""The loop that drives a reconstruction, independent of its observers: obey commands, make a step, publish."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from napari_cryospin.driving.publisher import Publisher
from napari_cryospin.engine.commands import Commands
from napari_cryospin.engine.images import Interrupted
from napari_cryospin.engine.symmetry_change import SymmetryChange
from napari_cryospin.runs.channel import Channel
from napari_cryospin.runs.messages import Command, Event, RefusedError, Status
from napari_cryospin.runs.waiting import WAITS_FOR_SWITCH
from napari_cryospin.settings import Settings

if TYPE_CHECKING:
    from napari_cryospin.engine.reconstruction import Reconstruction

log = logging.getLogger(__name__)

PAUSE_TICK = 0.1
"""Seconds between two reads of the commands and of the stop event while the run is paused. Chosen by hand."""


def drive(
    reconstruction: Reconstruction,
    channel: Channel,
    settings: Settings,
    stop: threading.Event | None = None,
    elapsed: float = 0.0,
    hurry: threading.Event | None = None,
) -> None:
    """Run a reconstruction to its end, or until it is stopped.

    Commands are obeyed and snapshots taken between steps only. Publishing takes at most 5 % of the wall clock;
    messages beyond that are dropped, so that the published state is always the newest. Every end writes a checkpoint
    and results, except for a failure, which is reported as an event and raised again.

    A run whose switch is left to the user, and was not made when the planned epochs are over, ends as stopped: it says
    that it waits. Going on with such a run makes the switch first. No run waits inside its process, which may hold a
    device on a cluster.

    Parameters
    ----------
    reconstruction
        The engine, new or with a checkpoint loaded; each `advance` is one step.
    channel
        Source of commands, and sink of status, events, metrics, snapshots, checkpoints and results.
    settings
        Settings with the times between snapshots and between checkpoints.
    stop
        Setting it stops the run as the command does: after the step, or within 0.2 s while paused.
    elapsed
        Seconds that the run took up to the checkpoint from which it continues.
    hurry
        Setting it ends the run within a step, with a checkpoint but without results. It must be the event that the
        reconstruction was made with.
    """
    machine = settings.machine
    publisher = Publisher(
        reconstruction,
        channel,
        snapshot_every=machine.snapshot_every,
        checkpoint_every=machine.checkpoint_every,
        elapsed=elapsed,
    )
    try:
        _Loop(reconstruction, channel, publisher, stop or threading.Event(), hurry or threading.Event()).run()
    except BaseException as error:
        report_failure(channel, error, publisher.present("failed"))
        raise


def report_failure(channel: Channel, error: BaseException, status: Status) -> None:
    """Publish the failure of a run: an event with the traceback, and the status."""
    text = f"{type(error).__name__}: {error}".rstrip(": ")
    detail = {"error": text, "traceback": "".join(traceback.format_exception(error))}
    with contextlib.suppress(OSError):  # An error of a full disk must not replace the error that is reported.
        channel.event(Event(kind="failed", step=status.step, detail=detail))
        channel.status(replace(status, message=text))


def _class_numbers(command: Command, count: int) -> list[int]:
    """Return the numbers of classes that a command names; refuse it if they are not so many numbers."""
    given = command.arguments
    if len(given) != count or not all(str(one).isdecimal() for one in given):
        expected = "the number of a class" if count == 1 else f"the numbers of {count} classes"
        raise RefusedError(
            f"found {' '.join(map(str, given[:10])) or 'nothing'} after {command.kind}; expected {expected}"
        )
    return [int(one) for one in given]


def _group_name(command: Command) -> str:
    """Return the name of the point group that a command names; refuse it if it names none, or several."""
    if len(command.arguments) != 1:
        raise RefusedError(f"found {len(command.arguments)} names after {command.kind}; expected one point group")
    return str(command.arguments[0])


class _Loop:
    """The loop of one process that drives a run; see `drive`."""

    def __init__(
        self,
        reconstruction: Reconstruction,
        channel: Channel,
        publisher: Publisher,
        stop: threading.Event,
        hurry: threading.Event,
    ) -> None:
        self.reconstruction = reconstruction
        self.channel = channel
        self.publisher = publisher
        self.stop, self.hurry = stop, hurry
        self.paused = self.told_to_stop = False

    def run(self) -> None:
        """Drive the run to its end, or leave it in a hurry."""
        self.publisher.say("continued" if self.reconstruction.step else "started")
        try:
            if self.reconstruction.waits_for_switch:
                self.obey(Command(kind="switch", reason="by hand: the run was continued after its planned epochs"))
            self.step_until_over()
            if not self.hurry.is_set():
                self.end()
                return  # Results are written: a hurry that began meanwhile finds nothing left to do.
        except Interrupted:
            log.info("broken off in the middle of something; what was before is saved")
        if self.hurry.is_set():
            self.leave()

    def step_until_over(self) -> None:
        """Obey commands and make steps until the run is over."""
        while not self.over:
            for command in self.channel.commands():
                self.obey(command)
            if self.over:
                break
            if self.paused:
                self.publisher.heartbeat("paused")
                time.sleep(PAUSE_TICK)
            else:
                self.step()

    @property
    def over(self) -> bool:
        """Whether no further step is to be made."""
        return self.reconstruction.finished or self.told_to_stop or self.stop.is_set() or self.hurry.is_set()

    def step(self) -> None:
        """Make one step, switch if that is due, and publish what is due."""
        metrics = self.reconstruction.advance()
        if not math.isfinite(metrics["loss"]):
            raise FloatingPointError(f"the loss is {metrics['loss']} at step {self.reconstruction.step}")
        if self.reconstruction.epoch_ended:
            self.publisher.epoch_done()
            # The reconstruction would do both by itself at its next step. Doing them now stores what was before first,
            # and no checkpoint falls between the end of an epoch and what belongs to it.
            if self.reconstruction.symmetry_due:
                self.take_symmetry()
            if (reason := self.reconstruction.switch_due) is not None:
                self.obey(Command(kind="switch", reason=reason))
        self.publisher.step_done(metrics)

    def obey(self, command: Command) -> None:
        """Execute a command, or publish the reason for its refusal."""
        try:
            if command.kind == "stop":
                self.told_to_stop = True
            elif command.kind in self.actions:
                self.actions[command.kind](self, command)
            else:
                raise RefusedError(f"expected one of {', '.join(self.actions)}, stop")
        except RefusedError as refusal:
            self.publisher.say("refused", command=command.kind, id=command.id, reason=str(refusal))
        self.publisher.status("paused" if self.paused else "running")

    def pause(self, command: Command) -> None:
        """Pause the run, and publish its present state."""
        if self.paused:
            raise RefusedError("the run is paused already")
        self.paused = True
        self.publisher.say("paused", id=command.id)
        self.publisher.status("paused")
        if self.reconstruction.step:  # A paused run is inspected, so its present state is published.
            self.publisher.snapshot()
            self.publisher.history()

    def resume(self, command: Command) -> None:
        """End the pause."""
        if not self.paused:
            raise RefusedError("the run is not paused")
        self.paused = False
        self.publisher.say("resumed", id=command.id)

    def switch(self, command: Command) -> None:
        """Switch the run to auto-decoding, and write a checkpoint and a snapshot."""
        self.publisher.history()  # From now on the window shows the heads' last candidates, so they are stored first.
        self.reconstruction.switch_to_auto_decoding(command.reason)
        self.publisher.checkpoint()
        epoch, reason = self.reconstruction.epoch, command.reason
        self.publisher.say("switched", id=command.id, epoch=epoch, reason=reason)
        self.publisher.classes()
        self.publisher.snapshot()

    def symmetry(self, command: Command) -> None:
        """Impose a symmetry on the map, or relax it, and write a checkpoint and a snapshot."""
        self.publisher.history()  # The last epoch's map lies as it lay then.
        self._say_symmetry(command.id, Commands(self.reconstruction).change_symmetry(_group_name(command)))

    def take_symmetry(self) -> None:
        """Give the map the symmetry that was looked for, and write a checkpoint and a snapshot."""
        self.publisher.history()
        if (change := self.reconstruction.take_symmetry()) is not None:
            self._say_symmetry("", change)

    def _say_symmetry(self, command: str, change: SymmetryChange) -> None:
        self.publisher.checkpoint()
        detail = {"symmetry": change.after, "before": change.before, "score": change.score, "gain": change.gain}
        self.publisher.say("symmetry", id=command, epoch=self.reconstruction.epoch, **detail, reason=change.text)
        self.publisher.snapshot(anew=True)

    def save(self, command: Command) -> None:
        """Write a checkpoint."""
        self.publisher.checkpoint()
        self.publisher.say("saved", id=command.id)

    def drop_class(self, command: Command) -> None:
        """Take a class out."""
        (number,) = _class_numbers(command, 1)
        self._say_classes(command, "dropped", Commands(self.reconstruction).drop_class(number))

    def merge_classes(self, command: Command) -> None:
        """Make one class of two."""
        first, second = _class_numbers(command, 2)
        self._say_classes(command, "merged", Commands(self.reconstruction).merge_classes(first, second))

    def _say_classes(self, command: Command, change: str, reason: str) -> None:
        """Write a checkpoint and a snapshot of the new classes, and publish what was done."""
        self.publisher.checkpoint()
        self.publisher.say("classes", id=command.id, change=change, reason=reason)
        self.publisher.snapshot(anew=True)

    # Functions of the class, because bound methods in an attribute would keep the reconstruction until the next
    # collection of garbage.
    actions: ClassVar[dict[str, Callable[[_Loop, Command], None]]] = {
        "pause": pause,
        "resume": resume,
        "switch": switch,
        "symmetry": symmetry,
        "save": save,
        "drop-class": drop_class,
        "merge-classes": merge_classes,
    }

    def leave(self) -> None:
        """Write a checkpoint but no results, which would take too long for a program that is about to end."""
        self.publisher.checkpoint(self.reconstruction.whole_state)
        self.publisher.say("stopped", reason="in a hurry: saved, without new results")
        self.publisher.status("stopped")

    def end(self) -> None:
        """Write the checkpoint, the last snapshot and the results, and publish the end when all are written.

        Before the first step there is no snapshot and there are no results.
        """
        waits = self.reconstruction.waits_for_switch
        self.publisher.checkpoint()
        if self.reconstruction.step:
            self.publisher.snapshot()
            results = self.reconstruction.results()
            self.publisher.newest["resolution"] = results.resolution
            self.publisher.verdict = results.verdict
            self.channel.results(results)
        for command in self.channel.commands():
            self.publisher.say("refused", command=command.kind, id=command.id, reason="the run has ended")
        state: Literal["finished", "stopped"] = "finished" if self.reconstruction.finished and not waits else "stopped"
        reason = WAITS_FOR_SWITCH if waits else ""
        self.publisher.say(state, elapsed=self.publisher.elapsed, **({"reason": reason} if waits else {}))
        self.publisher.status(state, reason)
