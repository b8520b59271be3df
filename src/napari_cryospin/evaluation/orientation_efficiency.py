"""The efficiency of an orientation distribution: whether its views give the same resolution in all directions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

PARTICLE_SIZE, FINEST_RESOLUTION = 96.0, 4.0
"""Angstrom: size of a particle, whose inverse is the thickness of a slice in Fourier space, and the resolution up to
which Fourier space is filled. Their ratio, 24 shells, matters; chosen by hand."""
B_FACTOR = 160.0
"""Angstrom^2, B-factor with which information falls towards high resolution; chosen by hand."""
REAL_BOX = 128
"""Voxels of the point spread function's box, which is as long as the particle."""
SURFACE_LEVEL = float(np.exp(-2.0))
"""Share of its peak at which the point spread function ends."""
VIEWS_AT_MOST = 5000
"""Number of views, drawn at random, that are counted at most."""
POINTS_AT_A_TIME = 2000
"""Number of Fourier voxels whose slices are counted at a time: 40 MB of cosines."""


def orientation_efficiency(rotations: ArrayLike) -> float:
    """Compute E_od of a set of views, 0 to 1 (Naydenova & Russo 2017, Nat. Commun. 8, 629).

    Every image fills a slice of Fourier space. Where more slices pass there is more information, and the amplitude is
    its root; the Fourier transform of that is the point spread function of the views. With `R` the distance from the
    peak to the surface at which it has fallen to `1 / e^2`, the mean and deviation of which are taken over the
    surface, `E_od = 1 - 2 deviation(R) / mean(R)`. It is 1 for a ball, which views from everywhere give, and not above
    0, which is returned as 0, for the needle that a single view gives.

    Parameters
    ----------
    rotations
        `(n, 3, 3)` RELION's A, those of symmetric copies among them.

    Raises
    ------
    ValueError
        There are no views.
    """
    directions = np.asarray(rotations, dtype=np.float64)[:, 2]
    if not len(directions):
        raise ValueError("rotations: found none, expected views")
    chosen = np.random.default_rng(0).permutation(len(directions))[:VIEWS_AT_MOST]
    radii, areas = _surface(point_spread(directions[chosen]))
    mean = float(np.average(radii, weights=areas))
    deviation = float(np.sqrt(np.average((radii - mean) ** 2, weights=areas)))
    return max(0.0, 1 - 2 * deviation / mean)


def point_spread(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the point spread function of `(n, 3)` view directions, `(REAL_BOX,) * 3`, its peak 1 in the middle."""
    shells = int(PARTICLE_SIZE / FINEST_RESOLUTION)
    line = np.arange(-shells, shells + 1)
    places = np.stack(np.meshgrid(line, line, line[shells:], indexing="ij"), axis=-1).reshape(-1, 3)
    radius = np.linalg.norm(places, axis=-1)
    places, radius = places[radius <= shells], radius[radius <= shells]
    amplitude = np.sqrt(_slices(places, directions)) * np.exp(-B_FACTOR / 4 * (radius / PARTICLE_SIZE) ** 2)
    transform = np.zeros((REAL_BOX, REAL_BOX, REAL_BOX // 2 + 1))
    transform[tuple(places.T)] = amplitude
    spread = np.fft.fftshift(np.fft.irfftn(transform, s=(REAL_BOX,) * 3))
    return spread / spread.max()


def _slices(places: NDArray[np.int64], directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Count the slices that pass within half a Fourier voxel of each of `(p, 3)` places."""
    views, points = directions.T.astype(np.float32), places.astype(np.float32)
    parts = range(0, len(points), POINTS_AT_A_TIME)
    counts = [np.count_nonzero(np.abs(points[at : at + POINTS_AT_A_TIME] @ views) <= 0.5, axis=1) for at in parts]
    return np.concatenate(counts).astype(np.float64)


def _surface(spread: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the distance from the peak, voxels, and the area of each triangle of the surface."""
    from skimage.measure import marching_cubes  # It loads slowly.

    vertices, faces, _, _ = marching_cubes(spread, SURFACE_LEVEL)
    corners = (vertices - REAL_BOX // 2)[faces]
    sides = np.diff(corners, axis=1)
    areas = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=-1) / 2
    return np.linalg.norm(corners, axis=-1).mean(-1), areas
