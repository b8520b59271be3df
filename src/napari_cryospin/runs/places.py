"""Places that nothing may be written to: what a user reads from, and the files of runs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

OWN_FOLDERS = ("snapshots", "checkpoints", "history", "commands", "results")
"""Folders of a run to which only the run itself writes."""


def check_place(out: Path, inputs: Iterable[Path], *, folder: bool = False) -> None:
    """Refuse a place to write to where that would replace a file that is read, or files of a run.

    Paths are compared as they are on the disk: links and other spellings of one place are the same place.

    Parameters
    ----------
    out
        File to write, or folder of files to write.
    inputs
        Files that are read.
    folder
        Whether `out` is a folder.

    Raises
    ------
    ValueError
        The place is that of an input, or among the files of a run; or it is no path.
    """
    real = real_path(out)
    for path in inputs:
        other = real_path(path)
        if real == other or (folder and real == other.parent):
            raise ValueError(f"{out}: the input {path.name} is there; choose another place to write to")
    place = real if folder else real.parent
    for run in (place, *place.parents):
        if not ((run / "input.json").is_file() and (run / "settings.json").is_file()):
            continue
        inner = place.relative_to(run).parts
        if not inner or inner[0] in OWN_FOLDERS:
            raise ValueError(f"{out}: the files of the run {run.name} are there; choose another place to write to")


def real_path(path: Path) -> Path:
    """Return where a path leads on the disk."""
    try:
        return Path(path).resolve()
    except (OSError, RuntimeError) as error:  # Python 3.11 raises the latter of a link that leads to itself.
        raise ValueError(f"{path}: leads nowhere, through links that lead to each other") from error
