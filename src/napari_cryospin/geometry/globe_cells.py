"""HEALPix cells as they are seen on a small globe."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_cryospin.geometry.sphere_cells import pixel_of


def globe_cells(facing: ArrayLike, nside: int, side: int) -> NDArray[np.int64]:
    """Return the cell at each pixel of a picture of the globe from outside, north upwards; -1 beside the globe.

    Parameters
    ----------
    facing
        `(3,)` unit vector, in the middle of the picture.
    nside, side
        As of `turned_globe_cells`.
    """
    return turned_globe_cells(globe_frame(facing), nside, side)


def turned_globe_cells(frame: ArrayLike, nside: int, side: int) -> NDArray[np.int64]:
    """Return the cell at each pixel of a picture of the globe from outside; -1 beside the globe.

    Parameters
    ----------
    frame
        `(3, 3)` rotation whose rows point to the right, upwards and towards the user.
    nside
        Of the grid, ring order.
    side
        Pixels of the square picture.
    """
    axis = (np.arange(side) + 0.5) / side * 2 - 1
    x, y = np.meshgrid(axis, -axis)  # the first row is at the top
    ahead = 1 - x**2 - y**2
    seen = np.stack([x, y, np.sqrt(np.maximum(ahead, 0))], axis=-1)
    cells = pixel_of(seen @ np.asarray(frame), nside)
    return np.where(ahead > 0, cells, -1)


def globe_frame(facing: ArrayLike) -> NDArray[np.float64]:
    """Return the `(3, 3)` rotation that turns a `(3,)` direction towards the user, north upwards: right, up, front."""
    towards = np.asarray(facing, dtype=np.float64)
    east = np.cross((0.0, 0.0, 1.0), towards)
    east = np.array([0.0, 1.0, 0.0]) if np.linalg.norm(east) < 1e-6 else east / np.linalg.norm(east)
    return np.stack([east, np.cross(towards, east), towards])
