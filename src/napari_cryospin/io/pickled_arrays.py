"""Arrays of numbers from a pickle, without running code or trusting lengths and types that the pickle states.

The pickle gets no object of numpy to work on, because numpy trusts the content of its pickles, even the address of an
object in memory.
"""

from __future__ import annotations

import io
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.io.files import check_is_file
from napari_cryospin.io.foreign import PICKLE, first_bytes, known_kind, refusal
from napari_cryospin.listing import shortened

MALFORMED = (ValueError, TypeError, AttributeError)
"""Errors that occur while a pickle is read whose steps do not fit each other."""
NDARRAY = object()
"""Object that stands for the class `numpy.ndarray`, which pickles name but need not get."""


class _NumberType:
    """A type of numbers, which takes the place of `numpy.dtype` in a pickle."""

    def __init__(self, code: str, *_: Any) -> None:
        self.dtype = np.dtype(str(code))
        if self.dtype.hasobject or self.dtype.names is not None or self.dtype.subdtype is not None:
            raise pickle.UnpicklingError(f"an array of {code}; only arrays of numbers are admitted")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = state[1]
        if order in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """An array, which a pickle of protocol 4 or older first makes and then fills."""

    def __init__(self, kind: object, *_: Any) -> None:
        if kind is not NDARRAY:
            raise pickle.UnpicklingError("an array that is not pickled in numpy's way")
        self.values = np.empty(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, content = state
        self.values = _from_bytes(content, kind, shape, "F" if fortran else "C").values

    @classmethod
    def of(cls, values: NDArray[Any]) -> _Array:
        made = cls(NDARRAY)
        made.values = values
        return made


def _from_bytes(
    content: bytes, kind: _NumberType, shape: tuple[int, ...], order: Any, axes: tuple[int, ...] | None = None
) -> _Array:
    """Make an array of exactly the bytes that are in the pickle. Protocol 5 stores an array in this one step."""
    if not (isinstance(content, bytes | bytearray) and isinstance(kind, _NumberType)):
        raise pickle.UnpicklingError(f"an array of {type(content).__name__}; only arrays of numbers are admitted")
    if len(content) != math.prod(shape) * kind.dtype.itemsize:
        raise pickle.UnpicklingError(f"{len(content)} bytes for an array of {shape} numbers of {kind.dtype}")
    values = np.frombuffer(bytes(content), dtype=kind.dtype)
    if axes is not None:
        return _Array.of(values.reshape(shape).transpose(axes))
    return _Array.of(values.reshape(shape, order=order))


def _bytes_from_text(text: str, encoding: str) -> bytes:
    """Return bytes from the text as which pickle protocols 2 and older store them."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes encoded as {encoding}")
    return text.encode("latin1")


class NumpyUnpickler(pickle.Unpickler):
    """An unpickler that builds containers, numbers, text and arrays of numbers, and looks up nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the object for an admitted global; pickles of numpy 1 and 2 have different names for the same ones."""
        if module.startswith("numpy.core."):
            module = module.replace("numpy.core.", "numpy._core.")
        match module, name:
            case "numpy", "ndarray":
                return NDARRAY
            case "numpy", "dtype":
                return _NumberType
            case "numpy._core.multiarray", "_reconstruct":
                return _Array
            case "numpy._core.numeric", "_frombuffer":
                return _from_bytes
            case "_codecs", "encode":
                return _bytes_from_text
        raise pickle.UnpicklingError(f"it names {module}.{name}; only numpy arrays are admitted")


def load_arrays(path: Path | str) -> tuple[NDArray[np.float64], ...]:
    """Read the arrays of a pickle that holds one array, or a tuple or list of arrays, of finite numbers, not scalar.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such file, or it holds anything but such arrays.
    """
    path = check_is_file(path)
    try:
        found = NumpyUnpickler(io.BytesIO(path.read_bytes())).load()
    except (pickle.UnpicklingError, EOFError, LookupError, ArithmeticError, MemoryError, *MALFORMED) as error:
        kind = known_kind(first_bytes(path))
        if kind is not None and kind != PICKLE:
            raise ValueError(refusal(path, kind, PICKLE.what)) from error
        raise ValueError(f"{path}: not a readable pickle: {shortened(error)}") from error
    parts = found if isinstance(found, tuple | list) else (found,)
    arrays = [part.values for part in parts if isinstance(part, _Array)]
    wanted = bool(parts) and len(arrays) == len(parts)
    if not wanted or not all(array.dtype.kind in "fiu" and array.ndim for array in arrays):
        named = "an array" if isinstance(found, _Array) else type(found).__name__
        raise ValueError(f"{path}: found {named}, expected an array of numbers or a tuple of them")
    for array in arrays:
        if not np.isfinite(array).all():
            row = int((~np.isfinite(array)).reshape(len(array), -1).any(-1).argmax())
            raise ValueError(f"{path}: row {row + 1}: found a value that is no number")
    return tuple(array.astype(np.float64) for array in arrays)
