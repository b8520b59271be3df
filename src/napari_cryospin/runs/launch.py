"""Ways to drive a run: in a thread of this process, in a process of its own, or as a Slurm job.

A thread calls a function of the caller; a process and a Slurm job run the command line.
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

from napari_cryospin.listing import shortened
from napari_cryospin.runs.folder import RunFolder

logger = logging.getLogger(__name__)

JOB_SCRIPT = "job.sh"
"""Name of the job's script in the folder of the run."""
JOB_NUMBER = "slurm_job.txt"
"""Name of the file with the job's number in the folder of the run."""
GRACE = 120
"""Seconds before Slurm's time limit at which a run is told to save and stop. Chosen by hand."""


class RunThread(threading.Thread):
    """A thread that drives a run and catches every error. It ends when `stop` is set, not when a window is closed.

    Parameters
    ----------
    work
        Function that is called with the stop event, and returns soon after that is set.

    Attributes
    ----------
    stop
        Event that ends the run after a step when it is set.
    error
        Error that `work` raised, if any, once the thread has ended.
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
    """Start a process that drives a run, new or stopped, and outlives this one; its output goes to output.txt."""
    with (folder.path / "output.txt").open("ab") as output:
        return subprocess.Popen(
            _command(folder), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )


def write_job_script(folder: RunFolder, options: str = "") -> Path:
    """Write the script of a Slurm job that drives a run, new or stopped; at the time limit it saves and stops.

    Parameters
    ----------
    folder
        Folder of the run. It must be on a disk that the nodes of the cluster can read, and so must this Python.
    options
        Further options of sbatch, one in each line, such as `--gres=gpu:1`.

    Raises
    ------
    ValueError
        A line is not an option.
    """
    lines = [line.strip() for line in options.splitlines() if line.strip()]
    for line in lines:
        if not line.startswith("-"):
            raise ValueError(
                f"Slurm options: found {shortened(line)!r}, expected an option of sbatch such as --gres=gpu:1"
            )
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
        There is no sbatch on this machine. The script has been written, and can be submitted on another machine.
    ValueError
        sbatch refused the job, or a line is not an option.
    """
    script = write_job_script(folder, options)
    if shutil.which("sbatch") is None:
        raise FileNotFoundError(f"sbatch: not found on this machine; submit the job where Slurm is: sbatch {script}")
    result = subprocess.run(["sbatch", "--parsable", str(script)], capture_output=True, text=True, check=False)
    if result.returncode:
        raise ValueError(f"{script}: refused by sbatch: {shortened(result.stderr.strip() or result.stdout.strip())}")
    number = result.stdout.strip().partition(";")[0]
    (folder.path / JOB_NUMBER).write_text(number)
    return number


def job_of(folder: RunFolder) -> str | None:
    """Return the number of a run's Slurm job; empty if the script was not submitted from here; None without a job."""
    number = folder.path / JOB_NUMBER
    if number.is_file():
        return number.read_text().strip()
    return "" if (folder.path / JOB_SCRIPT).is_file() else None


def _command(folder: RunFolder) -> list[str]:
    return [sys.executable, "-m", "napari_cryospin", "resume", str(folder.path.absolute())]
