"""The commands `send` and `status`, for a run that another process drives. They import neither torch nor scipy."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from napari_cryospin.cli.console import print_line, progress_text
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import LIVE_STATES, Command, CommandKind, Event
from napari_cryospin.runs.reference import references_of
from napari_cryospin.symmetry_names import canonical_name


def send_command(
    run: Annotated[Positional[Path], arg(metavar="RUN")],
    command: Positional[
        Literal["pause", "resume", "switch", "symmetry", "save", "stop", "drop-class", "merge-classes"]
    ],
    arguments: Annotated[Positional[tuple[str, ...]], arg(metavar="[GROUP | CLASS ...]")] = (),
    wait: float = 10.0,
) -> int:
    """Send a command to a run that is going on; the run obeys or refuses it between two steps.

    Parameters
    ----------
    run
        Folder of the run.
    command
        Command to send; switch is the switch from auto-encoding to auto-decoding; symmetry imposes a point group on the
        map, or relaxes it; drop-class takes a class out, and merge-classes makes one of two.
    arguments
        Of the command symmetry, the point group, such as C3; C1 relaxes the present one. Of the commands for classes,
        their numbers, from 1: the one to drop, or the two to merge.
    wait
        Seconds to wait for the answer.
    """
    if command == "symmetry":
        if len(arguments) != 1:
            raise ValueError(f"symmetry: expected a group, such as C3; found {' '.join(arguments) or 'nothing'}")
        arguments = (canonical_name(arguments[0]),)
    elif arguments and command not in ("drop-class", "merge-classes"):
        raise ValueError(f"{command}: takes nothing after it; found {' '.join(arguments)}")
    folder = RunFolder(run)
    if not folder.is_driven():
        state = folder.read_status().state
        raise ValueError(
            f"{run}: nobody drives this run ({state})" + ("; `resume` goes on with it" * (state != "finished"))
        )
    kind: CommandKind = command
    sent = Command(kind=kind, reason="by hand: command line", arguments=arguments)
    earlier = len(folder.read_events())
    folder.send(sent)
    until = time.monotonic() + wait
    while time.monotonic() < until:
        answer = answer_to(sent, folder.read_events()[earlier:])
        if answer is not None:
            reason = answer.detail.get("reason")
            print_line(f"{answer.kind} at step {answer.step}" + (f": {reason}" if reason else ""))
            return 2 if answer.kind == "refused" else 0
        time.sleep(0.1)
    print_line("sent; no answer yet")
    return 0


def answer_to(command: Command, events: list[Event]) -> Event | None:
    """Return the event that answers a command among the events after it; None if there is none yet."""
    obeyed = (event for event in events if event.detail.get("id") == command.id)
    ended = (event for event in events if command.kind == "stop" and event.kind == "stopped")
    return next(obeyed, None) or next(ended, None)


def status_command(run: Annotated[Positional[Path], arg(metavar="RUN")], json: bool = False) -> int:
    """Show the state and the progress of a run.

    Parameters
    ----------
    run
        Folder of the run.
    json
        Print JSON, to be read by programs.
    """
    folder = RunFolder(run)
    now = folder.read_status()
    if json:
        print_line(now.to_json())
        return 0
    print_line(f"{now.state}: {now.stage}, epoch {now.epoch}/{now.epochs}, step {now.step}, {100 * now.progress:.0f} %")
    if known := progress_text(now):
        print_line(known)
    for reference in references_of(folder.path):
        print_line(f"started from {reference}")
    if now.state in LIVE_STATES and not folder.is_driven():
        where = "begins anew" if folder.newest_checkpoint() is None else "goes on from the last checkpoint"
        print_line(f"its process is gone: `napari-cryospin resume` {where}")
    if now.verdict_text:
        print_line(f"verdict: {now.verdict_text}")
    if known := ", ".join(filter(None, (now.symmetry, now.looks_like))):
        print_line(f"symmetry: {known}")
    if now.switch_reason:
        print_line(f"switch {now.switch_reason}")
    if now.message:
        print_line(now.message)
    for event in [event for event in folder.read_events() if event.kind != "epoch"][-5:]:
        print_line(f"  step {event.step}: {event.kind} {event.detail.get('reason', '')}".rstrip())
    return 0
