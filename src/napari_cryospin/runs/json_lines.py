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
    """The records, but for a last line that has no end yet."""
    text = path.read_text() if path.exists() else ""
    return (json.loads(line) for line in re.findall(r"(.+)\n", text))


def cut_torn_line(path: Path) -> None:
    """Cut off what follows the last line end."""
    if path.exists():
        with path.open("rb+") as file:
            file.truncate(file.read().rfind(b"\n") + 1)
