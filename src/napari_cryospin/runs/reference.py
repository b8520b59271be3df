"""What a run's folder keeps of the map that the run started from, or of the map of each class."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_cryospin.io.files import atomic_write

REFERENCE_MAP = "reference.mrc"
"""Name of the reference's copy in a run's folder: in the run's box and pixel size, masked and low-passed."""
CLASS_REFERENCE_MAPS = "reference_{}.mrc"
"""Names of the copies where each class starts from a map of its own, numbered from 1."""
REFERENCE_RECORD = "reference.json"
"""Name of the file in a run's folder that says which map the reference was, or which maps in a list."""


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


def reference_maps(folder: Path, count: int) -> list[Path]:
    """Return the paths of the copies of one reference, or of one a class, in a run's folder."""
    if count == 1:
        return [folder / REFERENCE_MAP]
    return [folder / CLASS_REFERENCE_MAPS.format(number) for number in range(1, count + 1)]


def forget_references(folder: Path) -> None:
    """Remove all references, and what is known of them, from a run's folder."""
    for path in (folder / REFERENCE_RECORD, folder / REFERENCE_MAP, *folder.glob(CLASS_REFERENCE_MAPS.format("*"))):
        path.unlink(missing_ok=True)


def write_references(folder: Path, records: Sequence[ReferenceRecord]) -> None:
    """Write into a run's folder which maps it starts from."""
    found = [dataclasses.asdict(record) for record in records]
    with atomic_write(folder / REFERENCE_RECORD) as part:
        part.write_text(json.dumps(found[0] if len(found) == 1 else found, indent=2))


def references_of(folder: Path) -> tuple[ReferenceRecord, ...]:
    """Read which maps a run started from: one, one a class, or none, which is also so before it has begun.

    Raises
    ------
    ValueError
        The record is damaged.
    """
    path = folder / REFERENCE_RECORD
    if not path.is_file():
        return ()
    try:
        found = json.loads(path.read_text())
        return tuple(ReferenceRecord(**one) for one in (found if isinstance(found, list) else [found]))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: not written by a run, or damaged ({error})") from error
