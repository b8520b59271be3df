"""cryoDRGN's pickles of poses and CTF parameters; read without running any code that a pickle may hold."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.io.files import atomic_write, check_is_file
from napari_cryospin.io.located import HIGHEST_VOLTAGE, VOLTAGE
from napari_cryospin.particles import CtfParameters

COLUMNS = (
    "defocus_u",
    "defocus_v",
    "defocus_angle",
    "voltage",
    "spherical_aberration",
    "amplitude_contrast",
    "phase_shift",
)
"""What follows box and pixel size in a row of CTF parameters; units are ours."""


class NumpyUnpickler(pickle.Unpickler):
    """Unpickler that builds containers, numbers, text and numpy arrays, and refuses to look up anything else."""

    def find_class(self, module: str, name: str) -> Any:
        """What an admitted global stands for; pickles of numpy 1 and 2 name the same things differently."""
        if module.startswith("numpy.core."):
            module = module.replace("numpy.core.", "numpy._core.")
        match module, name:
            case "numpy", "ndarray":
                return np.ndarray
            case "numpy", "dtype":
                return np.dtype
            case "numpy._core.multiarray", "_reconstruct":
                return _empty_array
            case "numpy._core.numeric", "_frombuffer":
                return _array_from_buffer
            case "_codecs", "encode":
                return _bytes_from_text
        raise pickle.UnpicklingError(f"it names {module}.{name}; only numpy arrays are admitted")


def load_arrays(path: Path | str) -> tuple[NDArray[np.float64], ...]:
    """The arrays of a pickle that holds one, or a tuple or list of them.

    Raises
    ------
    FileNotFoundError, ValueError
        No such file, or it holds anything but arrays of numbers.
    """
    path = check_is_file(path)
    try:
        found = NumpyUnpickler(io.BytesIO(path.read_bytes())).load()
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
        AttributeError,
        IndexError,
        KeyError,
        OverflowError,
    ) as error:
        raise ValueError(f"{path}: not a readable pickle: {error}") from error
    arrays = found if isinstance(found, tuple | list) else (found,)
    if not all(isinstance(array, np.ndarray) and array.dtype.kind in "fiu" for array in arrays):
        raise ValueError(f"{path}: found {type(found).__name__}, expected an array of numbers or a tuple of them")
    for array in arrays:
        if not np.isfinite(array).all():
            row = int((~np.isfinite(array)).reshape(len(array), -1).any(-1).argmax())
            raise ValueError(f"{path}: row {row + 1}: found a value that is no number")
    return tuple(array.astype(np.float64) for array in arrays)


def read_poses(path: Path | str, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Poses of `count` particles.

    Returns
    -------
    tuple
        `(n, 3, 3)` rotations, and `(n, 2)` shifts as fractions of the box (None where the file has none).
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
    """CTF of `count` particles.

    Returns
    -------
    tuple
        CTF parameters, and the boxes' sides in A `(n,)`: box times pixel size, which survives cropping in Fourier
        space where neither of the two does.
    """
    table = load_arrays(path)[0]
    _check_shape(path, "CTF parameters", table, (count, 2 + len(COLUMNS)))
    box, pixel_size = table[:, 0], table[:, 1]
    voltage = table[:, 2 + COLUMNS.index("voltage")]
    bad = (box <= 0) | (pixel_size <= 0) | (voltage <= 0) | (voltage > HIGHEST_VOLTAGE)
    if bad.any():
        row = int(bad.argmax())
        found = f"box {box[row]:g}, pixel size {pixel_size[row]:g} A, {voltage[row]:g} kV"
        raise ValueError(f"{path}: row {row + 1}: found {found}, expected numbers above 0, and {VOLTAGE}")
    values = dict(zip(COLUMNS, table[:, 2:].T.copy(), strict=True))
    return CtfParameters(**values, scale=np.ones(count), b_factor=np.zeros(count)), box * pixel_size


def write_poses(path: Path, rotations: NDArray[np.float64], fractions: NDArray[np.float64]) -> None:
    """Write `(n, 3, 3)` rotations, and `(n, 2)` shifts as fractions of the box."""
    _write(path, (rotations.astype(np.float32), fractions.astype(np.float32)))


def write_ctf(path: Path, ctf: CtfParameters, box: int, pixel_size: float) -> None:
    """Write CTF parameters, of images of `box` pixels of `pixel_size` A."""
    count = len(ctf.voltage)
    columns = [np.full(count, box), np.full(count, pixel_size), *(getattr(ctf, name) for name in COLUMNS)]
    _write(path, np.stack(columns, axis=-1).astype(np.float32))


def write_indices(path: Path, rows: NDArray[np.int64]) -> None:
    """Write `(k,)` rows to use, counted from 0."""
    _write(path, rows)


def _write(path: Path, content: Any) -> None:
    with atomic_write(path) as part, part.open("wb") as file:
        pickle.dump(content, file, protocol=4)


def _check_shape(path: Path | str, what: str, array: NDArray[Any], expected: tuple[int, ...]) -> None:
    if array.shape != expected:
        raise ValueError(f"{path}: {what}: found an array of {array.shape}, expected {expected}")


def _empty_array(kind: object, shape: tuple[int, ...], type_code: bytes) -> NDArray[Any]:
    """An array that the pickle goes on to fill."""
    if kind is not np.ndarray or shape != (0,):
        raise pickle.UnpicklingError("an array that is not pickled in numpy's way")
    return np.empty(shape, dtype=np.int8)


def _array_from_buffer(
    buffer: bytes, dtype: Any, shape: tuple[int, ...], order: Any, axes: tuple[int, ...] | None = None
) -> NDArray[Any]:
    """An array of pickle protocol 5; numpy's own function also takes other buffers."""
    values = np.frombuffer(bytes(buffer), dtype=dtype)
    if axes is not None:
        return values.reshape(shape).transpose(axes)
    return values.reshape(shape, order=order)


def _bytes_from_text(text: str, encoding: str) -> bytes:
    """How pickle protocol 2 and older write bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes encoded as {encoding}")
    return text.encode("latin1")
