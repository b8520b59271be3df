"""Particle STAR files of RELION: 3.0 (one table, shifts in pixels) and 3.1, 4, 5 (optics groups, shifts in A)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from napari_cryospin.geometry.angles import euler_from_rotation, rotation_from_euler
from napari_cryospin.io.ctf_limits import check_b_factors, check_ctf, ctf_notes
from napari_cryospin.io.files import find_by_name
from napari_cryospin.io.located import both_half_sets, locate_images
from napari_cryospin.io.mrc import open_stack
from napari_cryospin.io.relations import notes_of_relations, table_of_relations
from napari_cryospin.io.star.aberrations import no_magnification, read_aberrations, telling_columns
from napari_cryospin.io.star.optics import (
    COORDINATES,
    CTF_COLUMNS,
    MICROGRAPH,
    PHASE_FLIPPED,
    PREMULTIPLIED,
    new_table,
    with_optics,
)
from napari_cryospin.io.star.pixel_size import with_pixel_sizes
from napari_cryospin.io.star.relations import star_relations
from napari_cryospin.io.star.table import STACK_FORMAT, StarTable, read_star
from napari_cryospin.io.star.text import Share, column_floats, ignored
from napari_cryospin.listing import first_of
from napari_cryospin.particles import Aberrations, CtfParameters, Particles, Picks

ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
ORIGINS_PX = ("rlnOriginX", "rlnOriginY")
ORIGINS_ANGST = ("rlnOriginXAngst", "rlnOriginYAngst")
SUBSET = "rlnRandomSubset"
DIMENSIONS = "rlnImageDimensionality"
POSTERIOR_COLUMNS = {
    "max_probability": "rlnMaxValueProbDistribution",
    "significant_samples": "rlnNrOfSignificantSamples",
    "log_likelihood": "rlnLogLikeliContribution",
}
"""Array of the particle record -> column, for the figures of a particle's posterior."""
IMAGE_COLUMNS = {"scale": "rlnGroupScaleCorrection", "belongs": "rlnParticleFigureOfMerit"}
"""Array of the particle record -> column, for what a run finds of an image beside its pose. RELION has no column for
the probability that an image shows the particle. The figure of merit says of an image how far it can be trusted."""
OTHER_POSES = (
    *POSTERIOR_COLUMNS.values(),
    *(f"rlnAngle{angle}Prior" for angle in ("Rot", "Tilt", "Psi")),
    *("rlnAnglePsiFlip", "rlnAnglePsiFlipRatio", "rlnAngleRotFlipRatio"),
    *(f"rlnOrigin{axis}Prior{unit}" for unit in ("", "Angst") for axis in "XYZ"),
    "rlnNormCorrection",
    *IMAGE_COLUMNS.values(),
)
"""Columns about the poses of an earlier refinement: its posterior, its priors, which RELION's local searches prefer to
the poses themselves, and the grey scales and figures of merit found with them."""
CLASS = "rlnClassNumber"
"""Column with a particle's class in an earlier job. It is about other poses if there are several classes."""
CLASS_PROBABILITY = "cryospinClassProbability"
"""Beginning of the names of the columns with the probability of each class, which are numbered from 1. RELION has no
column for this; it keeps columns that it does not know."""
UNUSED = ("rlnMtfFileName", "rlnCtfImage")
"""Columns of text that RELION reckons with and a run does not."""
StarForm = Literal["same", "3.1"]
"""Form of a STAR file to write: that of the input, or that of RELION 3.1 and later."""


def read_star_particles(
    path: Path | str,
    data_dir: Path | None = None,
    *,
    pixel_size: float | None = None,
    require_stacks: bool = True,
    progress: Share = ignored,
) -> Particles:
    """Read the particles of a STAR file.

    Parameters
    ----------
    path
        STAR file of any RELION version.
    data_dir
        A further folder to look for stacks in.
    pixel_size
        A, of a file that says none; one that says another is refused.
    require_stacks
        Raise an error if a stack is missing.
    progress
        Called now and then with the share of the file that has been read, 0 to 1.

    Raises
    ------
    FileNotFoundError, ValueError
        The particles cannot be read. The message names file, row, column, what was found and what was expected.
    """
    table = read_star(path, progress)
    _check_images_are_flat(table)
    names, stack_index, slice_index = table.image_names()
    located = locate_images(
        [name.removesuffix(STACK_FORMAT) for name in names],
        stack_index,
        slice_index,
        source=table.path,
        stated_boxes=table.numbers("rlnImageSize") if table.has("rlnImageSize") else None,
        data_dir=data_dir,
        require_stacks=require_stacks,
    )
    table, pixel_sizes, notes = with_pixel_sizes(table, pixel_size)
    ctf = _ctf(table, pixel_sizes)
    aberrations = read_aberrations(table, ctf)
    shifts, subsets = _shifts(table, pixel_sizes), table.numbers(SUBSET, 0.0)
    related = star_relations(table)
    return Particles(
        **vars(located),
        pixel_sizes=pixel_sizes,
        contrast=np.ones(len(table), dtype=np.float32),
        ctf=ctf,
        aberrations=aberrations,
        ctf_premultiplied=_flag(table, PREMULTIPLIED),
        phase_flipped=_flag(table, PHASE_FLIPPED),
        rotations=_rotations(table),
        shifts=shifts if aberrations is None or shifts is None else aberrations.shifts_of_map(shifts),
        half_sets=both_half_sets(subsets),
        optics_groups=table.optics_rows,
        picks=_picks(table),
        source=table.path,
        table=table,
        relations=table_of_relations(related),
        notes=(*notes, *_notes(table, ctf, pixel_sizes, aberrations), *notes_of_relations(related)),
        unused=_unused(table),
        open_stack=open_stack,
    )


def write_particles(
    path: Path | str,
    particles: Particles,
    rotations: ArrayLike,
    shifts: ArrayLike,
    extra_columns: Mapping[str, ArrayLike] | None = None,
    *,
    form: StarForm = "same",
    progress: Share = ignored,
) -> None:
    """Write particles with new poses: the same rows, with all other columns as they were read.

    Columns about the poses of an earlier job (`about_other_poses`) are left out.

    Poses belong to the particles' own boxes and pixel sizes, even if a run cropped the images. A stack that cannot be
    found by its old name from the folder of the new file is renamed: relative to that folder if it lies beneath it,
    else by its absolute path. The column rlnRandomSubset is left out if the input has two half sets, but all rows
    that are written belong to one of them.

    Parameters
    ----------
    path
        File to write.
    particles
        Particles from any of the readers.
    rotations
        `(n, 3, 3)` rotations.
    shifts
        `(n, 2)` shifts in A, (x, y).
    extra_columns
        Name -> `(n,)` values: further columns, or new values of existing ones.
    form
        Whether particles of a STAR file keep the form of that file, or are converted to that of RELION 3.1. Particles
        of other formats are written in the form of RELION 3.1.
    progress
        Called now and then with the share of the rows that has been written, 0 to 1.

    Raises
    ------
    ValueError
        A new table of optics groups is needed, and the box of a particle is not known.
    """
    path = Path(path)
    if isinstance(particles.table, StarTable):
        table = _with_valid_paths(particles.table, particles, path)
        table = with_optics(table, particles) if form == "3.1" else table
    else:
        table = new_table(particles, [_valid_name(stack, path) for stack in particles.stacks], path)
    flat = table.optics is None
    angles, origins = euler_from_rotation(rotations), particles.shifts_of_images(shifts)
    columns: dict[str, Any] = dict(zip(ANGLES, angles.T, strict=True))
    if flat:
        columns |= dict(zip(ORIGINS_PX, (origins / particles.pixel_sizes[:, None]).T, strict=True))
    if not flat or table.has(*ORIGINS_ANGST):
        columns |= dict(zip(ORIGINS_ANGST, origins.T, strict=True))
    columns |= dict(extra_columns or {})
    # RELION takes every shift as 0 if a file has optics groups and origins in pixels.
    unwanted = [name for name in about_other_poses(table) if name not in columns] + ([] if flat else list(ORIGINS_PX))
    rows = table.particles.drop(columns=unwanted, errors="ignore").assign(**columns)
    # RELION makes its own half sets if a file has none, but stops at a file that has only one of the two.
    if particles.half_sets is not None and SUBSET in rows and both_half_sets(column_floats(rows[SUBSET])) is None:
        rows = rows.drop(columns=SUBSET)
    dataclasses.replace(table, particles=rows).write(path, progress)


def about_other_poses(table: Any) -> list[str]:
    """List the columns of an input's table that say something about the poses of an earlier job.

    Parameters
    ----------
    table
        `Particles.table`; there are none in one that is no STAR file's.
    """
    if not isinstance(table, StarTable):
        return []
    names = [name for name in OTHER_POSES if name in table.particles]
    names += [name for name in map(str, table.particles) if name.startswith(CLASS_PROBABILITY)]
    several = CLASS in table.particles and table.particles[CLASS].nunique() > 1
    return [*names, CLASS] if several else names


def _check_images_are_flat(table: StarTable) -> None:
    """Refuse subtomograms, which are volumes."""
    if table.has(DIMENSIONS) and (table.numbers(DIMENSIONS) != 2).any():
        raise ValueError(f"{table.path}: {DIMENSIONS} is not 2: these are subtomograms, expected images of particles")


def _ctf(table: StarTable, pixel_sizes: NDArray[np.float64]) -> CtfParameters | None:
    """Return the CTF parameters; None if the table has no column of a defocus."""
    if not (table.has("rlnDefocusU") or table.has("rlnDefocusV")):
        return None
    values = {name: table.numbers(column, default) for name, (column, default) in CTF_COLUMNS.items()}
    check_ctf(values, table.path, {name: (column, values[name]) for name, (column, _) in CTF_COLUMNS.items()})
    check_b_factors(values["b_factor"], pixel_sizes, table.path, CTF_COLUMNS["b_factor"][0])
    return CtfParameters(**values)


def _picks(table: StarTable) -> Picks | None:
    """Read where the particles were picked; a file says nothing of the micrographs' size."""
    if MICROGRAPH not in table.particles:
        return None
    index, names = pd.factorize(table.particles[MICROGRAPH])
    coordinates = None
    if all(name in table.particles for name in COORDINATES):
        coordinates = np.stack([column_floats(table.particles[name]) for name in COORDINATES], axis=-1)
    micrographs = tuple(map(str, names))
    return Picks(
        micrographs=micrographs,
        micrograph_index=index.astype(np.int32),
        coordinates=coordinates if coordinates is not None and np.isfinite(coordinates).all() else None,
        sizes=None,
    )


def _rotations(table: StarTable) -> NDArray[np.float64] | None:
    if not table.has(*ANGLES):
        return None
    return rotation_from_euler(np.stack([table.numbers(name) for name in ANGLES], axis=-1))


def _shifts(table: StarTable, pixel_sizes: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the shifts, `(n, 2)` A; None if the table has no origins."""
    for names, unit in ((ORIGINS_ANGST, np.ones_like(pixel_sizes)), (ORIGINS_PX, pixel_sizes)):
        if any(table.has(name) for name in names):
            return np.stack([table.numbers(name) for name in names], axis=-1) * unit[:, None]
    return None


def _flag(table: StarTable, field: str) -> bool:
    """Return the value of a column of 0 or 1, which must be the same for all particles."""
    values = np.unique(table.numbers(field, 0.0))
    if len(values) > 1 or values[0] not in (0, 1):
        raise ValueError(f"{table.path}: {field}: found {first_of(values)}, expected 0 or 1, the same for all")
    return bool(values[0])


def _notes(
    table: StarTable,
    ctf: CtfParameters | None,
    pixel_sizes: NDArray[np.float64],
    aberrations: Aberrations | None,
) -> tuple[str, ...]:
    if ctf is None:
        notes = ["CTF is off: the STAR file has no defocus"]
    else:
        notes = ctf_notes(vars(ctf), pixel_sizes, {name: column for name, (column, _) in CTF_COLUMNS.items()})
    if table.optics is not None and table.has(*ORIGINS_PX) and not table.has(*ORIGINS_ANGST):
        notes.append("rlnOriginX/Y beside optics groups are read as pixels; RELION itself takes these shifts as 0")
    if aberrations is not None:
        notes.append(f"aberrations are corrected for: {', '.join(telling_columns(table))}")
    if no_magnification(table):
        notes.append("rlnMagMat00 to 11 are 0, which is no magnification: read as 1 0 0 1")
    unused = _unused(table)
    if unused:
        notes.append(f"not used: {', '.join(unused)}")
    return tuple(notes)


def _unused(table: StarTable) -> tuple[str, ...]:
    """List the columns that RELION reckons with and a run does not; those of aberrations too if the CTF is off."""
    said = [name for name in UNUSED if set(table.distinct(name)) - {"", "None"}]
    return tuple(said if table.has("rlnDefocusU") else [*said, *telling_columns(table)])


def _valid_name(stack: Path, target: Path) -> str:
    """Return the name of a stack for a STAR file at `target`: relative if it lies beneath its folder, else absolute."""
    if not stack.is_file():
        return str(stack)
    absolute, folder = stack.absolute(), target.absolute().parent
    name = str(absolute.relative_to(folder) if absolute.is_relative_to(folder) else absolute)
    return name if stack.suffix == ".mrcs" else name + STACK_FORMAT


def _with_valid_paths(table: StarTable, particles: Particles, target: Path) -> StarTable:
    """Return the table with new names for the stacks that would not be found from the folder of the new file."""
    names, stack_index, _ = table.image_names()
    first_rows = np.unique(stack_index, return_index=True)[1]
    renamed = {}
    for name, row in zip(names, first_rows, strict=True):
        stack = particles.stacks[particles.stack_index[row]]
        found = find_by_name(name.removesuffix(STACK_FORMAT), target)
        if stack.is_file() and (found is None or not found.samefile(stack)):
            renamed[name] = _valid_name(stack, target)
    return table.with_stacks(renamed) if renamed else table
