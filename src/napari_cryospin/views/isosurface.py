"""A map's statistics and its shaded surface, as arrays, without Qt or napari."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONTOUR_ENCLOSES = 0.01
"""Share of the voxels that the first contour encloses (ChimeraX's rule)."""
LEVEL_BINS = 128
"""Number of bins of the histogram of a map's values."""
DUST_SHARE = 0.02
"""Share of the largest piece's volume up to which another piece counts as dust; chosen by hand."""
_LIGHT = np.array([0.53, 0.74, -0.42], np.float32)
"""Unit vector `(z, y, x)` towards the light, fixed to the map: above, left and in front in the map's first view; chosen
by hand."""
_SKY = 0.65
"""Share of the brightness that comes from all sides; the rest comes from the light. Chosen by hand."""
_NEAR, _FAR = 1.5 / 64, 4 / 64
"""Widths of two Gaussians, as shares of the box, over which the density around a vertex darkens it; chosen by hand."""


@dataclass(frozen=True)
class MapStatistics:
    """Statistics of all voxels of a map, in the map's units."""

    mean: float
    deviation: float
    """Standard deviation, never 0."""
    lowest: float
    highest: float
    low_level: float
    """Level that encloses 10 % of the voxels; a lower contour shows noise."""
    start_level: float
    """Level of the first contour, which encloses 1 % of the voxels."""
    counts: NDArray[np.int64] = field(compare=False, repr=False)
    """`(LEVEL_BINS,)` number of voxels by value, from `low_level` to `highest`."""

    @classmethod
    def of(cls, density: NDArray[Any]) -> MapStatistics:
        """Compute the statistics of a `(z, y, x)` map."""
        low, start = (float(one) for one in np.quantile(density, [0.9, 1 - CONTOUR_ENCLOSES]))
        mean, deviation = float(density.mean()), float(density.std())
        lowest, highest = float(density.min()), float(density.max())
        above = density[density >= low]
        share = (above - low) / (highest - low) if highest > low else np.zeros(len(above))
        counts = np.bincount(np.minimum((share * LEVEL_BINS).astype(np.intp), LEVEL_BINS - 1), minlength=LEVEL_BINS)
        return cls(mean, deviation or 1.0, lowest, highest, low, start, counts)

    def sigma(self, value: float) -> float:
        """Convert a value to standard deviations above the mean."""
        return (value - self.mean) / self.deviation

    def value(self, sigma: float) -> float:
        """Convert standard deviations above the mean to a value."""
        return self.mean + sigma * self.deviation


@dataclass(frozen=True)
class Mesh:
    """A shaded surface."""

    vertices: NDArray[np.float32]
    """`(n, 3)` positions in voxels, `(z, y, x)`."""
    faces: NDArray[np.int32]
    """`(m, 3)` triangles, as rows of `vertices`."""
    brightness: NDArray[np.float32]
    """`(n,)` from 0 to 1."""


def isosurface(density: NDArray[Any], level: float) -> Mesh:
    """Compute the surface of a `(z, y, x)` map at a level.

    The surface has its own shading, because napari's light shines from behind the map in every orientation of the axes
    that shows the right hand. If no part of the map is at the level, the surface is one triangle without extent at the
    centre, because napari has no empty surfaces.
    """
    from skimage.measure import marching_cubes

    if not density.min() < level < density.max():
        centre = np.full((3, 3), density.shape[0] // 2, np.float32)
        return Mesh(centre, np.array([[0, 1, 2]], np.int32), np.zeros(3, np.float32))
    vertices, faces, normals, _ = marching_cubes(np.require(density, np.float32, "W"), level)
    light = 0.5 + 0.5 * (normals @ _LIGHT)
    brightness = _SKY * open_sky(density > level, vertices) + (1 - _SKY) * light
    return Mesh(vertices, faces, brightness.astype(np.float32))


def without_dust(density: NDArray[Any], level: float) -> NDArray[np.float32]:
    """Return a map whose small separate pieces above a level are brought down to it, so that no contour shows them.

    Pieces are small if they have at most `DUST_SHARE` of the volume of the largest.
    """
    from scipy import ndimage  # A window that opens need not wait for it.

    inside = density > level
    pieces, _ = ndimage.label(inside)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    dust = sizes <= DUST_SHARE * sizes.max(initial=0)
    dust[0] = False
    return np.where(dust[pieces], np.float32(level) - np.float32(1e-6) * abs(np.float32(level)), density)


def open_sky(inside: NDArray[Any], vertices: NDArray[Any]) -> NDArray[np.float32]:
    """Return how open the surroundings of each vertex are, `(n,)` from 0 (in a cleft) to 1 (on a tip).

    Parameters
    ----------
    inside
        `(z, y, x)` whether a voxel is inside the surface.
    vertices
        `(n, 3)` positions in voxels, `(z, y, x)`.
    """
    from scipy import ndimage

    step = 1 + inside.shape[0] // 80  # A coarse grid is enough, since it is blurred below.
    coarse = inside[::step, ::step, ::step].astype(np.float32)
    where = vertices.T / step
    shade = np.zeros(len(vertices), np.float32)
    for share in (_NEAR, _FAR):
        blurred = ndimage.gaussian_filter(coarse, share * len(coarse), truncate=2.5)
        shade += 0.5 * ndimage.map_coordinates(blurred, where, order=1, mode="nearest")
    return np.clip((0.9 - shade) / 0.75, 0, 1)
