"""Logs of one JSON record a line. A crash may leave the last line torn: readers skip it, the next writer cuts it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_cryospin.io.files import naming


def append_line(path: Path, line: str) -> None:
    """Add one record."""
    with naming(path), path.open("a") as file:
        file.write(line + "\n")


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Read the records, but for a last line that has no end yet.

    Raises
    ------
    ValueError
        Names file and line of what is no record.
    """
    text = path.read_text(errors="replace") if path.exists() else ""
    for number, line in enumerate(re.findall(r"(.*)\n", text), start=1):
        if line:
            try:
                yield json.loads(line)
            except ValueError as error:
                raise ValueError(f"{path}: line {number}: found {line[:40]!r}, expected a record (JSON)") from error


def cut_torn_line(path: Path) -> None:
    """Cut off what follows the last line end."""
    if path.exists():
        with path.open("rb+") as file:
            file.truncate(file.read().rfind(b"\n") + 1)
