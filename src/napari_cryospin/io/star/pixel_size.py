"""The pixel size of a STAR file: as it is stated, worked out from the magnification, or given by the user."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.io.located import (
    PixelSizeMissingError,
    check_column,
    check_given_pixel_size,
    check_pixel_sizes,
)
from napari_cryospin.io.star.table import OPTICS, StarTable
from napari_cryospin.listing import first_of

STATED, DETECTOR, MAGNIFIED = "rlnImagePixelSize", "rlnDetectorPixelSize", "rlnMagnification"
DEFAULT_MAGNIFICATION = 10_000.0
"""Taken by RELION where a file has no rlnMagnification."""
MICROMETRE = 1e4
"""A, the unit of rlnDetectorPixelSize."""
OTHER_SIZES = {
    "rlnPixelSize": "which may be that of a reference or of a micrograph",
    "rlnMicrographPixelSize": "which is that of the micrographs: images may have been scaled down since",
    "rlnMicrographOriginalPixelSize": "which is that of the movies: images may have been scaled down since",
    "rlnTomoTiltSeriesPixelSize": "which is that of the tilt series: images may have been scaled down since",
    MAGNIFIED: f"which tells it together with {DETECTOR} only",
}
"""Column -> why it does not tell the images' pixel size."""


def with_pixel_sizes(table: StarTable, given: float | None) -> tuple[StarTable, NDArray[np.float64], tuple[str, ...]]:
    """Read the pixel sizes.

    Parameters
    ----------
    table
        Particles of a STAR file.
    given
        A, of a file that states none.

    Returns
    -------
    tuple
        The table, in which the given pixel size now stands; pixel sizes `(n,)`, A; what the user should know.

    Raises
    ------
    ValueError
        There is none, or two that differ.
    """
    stated = _stated(table)
    if stated is None:
        if given is None:
            raise PixelSizeMissingError(f"{table.path}: no pixel size: {_instead(table)}")
        sizes = check_pixel_sizes(np.full(len(table), float(given)), table.path, "pixel size")
        return _with_size(table, given), sizes, (f"the file says no pixel size; {given:g} A is used, as given",)
    if given is not None:
        check_given_pixel_size(given, stated, table.path)
    if table.has(STATED) or table.has(MAGNIFIED):
        return table, stated, ()
    return table, stated, (f"no {MAGNIFIED}: {DEFAULT_MAGNIFICATION:g} is taken, RELION's default",)


def _stated(table: StarTable) -> NDArray[np.float64] | None:
    """Read the pixel sizes, A `(n,)`: as stated, or of the detector over the magnification; None: there is none."""
    if table.has(STATED):
        return check_pixel_sizes(table.numbers(STATED), table.path, STATED)
    if not table.has(DETECTOR):
        return None
    detector, magnification = table.numbers(DETECTOR), _magnifications(table)
    return check_pixel_sizes(MICROMETRE * detector / magnification, table.path, f"{DETECTOR} / {MAGNIFIED}")


def _magnifications(table: StarTable) -> NDArray[np.float64]:
    values = table.numbers(MAGNIFIED, DEFAULT_MAGNIFICATION)
    return check_column(values, values > 0, table.path, MAGNIFIED, "a number above 0")


def _instead(table: StarTable) -> str:
    """Say which columns are missing, and which there are that do not tell it."""
    missing = f"no column {STATED}, nor {DETECTOR} with {MAGNIFIED}"
    found = [f"found {name} ({_texts(table, name)}), {why}" for name, why in OTHER_SIZES.items() if table.has(name)]
    return "; ".join((missing, *found))


def _texts(table: StarTable, name: str) -> str:
    """Write the values of a column as they stand in the file."""
    frames = (table.particles, table.optics)
    return first_of(next(frame[name] for frame in frames if frame is not None and name in frame).unique().tolist())


def _with_size(table: StarTable, size: float) -> StarTable:
    """Put a pixel size into a table, so that what is written of it says so too, in its version of RELION."""
    optics = table.optics
    if optics is not None:
        blocks = table.blocks | {OPTICS: optics.assign(**{STATED: size})}
        return dataclasses.replace(table, blocks=blocks)
    magnification = _magnifications(table)
    columns = {DETECTOR: size * magnification / MICROMETRE}
    if not table.has(MAGNIFIED):
        columns[MAGNIFIED] = magnification
    return dataclasses.replace(table, particles=table.particles.assign(**columns))
