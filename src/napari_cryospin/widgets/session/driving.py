"""A thread of this window that drives a run."""

from __future__ import annotations

import sys
import threading
import traceback

from napari_cryospin.particles import Particles
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.launch import RunThread

SWITCH_INTERVAL = 5e-4
"""Seconds that a thread may keep the interpreter; with Python's 5 ms the window would often wait for the run."""


def start_thread(folder: RunFolder, particles: Particles | None) -> RunThread:
    """Drive a run, new or stopped, in a thread of its own.

    Parameters
    ----------
    folder
        Folder of the run.
    particles
        Input of the run, where it is open already; None: the thread opens it.
    """
    sys.setswitchinterval(SWITCH_INTERVAL)
    thread = RunThread(lambda stop: _reconstruct(folder, particles, stop))
    thread.start()
    return thread


def _reconstruct(folder: RunFolder, particles: Particles | None, stop: threading.Event) -> None:
    """Drive a run in this thread, and free its memory on the device afterwards."""
    # The engine loads torch, which a dock does not need to open.
    import torch

    from napari_cryospin.driving.run import drive_run

    # No garbage is collected here: that would hold up the window for up to a second, just when the run has ended.
    try:
        drive_run(folder, particles, hurry=stop)
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)  # Their variables hold the images and the volume.
        raise
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
