"""Logs with one JSON object in each line.

A crash may leave the last line torn. Readers skip it, and the next process that drives the run cuts it off.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_cryospin.io.files import naming
from napari_cryospin.listing import shortened


def append_line(path: Path, line: str) -> None:
    """Append one line of JSON."""
    with naming(path), path.open("a") as file:
        file.write(line + "\n")


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the object of each line, except for a last line without an end; none if there is no such file.

    Raises
    ------
    ValueError
        A line is not JSON; the message names file and line.
    """
    text = path.read_text(errors="replace") if path.exists() else ""
    for number, line in enumerate(re.findall(r"(.*)\n", text), start=1):
        if line:
            try:
                yield json.loads(line)
            except ValueError as error:
                raise ValueError(
                    f"{path}: line {number}: found {shortened(line)!r}, expected a record (JSON)"
                ) from error


def cut_torn_line(path: Path) -> None:
    """Remove everything after the last line end."""
    if path.exists():
        with path.open("rb+") as file:
            file.truncate(file.read().rfind(b"\n") + 1)
