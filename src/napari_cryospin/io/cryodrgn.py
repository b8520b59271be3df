"""Pickles of cryoDRGN with poses and CTF parameters, read without running any code that a pickle may hold."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.io.files import atomic_write
from napari_cryospin.io.located import check_ctf
from napari_cryospin.io.pickled_arrays import load_arrays
from napari_cryospin.particles import CTF_PARAMETERS, CtfParameters

CRYODRGN_CTF = tuple(name for name in CTF_PARAMETERS if name not in ("scale", "b_factor"))
"""Names of the values that follow box and pixel size in a row of CTF parameters; units are those of `CtfParameters`."""


def read_poses(path: Path | str, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Read the poses of `count` particles.

    Returns
    -------
    tuple
        `(n, 3, 3)` rotations, and `(n, 2)` shifts as fractions of the box (None where the file has none).

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such file, or it does not hold rotations and shifts of so many particles.
    """
    arrays = load_arrays(path)
    rotations, shifts = arrays[0], arrays[1] if len(arrays) > 1 else None
    _check_shape(path, "rotations", rotations, (count, 3, 3))
    off = np.abs(rotations @ rotations.swapaxes(-1, -2) - np.eye(3)).max((-2, -1)) > 1e-3
    off |= np.linalg.det(rotations) < 0
    if off.any():
        row = int(off.argmax())
        raise ValueError(f"{path}: row {row + 1}: found {rotations[row].tolist()}, expected a rotation matrix")
    if shifts is not None:
        _check_shape(path, "shifts", shifts, (count, 2))
        too_far = np.abs(shifts).max(-1) > 1
        if too_far.any():
            row = int(too_far.argmax())
            found = shifts[row].tolist()
            raise ValueError(f"{path}: row {row + 1}: found a shift of {found}, expected fractions of the box, -1 to 1")
    return rotations, shifts


def read_ctf(path: Path | str, count: int) -> tuple[CtfParameters, NDArray[np.float64]]:
    """Read the CTF of `count` particles.

    Returns
    -------
    tuple
        CTF parameters, and `(n,)` sides of the boxes in A: box times pixel size. Cropping in Fourier space changes
        box and pixel size, but not their product.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such file, or it does not hold CTF parameters of so many particles.
    """
    table = load_arrays(path)[0]
    _check_shape(path, "CTF parameters", table, (count, 2 + len(CRYODRGN_CTF)))
    box, pixel_size = table[:, 0], table[:, 1]
    bad = (box <= 0) | (pixel_size <= 0)
    if bad.any():
        row = int(bad.argmax())
        found = f"box {box[row]:g}, pixel size {pixel_size[row]:g} A"
        raise ValueError(f"{path}: row {row + 1}: found {found}, expected numbers above 0")
    values = dict(zip(CRYODRGN_CTF, table[:, 2:].T.copy(), strict=True))
    check_ctf(values, path)
    return CtfParameters(**values, scale=np.ones(count), b_factor=np.zeros(count)), box * pixel_size


def write_poses(path: Path, rotations: NDArray[np.float64], fractions: NDArray[np.float64]) -> None:
    """Write `(n, 3, 3)` rotations, and `(n, 2)` shifts as fractions of the box."""
    _write(path, (rotations.astype(np.float32), fractions.astype(np.float32)))


def write_ctf(path: Path, ctf: CtfParameters, box: int, pixel_size: float) -> None:
    """Write the CTF parameters of images with a box of `box` pixels and a pixel size of `pixel_size` A."""
    count = len(ctf.voltage)
    columns = [np.full(count, box), np.full(count, pixel_size), *(getattr(ctf, name) for name in CRYODRGN_CTF)]
    _write(path, np.stack(columns, axis=-1).astype(np.float32))


def write_indices(path: Path, rows: NDArray[np.int64]) -> None:
    """Write the `(k,)` rows of the particles to use, counted from 0."""
    _write(path, rows)


def _write(path: Path, content: Any) -> None:
    with atomic_write(path) as part, part.open("wb") as file:
        pickle.dump(content, file, protocol=4)


def _check_shape(path: Path | str, what: str, array: NDArray[Any], expected: tuple[int, ...]) -> None:
    if array.shape != expected:
        raise ValueError(f"{path}: {what}: found an array of {array.shape}, expected {expected}")
