"""A map's numbers and its shaded surface, for drawing: no Qt, no napari."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

CONTOUR_ENCLOSES = 0.01
"""Share of the voxels that the first contour encloses (ChimeraX's rule)."""
_LIGHT = np.array([0.53, 0.74, -0.42], np.float32)
"""Unit vector `(z, y, x)` towards the light, fixed to the map: above, to the left, in front of its first view."""
_SKY = 0.65
"""Share of the brightness that comes from all around; the rest comes from the light."""
_NEAR, _FAR = 1.5 / 64, 4 / 64
"""Share of the box that is looked over for what keeps the sky away: widths of two Gaussians."""


@dataclass(frozen=True)
class MapStatistics:
    """Of all voxels of a map, in the map's units."""

    mean: float
    deviation: float
    """Standard deviation, never 0."""
    lowest: float
    highest: float
    low_level: float
    """Encloses 10 % of the voxels: a contour further down shows noise."""
    start_level: float
    """Encloses 1 % of the voxels."""

    @classmethod
    def of(cls, density: NDArray[Any]) -> MapStatistics:
        """Measure a `(z, y, x)` map."""
        low, start = (float(one) for one in np.quantile(density, [0.9, 1 - CONTOUR_ENCLOSES]))
        mean, deviation = float(density.mean()), float(density.std())
        return cls(mean, deviation or 1.0, float(density.min()), float(density.max()), low, start)

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
    """`(n, 3)` voxels, `(z, y, x)`."""
    faces: NDArray[np.int32]
    """`(m, 3)` rows of `vertices`."""
    brightness: NDArray[np.float32]
    """`(n,)` from 0 to 1."""


def isosurface(density: NDArray[Any], level: float) -> Mesh:
    """Surface of a `(z, y, x)` map at a level.

    It brings its own shading: napari's light shines from behind the map in every orientation of the axes that shows the
    right hand. Where the level meets nothing it is one triangle without extent at the centre, for napari has no empty
    surfaces.
    """
    from skimage.measure import marching_cubes

    if not density.min() < level < density.max():
        centre = np.full((3, 3), density.shape[0] // 2, np.float32)
        return Mesh(centre, np.array([[0, 1, 2]], np.int32), np.zeros(3, np.float32))
    vertices, faces, normals, _ = marching_cubes(np.require(density, np.float32, "W"), level)
    light = 0.5 + 0.5 * (normals @ _LIGHT)
    brightness = _SKY * open_sky(density > level, vertices) + (1 - _SKY) * light
    return Mesh(vertices, faces, brightness.astype(np.float32))


def open_sky(inside: NDArray[Any], vertices: NDArray[Any]) -> NDArray[np.float32]:
    """`(n,)` how open the surroundings of each vertex are, from 0 (in a cleft) to 1 (on a tip).

    Parameters
    ----------
    inside
        `(z, y, x)` whether a voxel is enclosed.
    vertices
        `(n, 3)` voxels, `(z, y, x)`.
    """
    step = 1 + inside.shape[0] // 80  # what is blurred anyway can be looked at coarsely
    coarse = inside[::step, ::step, ::step].astype(np.float32)
    where = vertices.T / step
    shade = np.zeros(len(vertices), np.float32)
    for share in (_NEAR, _FAR):
        blurred = gaussian_filter(coarse, share * len(coarse), truncate=2.5)
        shade += 0.5 * map_coordinates(blurred, where, order=1, mode="nearest")
    return np.clip((0.9 - shade) / 0.75, 0, 1)
