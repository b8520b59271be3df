"""Particle sets of cryoSPARC (.cs): structured arrays of numpy, with passthrough files joined by uid."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.advice import Advice
from napari_cryospin.geometry.angles import rotation_from_rotvec
from napari_cryospin.io.files import check_is_file
from napari_cryospin.io.located import both_half_sets, check_column, check_ctf, check_pixel_sizes, locate_images
from napari_cryospin.io.mrc import open_stack
from napari_cryospin.particles import CtfParameters, Particles

DEGREE = np.pi / 180
"""One degree in radians."""
CTF_FIELDS = {
    "defocus_u": ("ctf/df1_A", 1.0, None),
    "defocus_v": ("ctf/df2_A", 1.0, None),
    "defocus_angle": ("ctf/df_angle_rad", DEGREE, None),
    "voltage": ("ctf/accel_kv", 1.0, None),
    "spherical_aberration": ("ctf/cs_mm", 1.0, None),
    "amplitude_contrast": ("ctf/amp_contrast", 1.0, None),
    "phase_shift": ("ctf/phase_shift_rad", DEGREE, 0.0),
}
"""CTF parameter -> field, factor from our unit to that of the field, and default (None: the field must be there)."""


@dataclass(frozen=True, kw_only=True)
class CsTable:
    """The fields of a .cs file and of its passthrough files; the first file that has a field counts."""

    path: Path
    parts: tuple[NDArray[Any], ...]
    """Structured arrays, `(n,)` each, all with the particles in the order of the first one."""
    further: tuple[Path, ...] = ()
    """Passthrough files, from which all parts but the first were read."""

    def __len__(self) -> int:
        return len(self.parts[0])

    def __getitem__(self, rows: NDArray[Any]) -> CsTable:
        return dataclasses.replace(self, parts=tuple(part[rows] for part in self.parts))

    def has(self, field: str) -> bool:
        """Return whether any of the files has the field."""
        return any(field in _fields(part) for part in self.parts)

    def column(self, field: str) -> NDArray[Any]:
        """Return the values of a field as they are stored, `(n, ...)`.

        Raises
        ------
        ValueError
            None of the files has the field.
        """
        for part in self.parts:
            if field in _fields(part):
                return part[field]
        raise ValueError(Advice(f"{self.path}: no field {field}; a passthrough file may have it", "passthrough"))

    def numbers(self, field: str, default: float | None = None) -> NDArray[np.float64]:
        """Return the numbers of a field, `(n, ...)` float64.

        Parameters
        ----------
        field
            Name of the field, such as ctf/df1_A.
        default
            Value if no file has the field. None: a file must have it.

        Raises
        ------
        ValueError
            The field is missing, or a value is not finite; the message names file, field and row or uid.
        """
        if default is not None and not self.has(field):
            return np.full(len(self), default)
        values = self.column(field).astype(np.float64)
        rows = values.reshape(len(self), -1).sum(-1)
        bad = ~np.isfinite(rows)
        part = next(number for number, part in enumerate(self.parts) if field in _fields(part))
        if part and bad.any():
            uid = self.parts[part]["uid"][bad.argmax()]
            raise ValueError(
                f"{self.further[part - 1]}: uid {uid}, {field}: found {rows[bad.argmax()]:g}, expected a number"
            )
        check_column(rows, ~bad, self.path, field, "a number")
        return values


def read_cryosparc_particles(
    path: Path | str,
    data_dir: Path | None = None,
    passthrough: Sequence[Path] = (),
    *,
    require_stacks: bool = True,
) -> Particles:
    """Read the particles of a .cs file.

    Parameters
    ----------
    path
        .cs file: a structured array in the layout of .npy.
    data_dir
        A further folder to look for stacks in.
    passthrough
        Files with further fields of the same particles.
    require_stacks
        Raise an error if a stack is missing.

    Raises
    ------
    FileNotFoundError, ValueError
        The particles cannot be read. The message names file, row, field, what was found and what was expected.
    """
    table = _read_table(Path(path), passthrough)
    stored_names, stack_index = np.unique(table.column("blob/path"), return_inverse=True)
    names = [name.decode() if isinstance(name, bytes) else str(name) for name in stored_names]
    pixel_sizes = check_pixel_sizes(table.numbers("blob/psize_A"), table.path, "blob/psize_A")
    located = locate_images(
        [name.removeprefix(">") for name in names],
        stack_index.astype(np.int32),
        table.column("blob/idx").astype(np.int64),
        source=table.path,
        stated_boxes=_boxes(table),
        data_dir=data_dir,
        require_stacks=require_stacks,
    )
    sign = table.numbers("blob/sign", 1.0)
    check_column(sign, np.abs(sign) == 1, table.path, "blob/sign", "1 or -1")
    split = table.numbers("alignments3D/split", -1.0)
    ctf, notes = _ctf(table)
    return Particles(
        **vars(located),
        pixel_sizes=pixel_sizes,
        contrast=sign.astype(np.float32),
        ctf=ctf,
        rotations=_rotations(table),
        shifts=_shifts(table, pixel_sizes),
        half_sets=both_half_sets(split + 1),
        optics_groups=np.unique(table.numbers("ctf/exp_group_id", 0.0), return_inverse=True)[1].astype(np.int32),
        micrographs=_micrographs(table),
        source=table.path,
        table=table,
        notes=notes,
        open_stack=open_stack,
    )


def _fields(part: NDArray[Any]) -> tuple[str, ...]:
    return part.dtype.names or ()


def _load(path: Path) -> NDArray[Any]:
    """Read a structured array with the field uid, in which each uid must occur once."""
    check_is_file(path)
    try:
        with path.open("rb") as file:
            part = np.lib.format.read_array(file, allow_pickle=False, max_header_size=2**30)
    except ValueError as error:
        raise ValueError(f"{path}: not a readable .cs file (a table of numbers and text in numpy's layout)") from error
    if "uid" not in _fields(part) or part.ndim != 1:
        raise ValueError(f"{path}: found fields {_fields(part)}, expected a table with the field uid")
    if len(part) == 0:
        raise ValueError(f"{path}: no rows; expected at least one particle")
    uids, counts = np.unique(part["uid"], return_counts=True)
    if len(uids) < len(part):
        raise ValueError(f"{path}: uid {uids[counts.argmax()]} occurs {counts.max()} times; expected once")
    return part


def _read_table(path: Path, passthrough: Sequence[Path]) -> CsTable:
    """Read the particles, and the rows of the passthrough files with the same uids."""
    main = _load(path)
    parts = [main]
    for other in map(Path, passthrough):
        part = _load(other)
        order = np.argsort(part["uid"])
        place = np.searchsorted(part["uid"], main["uid"], sorter=order).clip(max=len(part) - 1)
        rows = order[place]
        missing = part["uid"][rows] != main["uid"]
        if missing.any():
            uid = main["uid"][missing.argmax()]
            raise ValueError(
                f"{other}: {int(missing.sum())} particles of {path} are not in it; the first has uid {uid}"
            )
        parts.append(part[rows])
    return CsTable(path=path, parts=tuple(parts), further=tuple(map(Path, passthrough)))


def _boxes(table: CsTable) -> NDArray[Any] | None:
    """Return the stated boxes, `(n,)` pixels, of images that must be square; None if no file states them."""
    if not table.has("blob/shape"):
        return None
    shapes = table.column("blob/shape").astype(np.int64)
    differs = shapes[:, 0] != shapes[:, 1]
    if differs.any():
        row = int(differs.argmax())
        raise ValueError(f"{table.path}: row {row + 1}, blob/shape: found {shapes[row].tolist()}, expected a square")
    return shapes[:, 0]


def _ctf(table: CsTable) -> tuple[CtfParameters | None, tuple[str, ...]]:
    """Return the CTF parameters (None if no file has a defocus), and notes for the user about them."""
    if not table.has("ctf/df1_A"):
        return None, (Advice("CTF is off: no file has ctf/ fields; a passthrough file may", "passthrough"),)
    values = {name: table.numbers(field, default) / unit for name, (field, unit, default) in CTF_FIELDS.items()}
    check_ctf(values, table.path, {name: field for name, (field, *_) in CTF_FIELDS.items()})
    unused = [
        field
        for field, neutral in (("ctf/scale", 1.0), ("ctf/bfactor", 0.0))
        if (table.numbers(field, neutral) != neutral).any()
    ]
    notes = (f"not used: {', '.join(unused)}",) if unused else ()
    count = len(table)
    return CtfParameters(**values, scale=np.ones(count), b_factor=np.zeros(count)), notes


def _rotations(table: CsTable) -> NDArray[np.float64] | None:
    if not table.has("alignments3D/pose"):
        return None
    return rotation_from_rotvec(table.numbers("alignments3D/pose"))


def _shifts(table: CsTable, pixel_sizes: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the shifts, `(n, 2)` A.

    They are stored in pixels of the alignment, whose pixel size may differ from that of the images.
    """
    if not table.has("alignments3D/shift"):
        return None
    unit = table.numbers("alignments3D/psize_A") if table.has("alignments3D/psize_A") else pixel_sizes
    check_pixel_sizes(unit, table.path, "alignments3D/psize_A")
    return table.numbers("alignments3D/shift") * unit[:, None]


def _micrographs(table: CsTable) -> NDArray[np.int32] | None:
    """Return the number of each particle's micrograph, `(n,)` from 0; None where the file does not say."""
    for field in ("location/micrograph_uid", "location/micrograph_path"):
        if table.has(field):
            return np.unique(table.column(field), return_inverse=True)[1].astype(np.int32)
    return None
