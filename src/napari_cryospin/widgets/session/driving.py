"""The thread of this window that drives a run."""

from __future__ import annotations

import sys
import threading

from napari_cryospin.particles import Particles
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.launch import RunThread

SWITCH_INTERVAL = 5e-4  # s that a thread keeps the interpreter: with Python's 5 ms the window waits for a run's thread


def start_thread(folder: RunFolder, particles: Particles | None) -> RunThread:
    """Drive a run, new or stopped, in a thread of its own.

    Parameters
    ----------
    folder
        The run.
    particles
        Its input, where that is open already; None: it is opened by the thread.
    """
    sys.setswitchinterval(SWITCH_INTERVAL)
    thread = RunThread(lambda stop: _reconstruct(folder, particles, stop))
    thread.start()
    return thread


def _reconstruct(folder: RunFolder, particles: Particles | None, stop: threading.Event) -> None:
    """Drive a run in this thread; whatever it held on a GPU is free again afterwards."""
    # Here, and not when a dock opens: the engine loads torch.
    import gc

    import torch

    from napari_cryospin.driving.run import drive_run

    try:
        drive_run(folder, particles, hurry=stop)
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
