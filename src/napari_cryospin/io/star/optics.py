"""Tables in the form of RELION 3.1 and later, in which optics groups have a table of their own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_cryospin.io.located import both_half_sets
from napari_cryospin.io.star.aberrations import COLUMNS, aberration_columns
from napari_cryospin.io.star.table import GROUP, IMAGE, StarTable
from napari_cryospin.particles import Particles, Picks

MICROGRAPH, COORDINATES = "rlnMicrographName", ("rlnCoordinateX", "rlnCoordinateY")
GROUP_NAME, PIXEL_SIZE, BOX = "rlnOpticsGroupName", "rlnImagePixelSize", "rlnImageSize"
PREMULTIPLIED = "rlnCtfDataAreCtfPremultiplied"
PHASE_FLIPPED = "rlnCtfDataArePhaseFlipped"
CTF_COLUMNS = {
    "defocus_u": ("rlnDefocusU", None),
    "defocus_v": ("rlnDefocusV", None),
    "defocus_angle": ("rlnDefocusAngle", 0.0),
    "voltage": ("rlnVoltage", None),
    "spherical_aberration": ("rlnSphericalAberration", None),
    "amplitude_contrast": ("rlnAmplitudeContrast", None),
    "phase_shift": ("rlnPhaseShift", 0.0),
    "scale": ("rlnCtfScalefactor", 1.0),
    "b_factor": ("rlnCtfBfactor", 0.0),
}
"""CTF parameter -> column, and RELION's default (None: the column must be there)."""
SHARED = (
    "rlnVoltage",
    "rlnSphericalAberration",
    "rlnAmplitudeContrast",
    PREMULTIPLIED,
    PHASE_FLIPPED,
    *COLUMNS,
)
"""Columns of the particles in RELION 3.0 that are columns of the optics groups in 3.1."""
OLD = ("rlnDetectorPixelSize", "rlnMagnification", PIXEL_SIZE, BOX, GROUP, GROUP_NAME, "rlnOriginX", "rlnOriginY")
"""Columns of the particles in RELION 3.0 that 3.1 has in another table, or under another name."""


def with_optics(table: StarTable, particles: Particles) -> StarTable:
    """Convert a table of RELION 3.0 to the form of 3.1; a table with optics groups is returned as it is.

    Origins in pixels are left out, because the caller sets the poses later.

    Raises
    ------
    ValueError
        The box of a particle is not known.
    """
    if table.optics is not None:
        return table
    keys = table.particles[[name for name in SHARED if name in table.particles]]
    optics, numbers = _groups(keys.assign(**_frame(particles)))
    rows = table.particles.drop(columns=[*keys.columns, *OLD], errors="ignore").assign(**{GROUP: numbers})
    others = {name: block for name, block in table.blocks.items() if name != table.name}
    blocks = {"optics": optics, "particles": {}, **others}
    return dataclasses.replace(table, blocks=blocks, name="particles", particles=rows, age="30001")


def new_table(particles: Particles, names: Sequence[str], target: Path) -> StarTable:
    """Make a table of particles that do not come from a STAR file, without poses, which the caller sets later.

    Parameters
    ----------
    particles
        Particles of another format, or simulated ones.
    names
        Names of the stacks for the table.
    target
        File to which the table will be written, for messages.

    Raises
    ------
    ValueError
        The box of a particle is not known.
    """
    shared: dict[str, Any] = {GROUP: particles.optics_groups} | _frame(particles)
    single: dict[str, Any] = {}
    for field, (column, _) in CTF_COLUMNS.items() if particles.ctf is not None else ():
        (shared if column in SHARED else single)[column] = getattr(particles.ctf, field)
    for column, flag in ((PREMULTIPLIED, particles.ctf_premultiplied), (PHASE_FLIPPED, particles.phase_flipped)):
        if flag:
            shared[column] = np.ones(len(particles), dtype=int)
    shared |= aberration_columns(particles)
    if particles.half_sets is not None and both_half_sets(particles.half_sets) is not None:
        single["rlnRandomSubset"] = particles.half_sets
    single |= _picked(particles.picks)
    optics, numbers = _groups(pd.DataFrame(shared))
    slices = np.array([f"{number + 1:06d}@" for number in particles.slice_index], dtype=object)
    images = slices + np.array(names, dtype=object)[particles.stack_index]
    rows = pd.DataFrame({IMAGE: images, GROUP: numbers} | single)
    return StarTable(
        path=target, blocks={"optics": optics, "particles": {}}, name="particles", particles=rows, age="30001"
    )


def _picked(picks: Picks | None) -> dict[str, Any]:
    """Give each particle's micrograph, by which RELION groups particles, and its place there."""
    if picks is None:
        return {}
    columns: dict[str, Any] = {MICROGRAPH: np.array(picks.micrographs, dtype=object)[picks.micrograph_index]}
    if picks.coordinates is not None:
        columns |= dict(zip(COORDINATES, picks.coordinates.T, strict=True))
    return columns


def _frame(particles: Particles) -> dict[str, Any]:
    """Return the columns of pixel sizes and boxes, which every optics group needs."""
    if (particles.box_sizes == 0).any():
        row = int((particles.box_sizes == 0).argmax())
        stack = particles.stacks[particles.stack_index[row]]
        raise ValueError(f"{particles.source}: row {row + 1}: box not known, needed for {BOX}: {stack} is missing")
    return {PIXEL_SIZE: particles.pixel_sizes, BOX: particles.box_sizes}


def _groups(keys: pd.DataFrame) -> tuple[pd.DataFrame, NDArray[Any]]:
    """Make one optics group for each different row of `keys`, and return the groups and each row's group, from 1."""
    groups = keys.groupby(list(keys.columns), sort=True, dropna=False).ngroup().to_numpy()
    optics = keys.iloc[np.unique(groups, return_index=True)[1]].reset_index(drop=True)
    optics = optics.drop(columns=GROUP, errors="ignore")
    numbers = np.arange(1, len(optics) + 1)
    optics.insert(0, GROUP, numbers)
    optics.insert(1, GROUP_NAME, [f"opticsGroup{number}" for number in numbers])
    return optics.assign(rlnImageDimensionality=2), groups + 1
