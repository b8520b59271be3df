"""Files of records: .npz files with a version, whose arrays are read one by one and by their present names."""

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
"""Version that is written into records. Those of version 0.1 of the program have none in them, and count as 1."""


class RecordFile:
    """The open file of a record.

    Parameters
    ----------
    file
        The open .npz file.

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

    def shape(self, name: str) -> tuple[int, ...]:
        """Read the shape of one array, but not the array."""
        assert self._file.zip is not None  # It is None once the file is closed.
        with self._file.zip.open(f"{self._name_in_file(name)}.npy") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, _ = read(file)
        return tuple(shape)

    def value(self, name: str) -> Any:
        """Read a number or a text."""
        return self.array(name).item()

    def particles(self, *optional: str) -> ParticleRecord:
        """Read the record of the particles.

        Parameters
        ----------
        *optional
            Names of `particle_record.OPTIONAL_ARRAYS` to read, if the file has them, beside the arrays that every
            record has; the others are None.

        Raises
        ------
        KeyError
            The file lacks an array that every record has.
        """
        arrays = {name: self.array(name) for name in (*REQUIRED_ARRAYS, *optional) if name in self}
        # Version 0.1 left half sets out where there were none.
        if self.version == RECORD_VERSION_0_1 and "half_sets" not in arrays:
            arrays["half_sets"] = np.zeros(len(arrays["rows"]), np.int8)
        missing = [name for name in REQUIRED_ARRAYS if name not in arrays]
        if missing:
            raise KeyError(f"{', '.join(missing)} missing")
        return ParticleRecord(**arrays)

    def _name_in_file(self, name: str) -> str:
        return NAMES_0_1.get(name, name) if self.version == RECORD_VERSION_0_1 else name


@contextmanager
def open_record(path: Path) -> Iterator[RecordFile]:
    """Open the file of a record; each array is read when it is accessed.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such file, or it is damaged, of a later version, or lacks an array that is accessed.
    """
    with open_npz(path) as file:
        try:
            yield RecordFile(file)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: not written by a run, or damaged ({error})") from error


def save_record(file: Path | BinaryIO, particles: ParticleRecord, **values: Any) -> None:
    """Write a record to an .npz file of arrays, numbers and texts, which can be read without unpickling.

    Parameters
    ----------
    file
        Path, or open file, to write to.
    particles
        Record of the particles; all arrays that it knows are written.
    **values
        Arrays, numbers and texts to write beside it.

    Raises
    ------
    ValueError
        A value has the name of an array of the record, or the name `version`.
    """
    clash = sorted({*values} & {*ARRAY_SPECS, "version"})
    if clash:
        raise ValueError(f"record: {', '.join(clash)} written twice; expected other names")
    written: dict[str, Any] = {"version": RECORD_VERSION, **values, **particles.arrays}
    np.savez(file, **written)
