"""Search for ChimeraX on this machine, and its start on a script."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

CHIMERAX_NAMES = ("chimerax", "ChimeraX", "chimerax-daily")
"""Names of ChimeraX's program."""
USUAL_FOLDERS = (
    "/usr/bin/chimerax*",
    "/usr/lib/ucsf-chimerax*/bin/ChimeraX",
    "/usr/libexec/UCSF-ChimeraX*/bin/ChimeraX",
    "/opt/UCSF/ChimeraX*/bin/ChimeraX",
    "/opt/chimerax*/bin/ChimeraX",
    "/usr/local/chimerax*/bin/ChimeraX",
    "~/chimerax*/bin/ChimeraX",
    "~/.local/chimerax*/bin/ChimeraX",
    "/var/lib/flatpak/exports/bin/edu.ucsf.rbvi.ChimeraX",
    "~/.local/share/flatpak/exports/bin/edu.ucsf.rbvi.ChimeraX",
    "/Applications/ChimeraX*.app/Contents/bin/ChimeraX",
    "~/Applications/ChimeraX*.app/Contents/bin/ChimeraX",
    "C:/Program Files/ChimeraX*/bin/ChimeraX.exe",
)
"""Patterns of the paths at which ChimeraX is usually installed on Linux, macOS and Windows."""


def find_chimerax(chosen: Path | None = None) -> Path:
    """Find the program of ChimeraX: as chosen, by the variable CHIMERAX_PATH, on PATH, or in usual folders.

    Parameters
    ----------
    chosen
        Program or folder that the user chose; it comes first.

    Raises
    ------
    FileNotFoundError
        ChimeraX was not found; the message names the places that were searched, and what to do.
    """
    if chosen is not None:
        program = _in_folder(chosen)
        if program is None:
            raise FileNotFoundError(f"{chosen}: found no ChimeraX program there")
        return program
    named = os.environ.get("CHIMERAX_PATH")
    if named:
        program = _in_folder(Path(named).expanduser())
        if program is None:
            raise FileNotFoundError(f"CHIMERAX_PATH is {named}; found no ChimeraX program there")
        return program
    for name in CHIMERAX_NAMES:
        if (path := shutil.which(name)) is not None:
            return Path(path)
    found = next(_usual(), None)
    if found is None:
        raise FileNotFoundError(
            f"ChimeraX was not found. Looked on PATH for {', '.join(CHIMERAX_NAMES)}, and in "
            + ", ".join(USUAL_FOLDERS)
            + ". Install it (https://www.rbvi.ucsf.edu/chimerax), or set CHIMERAX_PATH to its program or folder."
        )
    return found


def open_in_chimerax(script: Path, chosen: Path | None = None) -> subprocess.Popen[bytes]:
    """Start ChimeraX with a script or any file that it reads; ChimeraX outlives this process.

    Parameters
    ----------
    script
        The file.
    chosen
        As of `find_chimerax`.

    Raises
    ------
    FileNotFoundError
        ChimeraX was not found.
    """
    command = [str(find_chimerax(chosen)), str(script)]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)


def _in_folder(path: Path) -> Path | None:
    """Find the program at a path, which may be the program itself or the folder of an installation."""
    if path.is_file():
        return path
    names = [
        f"{folder}/{name}{end}"
        for folder in ("bin", "Contents/bin", ".")
        for name in CHIMERAX_NAMES
        for end in ("", ".exe")
    ]
    return next((path / name for name in names if (path / name).is_file()), None)


def _usual() -> Iterator[Path]:
    """Yield the programs in the usual folders; of several versions in one place, the newest first."""
    for pattern in USUAL_FOLDERS:
        path = Path(pattern).expanduser()
        anchor = Path(path.anchor)
        if path.anchor:
            yield from sorted(anchor.glob(str(path.relative_to(anchor))), reverse=True)
