"""Aberrations of optics groups in RELION's STAR files: beam tilt, Zernike coefficients, magnification matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_cryospin.io.aberrations import check_magnification, grouped, made, with_beam_tilt, without_beam_tilt
from napari_cryospin.io.star.table import StarTable
from napari_cryospin.particles import Aberrations, CtfParameters, Particles

TILT = ("rlnBeamTiltX", "rlnBeamTiltY")
ODD, EVEN = "rlnOddZernike", "rlnEvenZernike"
MAGNIFICATION = tuple(f"rlnMagMat{row}{column}" for row in (0, 1) for column in (0, 1))
COLUMNS = (*TILT, ODD, EVEN, *MAGNIFICATION)


def read_aberrations(table: StarTable, ctf: CtfParameters | None) -> Aberrations | None:
    """Read the aberrations; None if there are none, or no CTF.

    Raises
    ------
    ValueError
        A value is no number, no list of numbers, or no magnification; names file, row and column.
    """
    if ctf is None or not any(map(table.has, COLUMNS)):
        return None
    keys = {name: table.particles[name] for name in COLUMNS if name in table.particles}
    optics = {"optics": table.optics_rows, "voltage": ctf.voltage, "cs": ctf.spherical_aberration}
    groups, first = grouped(pd.DataFrame({**optics, **{name: column.to_numpy() for name, column in keys.items()}}))
    tilt = np.stack([table.numbers(name, 0.0)[first] for name in TILT], axis=-1)
    odd = with_beam_tilt(_vectors(table, ODD, first), tilt, ctf.select(first))
    return made(groups, odd, _vectors(table, EVEN, first), _magnification(table)[first])


def telling_columns(table: StarTable) -> list[str]:
    """List the columns of aberrations that say more than that there are none."""
    none = dict.fromkeys(COLUMNS, 0.0) | dict(zip(MAGNIFICATION, np.eye(2).ravel(), strict=True))
    return [
        name
        for name, neutral in none.items()
        if any(value != neutral for text in table.distinct(name) for value in _numbers(text, f"{table.path}: {name}"))
    ]


def no_magnification(table: StarTable) -> bool:
    """Return whether the matrices are 0, as some converters from cryoSPARC write them where there are none."""
    return table.has(*MAGNIFICATION) and not any(table.numbers(name).any() for name in MAGNIFICATION)


def _magnification(table: StarTable) -> NDArray[np.float64]:
    """Read magnification matrices, `(n, 2, 2)`."""
    if no_magnification(table):
        return np.tile(np.eye(2), (len(table), 1, 1))
    values = [table.numbers(name, default) for name, default in zip(MAGNIFICATION, np.eye(2).ravel(), strict=True)]
    matrices = np.stack(values, axis=-1).reshape(-1, 2, 2)
    check_magnification(matrices, table.path, f"{MAGNIFICATION[0]} to 11")
    return matrices


def _vectors(table: StarTable, field: str, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Read lists of numbers, `(g, k)` for some rows, the shorter ones filled up with 0."""
    if not table.has(field):
        return np.zeros((len(rows), 0))
    texts = _texts(table, field, rows)
    lists = [_numbers(text, f"{table.path}: row {row + 1}, {field}") for row, text in zip(rows, texts, strict=True)]
    width = max(map(len, lists))
    return np.array([[*values, *[0.0] * (width - len(values))] for values in lists]).reshape(len(lists), width)


def _texts(table: StarTable, field: str, rows: NDArray[np.int64]) -> list[str]:
    if field in table.particles:
        return list(map(str, table.particles[field].iloc[rows]))
    assert table.optics is not None
    return list(map(str, table.optics[field].iloc[table.optics_rows[rows]]))


def _numbers(text: str, where: str) -> list[float]:
    """Read a list such as [1.7,1.2,2.5]."""
    parts = [part for part in text.strip("[] ").split(",") if part.strip()]
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = [np.nan]
    if not np.isfinite(values).all():
        raise ValueError(f"{where}: found {text[:60]!r}, expected numbers such as [0.1,0.2]")
    return values


def aberration_columns(particles: Particles) -> dict[str, Any]:
    """Give the columns `(n,)` of the particles' optics groups; nothing where there are no aberrations."""
    aberrations, ctf = particles.aberrations, particles.ctf
    if aberrations is None or ctf is None:
        return {}
    keys = {"group": aberrations.groups, "voltage": ctf.voltage, "cs": ctf.spherical_aberration}
    groups, first = grouped(pd.DataFrame(keys))
    own = aberrations.groups[first]
    odd, tilt = without_beam_tilt(aberrations.odd[own], ctf.select(first))
    matrices = aberrations.magnification[own].reshape(-1, 4)
    columns: dict[str, Any] = dict(zip(TILT, tilt[groups].T, strict=True))
    columns |= {ODD: _written(odd)[groups], EVEN: _written(aberrations.even[own])[groups]}
    return columns | dict(zip(MAGNIFICATION, matrices[groups].T, strict=True))


def _written(coefficients: NDArray[np.float64]) -> NDArray[Any]:
    """Write lists of numbers as RELION does, `(g,)`."""
    return np.array([f"[{','.join(f'{value:.10g}' for value in row)}]" for row in coefficients], dtype=object)
