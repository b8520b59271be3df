"""Maps over the sphere of view directions: counts of particles, shares won by each head, errors of each head.

All in HEALPix cells in ring order; NumPy alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_cryospin.geometry.sphere_cells import pixel_of

PER_CELL = 12
"""Least mean number of particles in a cell for which the resolution of a grid is chosen."""


def grid_for(count: int, finest: int = 8) -> int:
    """Choose nside for maps of `count` particles: the finest of 2, 4, ... with `PER_CELL` of them in a cell."""
    nside = 2
    while nside < finest and count >= PER_CELL * 12 * (2 * nside) ** 2:
        nside *= 2
    return nside


def direction_counts(rotations: ArrayLike, nside: int) -> NDArray[np.int64]:
    """Count the particles, `(n, 3, 3)` rotations, whose view direction lies in each cell: `(cells,)`."""
    return np.bincount(pixel_of(np.asarray(rotations)[:, 2], nside), minlength=12 * nside**2)


def win_shares(best_head: ArrayLike, rotations: ArrayLike, heads: int, nside: int) -> NDArray[np.float64]:
    """Compute the share `(heads, cells)` of a cell's particles that each head wins; nan where there are none.

    Parameters
    ----------
    best_head
        `(n,)` head, from 0; -1: none yet.
    rotations
        `(n, 3, 3)` the particles' poses.
    heads
        Number of heads.
    nside
        Of the grid.
    """
    best = np.asarray(best_head)
    seen = best >= 0
    return _per_cell(
        best[seen], pixel_of(np.asarray(rotations)[seen, 2], nside), np.ones(seen.sum()), heads, nside, False
    )


def mean_errors(errors: ArrayLike, directions: ArrayLike, nside: int) -> NDArray[np.float64]:
    """Average the error of each head's candidates in the cell of the true view direction: `(heads, cells)` degrees.

    As in the paper's figure 6; nan where there are no particles.

    Parameters
    ----------
    errors
        `(n, heads)` degrees.
    directions
        `(n, 3)` true view directions.
    nside
        Of the grid.
    """
    values = np.asarray(errors, dtype=np.float64)
    heads = values.shape[1]
    cells = np.repeat(pixel_of(directions, nside), heads)
    return _per_cell(np.tile(np.arange(heads), len(values)), cells, values.ravel(), heads, nside, True)


def _per_cell(
    head: NDArray[Any], cell: NDArray[Any], values: NDArray[Any], heads: int, nside: int, within_head: bool
) -> NDArray[np.float64]:
    """Divide `(heads, cells)` sums of values by the number of values in the cell, of the same head or of all heads."""
    cells = 12 * nside**2
    place = head.astype(np.int64) * cells + cell
    sums = np.bincount(place, values, heads * cells).reshape(heads, cells)
    counts = np.bincount(place, minlength=heads * cells).reshape(heads, cells)
    counts = counts if within_head else counts.sum(0, keepdims=True)
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
