"""Files of arrays (.npz), with errors that name the file."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile

from napari_cryospin.io.files import check_is_file

DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, KeyError)
"""Errors that numpy raises when a file is damaged or lacks an array."""


@contextmanager
def open_npz(path: Path) -> Iterator[NpzFile]:
    """Open a file of arrays; each array is read when it is accessed.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such file, it is damaged, or it lacks an array that is accessed.
    """
    check_is_file(path)
    try:
        found = np.load(path, allow_pickle=False)
    except (*DAMAGED, ValueError) as error:
        raise ValueError(f"{path}: not a readable .npz file, or damaged") from error
    if not isinstance(found, NpzFile):
        raise ValueError(f"{path}: one array alone; expected an .npz file")
    with found:
        try:
            yield found
        except DAMAGED as error:
            raise ValueError(f"{path}: damaged, or not of the kind expected ({error})") from error
