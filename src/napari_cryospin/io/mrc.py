"""MRC files: maps, read and written, and image stacks, which are mapped into memory."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import mrcfile
import numpy as np
from mrcfile.dtypes import HEADER_DTYPE
from mrcfile.utils import byte_order_from_machine_stamp
from numpy.typing import NDArray

from napari_cryospin.io.files import atomic_write, check_is_file
from napari_cryospin.io.foreign import MRC_FILE, MRC_STAMP, file_kind, first_bytes, refusal
from napari_cryospin.io.mrc_bytes import bytes_are_unsigned

logger = logging.getLogger(__name__)

MODES = {0: "int8", 1: "int16", 2: "float32", 6: "uint16", 12: "float16"}
"""MRC mode -> type of the values, for all modes that are read. Modes 3 and 4 are complex, and not read."""
OTHER_MODES = {3: "complex numbers", 4: "complex numbers", 16: "colours", 101: "4-bit numbers"}
"""Modes of MRC files (MRC2014, IMOD) that are not read."""
LARGEST_SIDE = 2**17
"""Pixels along a row or a column; no detector has as many, so that a larger number is none of an MRC header."""


@dataclass(frozen=True, kw_only=True)
class MrcHeader:
    """The part of an MRC header that is needed to map the data into memory."""

    path: Path
    shape: tuple[int, int, int]
    """Number of sections, rows and columns."""
    dtype: np.dtype[Any]
    offset: int
    """Number of bytes before the data."""
    voxel_size: tuple[float, float, float]
    """Size of a voxel along x, y and z, A; 0 where the header does not state it."""
    is_volume: bool
    """Whether the header states that the sections are those of one volume (space group 1), no images."""
    axes: tuple[int, int, int]
    """Axes along which columns, rows and sections run: 1 is x, 2 is y, 3 is z."""


def mrc_header(path: Path | str) -> MrcHeader:
    """Read the header of an MRC file, and check it against the length of the file.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such file, it is no MRC file, its mode is not read, nothing tells whether its bytes are signed, or
        its data are shorter or longer than the header states.
    """
    path = check_is_file(path)
    status = path.stat()
    return _mrc_header(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=8192)
def _mrc_header(path: Path, modified: int, length: int) -> MrcHeader:
    """Do the work of `mrc_header`; the result is kept for as long as the file does not change."""
    header, order = _read_header(path, length)
    shape = (int(header.nz), int(header.ny), int(header.nx))
    if min(shape) < 1 or max(shape[1:]) > LARGEST_SIDE:
        raise ValueError(
            f"{path}: not an MRC file, or damaged: its header says {shape} sections, rows, columns; "
            f"expected at least 1 each, and at most {LARGEST_SIDE} px"
        )
    dtype = np.dtype(MODES[int(header.mode)]).newbyteorder(order)
    offset = HEADER_DTYPE.itemsize + int(header.nsymbt)
    _check_length(path, length, offset, dtype.itemsize, shape)
    if header.mode == 0 and bytes_are_unsigned(header, order, path, offset, shape):
        dtype = np.dtype("uint8")
    cell, grid = header.cella, (header.mx, header.my, header.mz)
    sizes = [float(cell[name]) / int(count) if count > 0 else 0.0 for name, count in zip("xyz", grid, strict=True)]
    axes = (int(header.mapc), int(header.mapr), int(header.maps))
    voxel_size = (sizes[0], sizes[1], sizes[2])
    volume = int(header.ispg) == 1
    return MrcHeader(
        path=path, shape=shape, dtype=dtype, offset=offset, voxel_size=voxel_size, is_volume=volume, axes=axes
    )


def _check_length(path: Path, length: int, offset: int, itemsize: int, shape: tuple[int, int, int]) -> None:
    """Refuse a file that is shorter or longer than its header promises."""
    section = itemsize * shape[1] * shape[2]
    expected = offset + section * shape[0]
    if length < expected:
        raise ValueError(f"{path}: header promises {shape} values, {expected} bytes in all; the file has {length}")
    if length > expected:
        # Images may have been added without a word in the header; or the extended header is longer than it says, and
        # then every image would be read from the wrong place.
        more, rest = divmod(length - expected, section)
        images = f", {more} section{'s' if more > 1 else ''} of {section} bytes" if more and not rest else ""
        raise ValueError(
            f"{path}: the file is {length - expected} bytes longer than its header promises{images}: found {length}, "
            f"expected {expected} of {shape[0]} sections and an extended header of {offset - HEADER_DTYPE.itemsize} "
            "bytes. One of the two numbers in the header (nz, NSYMBT) is wrong; correct it, or write the file anew"
        )


def _read_header(path: Path, length: int) -> tuple[Any, Literal["<", ">"]]:
    """Read the fixed part of the header (a record) and its byte order; raise an error if its mode is not read."""
    start = first_bytes(path)
    if start[MRC_STAMP] != b"MAP" and (kind := file_kind(start)) is not None:
        raise ValueError(refusal(path, kind, MRC_FILE.what))
    if length < HEADER_DTYPE.itemsize:
        raise ValueError(f"{path}: {length} bytes; expected an MRC header of {HEADER_DTYPE.itemsize}")
    raw = np.frombuffer(start, HEADER_DTYPE, count=1)

    def mode_in(byte_order: Literal["<", ">"]) -> int:
        return int(raw["mode"].view(np.dtype("i4").newbyteorder(byte_order))[0])

    try:
        order = byte_order_from_machine_stamp(raw["machst"][0])
    except ValueError:  # Old programs leave the stamp out.
        order = "<"
    swapped: Literal["<", ">"] = "<" if order == ">" else ">"
    if mode_in(order) not in MODES and mode_in(swapped) in MODES:  # Some programs write a wrong stamp.
        order = swapped
    header = raw.view(HEADER_DTYPE.newbyteorder(order)).view(np.recarray)[0]
    mode = int(header.mode)
    if mode in OTHER_MODES:
        raise ValueError(f"{path}: MRC mode {mode}, {OTHER_MODES[mode]}; expected one of {', '.join(map(str, MODES))}")
    if mode not in MODES:
        raise ValueError(
            f"{path}: not an MRC file, or damaged: its header says mode {mode}; expected one of "
            f"{', '.join(map(str, MODES))}"
        )
    if header.nsymbt < 0:
        raise ValueError(f"{path}: extended header of {int(header.nsymbt)} bytes; expected 0 or more")
    return header, order


def stack_header(path: Path | str) -> tuple[int, int, int]:
    """Read the number of images, their box (pixels), and the MRC mode of a stack.

    Raises
    ------
    FileNotFoundError, ValueError
        The header cannot be read (see `mrc_header`), or the images are not square.
    """
    header = mrc_header(path)
    count, rows, columns = header.shape
    if rows != columns:
        raise ValueError(f"{path}: images of {columns} x {rows} px; expected square ones")
    mode = 0 if header.dtype.itemsize == 1 else next(m for m, name in MODES.items() if header.dtype.name == name)
    return count, rows, mode


def open_stack(path: Path | str) -> NDArray[Any]:
    """Open a stack as a read-only memory map, `(images, box, box)`.

    Raises
    ------
    FileNotFoundError, ValueError
        The header cannot be read (see `mrc_header`), or the images are not square.
    """
    stack_header(path)
    header = mrc_header(path)
    return np.memmap(header.path, dtype=header.dtype, mode="r", offset=header.offset, shape=header.shape)


def read_map(path: Path | str) -> tuple[NDArray[np.float32], float]:
    """Read a cubic map and its pixel size.

    Parameters
    ----------
    path
        MRC file.

    Returns
    -------
    tuple
        `(n, n, n)` map [z, y, x], and the pixel size in A that the header states (0: it states none).

    Raises
    ------
    FileNotFoundError, ValueError
        The header cannot be read (see `mrc_header`), the map or its voxels are not cubic, or a value is not finite.
    """
    header = mrc_header(path)
    if len(set(header.shape)) > 1:
        raise ValueError(f"{path}: {header.shape} sections, rows, columns; expected a cube")
    values = np.memmap(header.path, dtype=header.dtype, mode="r", offset=header.offset, shape=header.shape)
    sections, rows, columns = header.axes[::-1]
    if sorted(header.axes) == [1, 2, 3]:  # Some programs leave the axes at 0; the data are then in the usual order.
        values = values.transpose([(sections, rows, columns).index(axis) for axis in (3, 2, 1)])
    density = np.array(values, dtype=np.float32, order="C")
    if not np.isfinite(density).all():
        raise ValueError(f"{path}: holds values that are no numbers")
    pixel_size = header.voxel_size[0]
    if not np.allclose(header.voxel_size, pixel_size, rtol=1e-3):
        raise ValueError(f"{path}: voxels of {header.voxel_size} A; expected the same size along x, y, z")
    if not np.isfinite(pixel_size) or pixel_size < 0:
        raise ValueError(f"{path}: pixel size {pixel_size} A; expected a positive number")
    if pixel_size in (0.0, 1.0):
        logger.warning("%s: the header's pixel size is %g A, which often means that none was set", path, pixel_size)
    return density, pixel_size


def write_map(path: Path | str, density: NDArray[Any], pixel_size: float) -> None:
    """Write a map as float32, with a cell of `n * pixel_size`, the origin at 0 and one label.

    An existing file stays as it was if anything fails.

    Parameters
    ----------
    path
        File to write.
    density
        `(n, n, n)` map [z, y, x].
    pixel_size
        Pixel size in A.
    """
    with atomic_write(path) as part, mrcfile.new(part, overwrite=True) as mrc:
        mrc.set_data(np.ascontiguousarray(density, dtype=np.float32))
        mrc.set_volume()
        mrc.voxel_size = pixel_size
        mrc.header.label[0] = f"napari-cryospin {version('napari-cryospin')}".ljust(80)
        mrc.header.nlabl = 1
