"""Ways to start what drives a run: in a thread of this process, in a process of its own, or as a Slurm job.

Which engine is used is the caller's business: a thread is handed a callable, the others run the command line.
"""

from __future__ import annotations

import logging
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from napari_cryospin.runs.folder import RunFolder

logger = logging.getLogger(__name__)

JOB_SCRIPT = "job.sh"
JOB_NUMBER = "slurm_job.txt"
GRACE = 120  # s before Slurm's time limit at which a run is told to save and stop


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
    with (folder.path / "output.txt").open("ab") as output:
        return subprocess.Popen(
            _command(folder), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )


def write_job_script(folder: RunFolder, options: str = "") -> Path:
    """Write the script of a Slurm job that drives a run, new or stopped; at the time limit it saves and stops.

    Parameters
    ----------
    folder
        The run, on a disk that the cluster's nodes see, as they must see the Python that runs now.
    options
        Further options of sbatch, one a line: `--gres=gpu:1`.

    Raises
    ------
    ValueError
        A line is no option.
    """
    lines = [line.strip() for line in options.splitlines() if line.strip()]
    for line in lines:
        if not line.startswith("-"):
            raise ValueError(f"Slurm options: found {line!r}, expected an option of sbatch such as --gres=gpu:1")
    path = folder.path.absolute()
    given = [f"--job-name=cryospin-{path.name}", f"--output={path / 'output.txt'}", f"--signal=B:TERM@{GRACE}", *lines]
    script = folder.path / JOB_SCRIPT
    text = ["#!/bin/bash", *(f"#SBATCH {option}" for option in given), f"exec {shlex.join(_command(folder))}"]
    script.write_text("\n".join(text) + "\n")
    return script


def submit(folder: RunFolder, options: str = "") -> str:
    """Submit a run as a Slurm job, and return the job's number.

    Parameters
    ----------
    folder, options
        As in `write_job_script`.

    Raises
    ------
    FileNotFoundError
        There is no sbatch here; the script is written, to be submitted elsewhere.
    ValueError
        sbatch refused the job, or a line is no option.
    """
    script = write_job_script(folder, options)
    if shutil.which("sbatch") is None:
        raise FileNotFoundError(f"sbatch: not found on this machine; submit the job where Slurm is: sbatch {script}")
    result = subprocess.run(["sbatch", "--parsable", str(script)], capture_output=True, text=True, check=False)
    if result.returncode:
        raise ValueError(f"{script}: refused by sbatch: {result.stderr.strip() or result.stdout.strip()}")
    number = result.stdout.strip().partition(";")[0]
    (folder.path / JOB_NUMBER).write_text(number)
    return number


def job_of(folder: RunFolder) -> str | None:
    """Find the number of a run's Slurm job; empty: script written, not submitted from here; None: no job."""
    number = folder.path / JOB_NUMBER
    if number.is_file():
        return number.read_text().strip()
    return "" if (folder.path / JOB_SCRIPT).is_file() else None


def _command(folder: RunFolder) -> list[str]:
    return [sys.executable, "-m", "napari_cryospin", "resume", str(folder.path.absolute())]
