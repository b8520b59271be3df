"""Particle sets of cryoSPARC (.cs): structured arrays of numpy, with passthrough files joined by uid."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_cryospin.advice import Advice
from napari_cryospin.geometry.angles import rotation_from_rotvec
from napari_cryospin.io.aberrations import check_magnification, even_of_lengths, grouped, made, odd_of_lengths
from napari_cryospin.io.cryosparc.kinds import kind_of_fields
from napari_cryospin.io.ctf_limits import check_ctf, ctf_notes
from napari_cryospin.io.files import check_is_file
from napari_cryospin.io.foreign import NUMPY_TABLE, file_kind, first_bytes, refusal
from napari_cryospin.io.located import (
    both_half_sets,
    check_column,
    check_given_pixel_size,
    check_pixel_sizes,
    locate_images,
)
from napari_cryospin.io.mrc import open_stack
from napari_cryospin.io.relations import Relation, notes_of_relations, relation, table_of_relations
from napari_cryospin.listing import first_of
from napari_cryospin.particles import Aberrations, CtfParameters, Particles, Picks

EXPANDED_FROM, FILAMENT = "sym_expand/src_uid", "filament/filament_uid"
MICROGRAPHS = ("location/micrograph_uid", "location/micrograph_path")
"""Fields that name a particle's micrograph."""
DEGREE = np.pi / 180
"""One degree in radians."""
PIXEL_SIZES = "blob/psize_A"
"""Field of the images' pixel sizes, A."""
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

LENGTHS = {"ctf/shift_A": 2, "ctf/tilt_A": 2, "ctf/trefoil_A": 2, "ctf/tetra_A": 4, "ctf/anisomag": 4}
"""Field of an aberration -> number of its values; 0 is none."""
UNUSED_FIELDS = {"ctf/scale": 1.0, "ctf/bfactor": 0.0}
"""Field that cryoSPARC reckons with and a run does not -> its value where it has no effect."""


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
    pixel_size: float | None = None,
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
    pixel_size
        A, of files that say none; those that say another are refused.
    require_stacks
        Raise an error if a stack is missing.

    Raises
    ------
    FileNotFoundError, ValueError
        The particles cannot be read. The message names file, row, field, what was found and what was expected.
    """
    table = _read_table(Path(path), passthrough)
    _check_kind(table)
    names, stack_index = _names(table.column("blob/path"))
    pixel_sizes = _pixel_sizes(table, pixel_size)
    located = locate_images(
        names,
        stack_index,
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
    related = cryosparc_relations(table)
    aberrations, shifts = _aberrations(table, ctf), _shifts(table, pixel_sizes)
    telling = [name for name in LENGTHS if table.has(name) and table.numbers(name).any()]
    unused = _unused(table) if ctf is not None else (*_unused(table), *telling)
    if aberrations is not None:
        notes = (*notes, f"aberrations are corrected for: {', '.join(telling)}")
    if unused:
        notes = (*notes, f"not used: {', '.join(unused)}")
    return Particles(
        **vars(located),
        pixel_sizes=pixel_sizes,
        contrast=sign.astype(np.float32),
        ctf=ctf,
        aberrations=aberrations,
        rotations=_rotations(table),
        shifts=shifts if aberrations is None or shifts is None else aberrations.shifts_of_map(shifts),
        half_sets=both_half_sets(split + 1),
        optics_groups=np.unique(table.numbers("ctf/exp_group_id", 0.0), return_inverse=True)[1].astype(np.int32),
        picks=_picks(table),
        source=table.path,
        table=table,
        relations=table_of_relations(related),
        notes=notes + notes_of_relations(related),
        unused=unused,
        open_stack=open_stack,
    )


def _names(paths: NDArray[Any]) -> tuple[list[str], NDArray[np.int32]]:
    """List the files that `(n,)` paths name, and each row's place in that list, `(n,)`."""
    stored, index = np.unique(paths, return_inverse=True)
    names = [name.decode() if isinstance(name, bytes) else str(name) for name in stored]
    return [name.removeprefix(">") for name in names], index.astype(np.int32)


def _picks(table: CsTable) -> Picks | None:
    """Read where the particles were picked.

    A fraction counts from the first row of the micrograph's file, as RELION's coordinates do (cryosparc-tools' example
    for crYOLO, tools.cryosparc.com/examples/cryolo.html); shapes are rows before columns.
    """
    if not table.has("location/micrograph_path"):
        return None
    names, index = _names(table.column("location/micrograph_path"))
    coordinates = sizes = None
    if all(table.has(f"location/{name}") for name in ("center_x_frac", "center_y_frac", "micrograph_shape")):
        shape = table.column("location/micrograph_shape").astype(np.int64)[:, ::-1]
        sizes = shape[np.unique(index, return_index=True)[1]]
        fractions = [table.numbers(f"location/center_{axis}_frac") for axis in "xy"]
        coordinates = np.stack(fractions, axis=-1) * shape
    return Picks(micrographs=tuple(names), micrograph_index=index, coordinates=coordinates, sizes=sizes)


def cryosparc_relations(table: CsTable) -> tuple[Relation | None, ...]:
    """Find which particles are copies of one by symmetry expansion, or segments of one filament.

    Where the filaments of each micrograph are counted anew, the micrograph tells them apart.
    """
    copies = filaments = None
    if table.has(EXPANDED_FROM):
        uids = table.column(EXPANDED_FROM)
        copies = relation((uids,), uids != 0, "particles by symmetry expansion", "copies")
    if table.has(FILAMENT):
        uids = table.column(FILAMENT)
        names = [table.column(field) for field in MICROGRAPHS if table.has(field)][:1]
        filaments = relation((*names, uids), np.ones(len(table), dtype=bool), "filaments", "segments")
    return copies, filaments


def _fields(part: NDArray[Any]) -> tuple[str, ...]:
    return part.dtype.names or ()


def _load(path: Path) -> NDArray[Any]:
    """Read a structured array with the field uid, in which each uid must occur once."""
    check_is_file(path)
    try:
        with path.open("rb") as file:
            part = np.lib.format.read_array(file, allow_pickle=False, max_header_size=2**30)
            more = file.read(1)
    except ValueError as error:
        kind = file_kind(first_bytes(path))
        if kind is not None and kind != NUMPY_TABLE:
            raise ValueError(refusal(path, kind, "a .cs file (a table in numpy's layout)")) from error
        raise ValueError(f"{path}: not a readable .cs file (a table of numbers and text in numpy's layout)") from error
    if more:
        raise ValueError(f"{path}: more follows after the table, expected one table: two files in one, perhaps")
    if "uid" not in _fields(part) or part.ndim != 1:
        raise ValueError(f"{path}: found fields {first_of(_fields(part))}, expected a table with the field uid")
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


def _check_kind(table: CsTable) -> None:
    """Refuse what another job put out than one of particles."""
    kind = kind_of_fields([field for part in table.parts for field in _fields(part)])
    if kind:
        raise ValueError(f"{table.path}: found {kind}, expected particles with images (fields blob/path and ctf/...)")


def _pixel_sizes(table: CsTable, given: float | None) -> NDArray[np.float64]:
    """Read pixel sizes, A `(n,)`; `given` where no file has them."""
    if given is not None and not table.has(PIXEL_SIZES):
        return check_pixel_sizes(np.full(len(table), float(given)), table.path, "pixel size")
    stated = check_pixel_sizes(table.numbers(PIXEL_SIZES), table.path, PIXEL_SIZES)
    if given is not None:
        check_given_pixel_size(given, stated, table.path)
    return stated


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
    stored = {name: (field, table.numbers(field, default)) for name, (field, _, default) in CTF_FIELDS.items()}
    values = {name: stored[name][1] / unit for name, (_, unit, _) in CTF_FIELDS.items()}
    check_ctf(values, table.path, stored)
    notes = ctf_notes(values, names={name: field for name, (field, *_) in CTF_FIELDS.items()})
    count = len(table)
    return CtfParameters(**values, scale=np.ones(count), b_factor=np.zeros(count)), tuple(notes)


def _unused(table: CsTable) -> tuple[str, ...]:
    """List the fields that cryoSPARC reckons with and a run does not."""
    return tuple(name for name, neutral in UNUSED_FIELDS.items() if (table.numbers(name, neutral) != neutral).any())


def _aberrations(table: CsTable, ctf: CtfParameters | None) -> Aberrations | None:
    """Return the aberrations of the exposure groups; None if there are none, or no CTF."""
    found = {name: table.numbers(name).reshape(len(table), size) for name, size in LENGTHS.items() if table.has(name)}
    if ctf is None or not any(values.any() for values in found.values()):
        return None
    matrices = np.eye(2) + found.get("ctf/anisomag", np.zeros((len(table), 4))).reshape(-1, 2, 2)
    check_magnification(matrices, table.path, "ctf/anisomag plus 1 0 0 1")
    columns = {f"{name}{k}": column for name, values in found.items() for k, column in enumerate(values.T)}
    groups, first = grouped(pd.DataFrame({**columns, "voltage": ctf.voltage}))
    values = [found[name][first] if name in found else np.zeros((len(first), size)) for name, size in LENGTHS.items()]
    shift, tilt, trefoil, tetra, _ = values
    voltage = ctf.voltage[first]
    odd, even = odd_of_lengths(shift, tilt, trefoil, voltage), even_of_lengths(tetra, voltage)
    return made(groups, odd, even, matrices[first])


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
