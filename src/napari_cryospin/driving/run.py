"""Driving a run folder to its results: the entry of `run`, `resume`, the window's thread and a Slurm job."""

from __future__ import annotations

import logging
import pickle
import threading
from collections.abc import Callable
from typing import Any

import torch

from napari_cryospin.driving.folder_channel import FolderChannel
from napari_cryospin.driving.loop import drive, report_failure
from napari_cryospin.engine.images import Interrupted
from napari_cryospin.engine.reconstruction import Reconstruction
from napari_cryospin.particles import Particles
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.left_out import write_left_out
from napari_cryospin.runs.messages import Event, Status
from napari_cryospin.runs.run_particles import open_run_particles, remember
from napari_cryospin.settings import Settings

logger = logging.getLogger(__name__)


def drive_run(
    folder: RunFolder,
    particles: Particles | None = None,
    stop: threading.Event | None = None,
    on_status: Callable[[Status], None] | None = None,
    hurry: threading.Event | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> None:
    """Begin a run, or continue it from its newest checkpoint, until it ends or is stopped.

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
        drive(reconstruction, channel, settings, stop, checkpoint.get("elapsed", 0.0), hurry)


def prepare(
    folder: RunFolder, particles: Particles | None = None, hurry: threading.Event | None = None
) -> tuple[Particles, Reconstruction, dict[str, Any]]:
    """Open a run as of its newest checkpoint.

    Returns
    -------
    particles, reconstruction, checkpoint
        Input of the run, the engine in the state of the checkpoint, and the checkpoint itself; empty if there is none.
    """
    if particles is None:
        particles = open_run_particles(folder)
    remember(folder, particles)
    for note in particles.notes:
        logger.info("%s", note)
    reconstruction = Reconstruction(particles, folder.settings, hurry)
    write_left_out(folder, particles, reconstruction.left_out)
    for note in reconstruction.preparation_notes:
        logger.warning("%s", note)
    checkpoint = load_checkpoint(folder)
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
    """Set the number of CPU threads; to be called once, before anything is computed."""
    if settings.machine.threads is not None:
        torch.set_num_threads(settings.machine.threads)
