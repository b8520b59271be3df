"""Files of records: .npz with a version, whose arrays are read one by one, under their present names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from napari_cryospin.io.npz import open_npz
from napari_cryospin.runs.particle_record import ARRAY_SPECS, REQUIRED_ARRAYS, ParticleRecord
from napari_cryospin.runs.version_0_1 import NAMES_0_1, RECORD_VERSION_0_1

RECORD_VERSION = 2
"""Version that is written into records; 1: those of version 0.1 of the program, which have none in them."""


class RecordFile:
    """A record's file that is open.

    Raises
    ------
    ValueError
        The file was written by a later version of the program.
    """

    def __init__(self, file: NpzFile) -> None:
        self._file = file
        self.version = int(file["version"]) if "version" in file.files else RECORD_VERSION_0_1
        if self.version > RECORD_VERSION:
            raise ValueError(f"version is {self.version}; expected at most {RECORD_VERSION}: update the program")

    def __contains__(self, name: str) -> bool:
        return self._name_in_file(name) in self._file.files

    def array(self, name: str) -> NDArray[Any]:
        """Read one array."""
        array: NDArray[Any] = self._file[self._name_in_file(name)]
        array.flags.writeable = False
        return array

    def value(self, name: str) -> Any:
        """Read a number or a text."""
        return self.array(name).item()

    def particles(self, *optional: str) -> ParticleRecord:
        """Read what is known of the particles.

        Parameters
        ----------
        *optional
            Which of `particle_record.OPTIONAL_ARRAYS` to read, where the file has them, beside those that every record
            has; the others are None.
        """
        arrays = {name: self.array(name) for name in (*REQUIRED_ARRAYS, *optional) if name in self}
        if self.version == RECORD_VERSION_0_1 and "half_sets" not in arrays:  # left out where there were none
            arrays["half_sets"] = np.zeros(len(arrays["rows"]), np.int8)
        missing = [name for name in REQUIRED_ARRAYS if name not in arrays]
        if missing:
            raise KeyError(f"{', '.join(missing)} missing")
        return ParticleRecord(**arrays)

    def _name_in_file(self, name: str) -> str:
        return NAMES_0_1.get(name, name) if self.version == RECORD_VERSION_0_1 else name


@contextmanager
def open_record(path: Path) -> Iterator[RecordFile]:
    """Open a record's file; each array is read when it is asked for.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such file; it is damaged, of a later version, or lacks an array that is asked for.
    """
    with open_npz(path) as file:
        try:
            yield RecordFile(file)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: not written by a run, or damaged ({error})") from error


def save_record(file: Path | BinaryIO, particles: ParticleRecord, **values: Any) -> None:
    """Write a record to an .npz file: arrays, numbers and text, nothing that is unpickled on reading.

    Parameters
    ----------
    file
        Where to.
    particles
        All arrays that it knows are written.
    **values
        What is written beside them.
    """
    clash = sorted({*values} & {*ARRAY_SPECS, "version"})
    if clash:
        raise ValueError(f"record: {', '.join(clash)} written twice; expected other names")
    written: dict[str, Any] = {"version": RECORD_VERSION, **values, **particles.arrays}
    np.savez(file, **written)
