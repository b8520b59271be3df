"""What a run's folder keeps of the map that the run started from."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from napari_cryospin.io.files import atomic_write

REFERENCE_MAP = "reference.mrc"
"""Name of the reference's copy in a run's folder: in the run's box and pixel size, masked and low-passed."""
REFERENCE_RECORD = "reference.json"
"""Name of the file in a run's folder that says which map the reference was."""


@dataclass(frozen=True, kw_only=True)
class ReferenceRecord:
    """The map that a run started from."""

    file: str
    """Path of the map when the run began."""
    box: int
    """Box of that map, pixels."""
    pixel_size: float
    """Its pixel size, A."""
    resolution: float
    """Resolution to which it was low-passed, A."""
    sha256: str
    """Hash of the file."""

    def __str__(self) -> str:
        map_text = f"{self.file}, {self.box} px at {self.pixel_size:.4g} A"
        return f"{map_text}, low-passed to {self.resolution:g} A"

    def write(self, folder: Path) -> None:
        """Write the record into a run's folder."""
        with atomic_write(folder / REFERENCE_RECORD) as part:
            part.write_text(json.dumps(dataclasses.asdict(self), indent=2))


def reference_of(folder: Path) -> ReferenceRecord | None:
    """Read which map a run started from; None: from none, or it has not begun.

    Raises
    ------
    ValueError
        The record is damaged.
    """
    path = folder / REFERENCE_RECORD
    if not path.is_file():
        return None
    try:
        return ReferenceRecord(**json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: not written by a run, or damaged ({error})") from error
