"""Two ways to start what drives a run: in a thread of this process, or in a process of its own.

Which engine is used is the caller's business: a thread is handed a callable, a process runs the command line.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Callable

from napari_cryospin.runs.folder import RunFolder

logger = logging.getLogger(__name__)


class RunThread(threading.Thread):
    """A thread that catches everything; closing a window does not end it, setting `stop` does.

    Parameters
    ----------
    work
        Called with the stop event; returns soon after that is set.

    Attributes
    ----------
    stop
        Set it to end the run after a step.
    error
        What `work` raised, once the thread has ended.
    """

    def __init__(self, work: Callable[[threading.Event], None]) -> None:
        super().__init__(name="cryospin-run")
        self.work = work
        self.stop = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.work(self.stop)
        except BaseException as error:
            self.error = error
            logger.exception("The run failed.")


def start_process(folder: RunFolder) -> subprocess.Popen[bytes]:
    """Drive a run, new or stopped, in a process that outlives this one. What it prints goes to output.txt."""
    command = [sys.executable, "-m", "napari_cryospin", "resume", str(folder.path)]
    with (folder.path / "output.txt").open("ab") as output:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
