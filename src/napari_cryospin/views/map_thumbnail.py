"""A small picture of a map, drawn without a screen: its surface as it is first seen, from +z with y upwards."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.views.isosurface import MapStatistics

MARGIN = 0.06
"""Room around the surface, as a share of the picture; chosen by hand."""
SMOOTHING = 1.2
"""Pixels over which the densities are smoothed, so that no voxel shows; chosen by hand."""
LIGHT = np.array([0.62, 0.55, -0.56], np.float32)
"""Unit vector `(z, y, x)` towards the light: in front, above and left; chosen by hand."""
AMBIENT, DEEPEST = 0.35, 0.45
"""Shares of the brightness that comes from all sides, and that the farthest part of the surface keeps; by hand."""
SURFACE_COLOURS = np.array([[0x16, 0x26, 0x3A], [0x58, 0x7F, 0xA8], [0xC3, 0xD9, 0xEF]], np.float32)
"""Colours of the surface from dark to bright, those of the map on the canvas."""


def map_thumbnail(density: NDArray[Any], size: int) -> NDArray[np.uint8]:
    """Draw the surface of a map at the contour that encloses 1 % of the voxels.

    Parameters
    ----------
    density
        `(z, y, x)` map.
    size
        Pixels of the picture.

    Returns
    -------
    ndarray
        `(size, size, 4)` red, green, blue and opacity, the first row on top; transparent where there is no surface.
    """
    from scipy.ndimage import gaussian_filter, zoom  # A window that opens need not wait for it.

    level = MapStatistics.of(density).start_level
    inside = density > level
    if not inside.any():
        return np.zeros((size, size, 4), np.uint8)
    cube = _around(density, inside)
    fine = gaussian_filter(zoom(cube, size / len(cube), order=1, grid_mode=True, mode="nearest"), SMOOTHING)
    return _shaded(fine, level)


def _around(density: NDArray[Any], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Cut out the cube about the surface, with the margin; beyond the box there is the lowest density."""
    places = [np.flatnonzero(inside.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    middle = [(place[0] + place[-1]) / 2 for place in places]
    half = max(place[-1] - place[0] for place in places) / 2 * (1 + 2 * MARGIN) + 1.5
    starts = [int(np.floor(one - half)) for one in middle]
    side = int(np.ceil(2 * half)) + 1
    padded = np.pad(np.asarray(density, np.float32), side, constant_values=float(density.min()))
    return padded[tuple(slice(start + side, start + 2 * side) for start in starts)]


def _slopes(fine: NDArray[np.float32], places: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the differences of neighbouring densities along each axis, `(3, ...)`, at `(3, ...)` places."""
    slopes = []
    for axis in range(3):
        step = np.zeros((3, *[1] * (places.ndim - 1)), np.int64)
        step[axis] = 1
        after, before = np.minimum(places + step, len(fine) - 1), np.maximum(places - step, 0)
        slopes.append(fine[tuple(after)] - fine[tuple(before)])
    return np.stack(slopes)


def _shaded(fine: NDArray[np.float32], level: float) -> NDArray[np.uint8]:
    """Shade what is seen of a surface from the end of the first axis."""
    from scipy.ndimage import gaussian_filter

    seen = fine[::-1] > level
    hit, depth = seen.any(axis=0), seen.argmax(axis=0)
    at = len(fine) - 1 - depth
    slopes = _slopes(fine, np.stack([at, *np.indices(hit.shape)]))
    length = np.sqrt((slopes**2).sum(axis=0))
    facing = np.clip(-np.tensordot(LIGHT, slopes, 1) / np.where(length > 0, length, 1), 0, 1)
    near = depth[hit].min()
    far = max(1, int(depth[hit].max()) - int(near))
    fading = 1 - (1 - DEEPEST) * np.clip((depth - near) / far, 0, 1)
    bright = (AMBIENT + (1 - AMBIENT) * facing) * fading
    picture = np.zeros((*hit.shape, 4), np.uint8)
    for channel in range(3):
        picture[..., channel] = np.interp(bright, [0, 0.5, 1], SURFACE_COLOURS[:, channel])
    picture[..., 3] = 255 * np.clip(gaussian_filter(hit.astype(np.float32), 0.6), 0, 1)
    return np.ascontiguousarray(picture[::-1])
