"""Driving of a run folder to its results, for the commands `run` and `resume`, a Slurm job and the window's thread."""

from __future__ import annotations

import contextlib
import logging
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

# The first optimiser would import it. Some of its own imports fail, and torch keeps their tracebacks with the variables
# of all callers: a reconstruction among them would stay in memory after its end.
import torch._dynamo

from napari_cryospin.driving.folder_channel import FolderChannel
from napari_cryospin.driving.loop import drive, report_failure
from napari_cryospin.driving.reference import run_references
from napari_cryospin.engine.bad_images import BadImagesError
from napari_cryospin.engine.devices import choose_devices
from napari_cryospin.engine.images import Interrupted
from napari_cryospin.engine.reconstruction import Reconstruction
from napari_cryospin.particles import Particles
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.launch import JOB_SCRIPT
from napari_cryospin.runs.left_out import write_left_out
from napari_cryospin.runs.messages import Command, Event, Status
from napari_cryospin.runs.run_particles import open_run_particles, remember
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import Settings

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def new_run(out: Path, source: RunInput, settings: Settings) -> Iterator[RunFolder]:
    """Make the folder of a new run, after the devices that it asks for were found, as a context.

    The folder is removed where the run turns out to be impossible because its images cannot be used: the check before a
    run looks at images for a limited time only.

    Parameters
    ----------
    out
        The folder, new or empty.
    source
        Input of the run.
    settings
        Settings of the run.

    Raises
    ------
    ValueError
        A device does not exist.
    FileExistsError
        The folder holds a run already, or other files.
    """
    choose_devices(settings.machine.device, 2 if settings.preparation.half_sets else 1)
    folder = RunFolder.create(out, source, settings)
    try:
        yield folder
    except BadImagesError:
        folder.discard()
        raise


def drive_run(
    folder: RunFolder,
    particles: Particles | None = None,
    stop: threading.Event | None = None,
    on_status: Callable[[Status], None] | None = None,
    hurry: threading.Event | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> None:
    """Drive a run, from its beginning or its newest checkpoint, until it ends or is stopped.

    Parameters
    ----------
    folder
        Folder of the run, which names its input and its settings.
    particles
        Input of the run, if it is open already.
    stop
        Setting it stops the run after a step, with checkpoint and results.
    on_status
        Called with every status, about twice a second.
    hurry
        Setting it ends the run at once, with a checkpoint but without results.
    on_event
        Called with every event, between two steps.

    Raises
    ------
    ValueError, FileNotFoundError
        The input cannot be used.
    FileExistsError
        Another process drives this run.
    """
    with folder.driving(), folder.logging():
        settings = folder.settings
        use_threads(settings)
        channel = FolderChannel(folder, on_status, on_event)
        stale = _stale_commands(folder)
        channel.status(Status(state="starting", epochs=settings.schedule.epochs))
        try:
            channel.particles, reconstruction, checkpoint = prepare(folder, particles, hurry)
        except Interrupted:
            channel.status(Status(state="stopped", message="stopped while the images were prepared"))
            return
        except BaseException as error:
            report_failure(channel, error, Status(state="failed"))
            raise
        channel.devices = tuple(dict.fromkeys(fit.device for fit in reconstruction.fits))
        folder.rewind(checkpoint.get("step", 0), checkpoint.get("epoch", 0))
        for command in stale:
            detail = {"command": command.kind, "id": command.id, "reason": "the run had ended when it was sent"}
            channel.event(Event(kind="refused", step=checkpoint.get("step", 0), detail=detail))
        drive(reconstruction, channel, settings, stop, checkpoint.get("elapsed", 0.0), hurry)


def _stale_commands(folder: RunFolder) -> list[Command]:
    """Set aside the commands that were sent to an earlier process of the run, which ended before it could obey them.

    A command that was sent since the run was begun, or since its job was submitted, is for this process.
    """
    last = folder.read_status()
    before = last.heartbeat
    if last.state in ("running", "paused"):  # That process was killed: until now nobody could obey.
        script = folder.path / JOB_SCRIPT
        submitted = script.stat().st_mtime if script.is_file() else 0.0
        before = submitted if submitted > last.heartbeat else time.time()
    return folder.set_aside_commands(before)


def prepare(
    folder: RunFolder, particles: Particles | None = None, hurry: threading.Event | None = None
) -> tuple[Particles, Reconstruction, dict[str, Any]]:
    """Open a run in the state of its newest checkpoint.

    Returns
    -------
    particles, reconstruction, checkpoint
        Input of the run, the engine in the state of the checkpoint, and the checkpoint itself; empty if there is none.

    Raises
    ------
    FileNotFoundError, ValueError
        The input cannot be used, or the checkpoint does not fit it.
    """
    if particles is None:
        particles = open_run_particles(folder)
    remember(folder, particles)
    for note in particles.notes:
        logger.info("%s", note)
    checkpoint = load_checkpoint(folder)
    references = [] if checkpoint else run_references(folder, particles)
    reconstruction = Reconstruction(particles, folder.settings, hurry, references)
    write_left_out(folder, particles, reconstruction.left_out)
    for note in reconstruction.preparation_notes:
        logger.warning("%s", note)
    if checkpoint:
        try:
            reconstruction.load_state_dict(checkpoint["reconstruction"])
        except (RuntimeError, LookupError, TypeError, ValueError) as error:
            raise ValueError(
                f"{folder.path / 'checkpoints'}: not of the particles and settings that this folder names "
                f"({folder.source.particles}), or of another version: files of another run, or of an older program?"
            ) from error
    return particles, reconstruction, checkpoint


def load_checkpoint(folder: RunFolder) -> dict[str, Any]:
    """Read the newest checkpoint that is not damaged. Return an empty dict where there are no checkpoints.

    Raises
    ------
    ValueError
        All of the checkpoints are damaged.
    """
    paths = folder.checkpoints()
    for path in paths:
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
            reason = str(error).partition(". ")[0] or "it is empty"
            logger.warning("%s is damaged, the checkpoint before is tried: %s", path, reason)
    if paths:
        raise ValueError(f"{paths[0]}: damaged, and so are all checkpoints before; start a new run")
    return {}


def use_threads(settings: Settings) -> None:
    """Set the number of CPU threads if the settings state one; to be called once, before anything is computed."""
    if settings.machine.threads is not None:
        torch.set_num_threads(settings.machine.threads)
