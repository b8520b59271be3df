"""Answers about one particle (posterior, zoom, projections), and the geometry of the gnomonic zoom. No torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_cryospin.runs.epoch_record import EpochRecord

ZOOM_POINTS = 41
"""Number of points along each side of the zoom; chosen by hand."""
ZOOM_FIELD = 20.0
"""Width and height of the zoom, degrees; chosen by hand."""
ZOOM_LINE = np.linspace(-ZOOM_FIELD / 2, ZOOM_FIELD / 2, ZOOM_POINTS)
"""Angles of the zoom's columns, and of its rows, from its centre: `(side,)` degrees."""


@dataclass(frozen=True, kw_only=True)
class DirectionPosterior:
    """Posterior of one particle's view direction."""

    particle: int  # row of the input, from 0
    record: EpochRecord  # the run's record that holds the map
    log_posterior: NDArray[np.float32]  # (pixels,) HEALPix directions in ring order; exp sums to 1
    rotation: NDArray[np.float32]  # (3, 3) best pose of the grid
    shift: NDArray[np.float32]  # (2,) A, of the best pose

    @property
    def nside(self) -> int:
        """HEALPix nside of the grid of directions."""
        return round((len(self.log_posterior) / 12) ** 0.5)

    @property
    def pixel(self) -> int:
        """HEALPix pixel of the most probable direction."""
        return int(self.log_posterior.argmax())

    @property
    def entropy(self) -> float:
        """Entropy of the posterior over view directions, nats."""
        return float(-(np.exp(self.log_posterior) * self.log_posterior).sum())


@dataclass(frozen=True, kw_only=True)
class Zoom:
    """The posterior near one view direction, in gnomonic projection: seen from outside the sphere, north up."""

    particle: int  # row of the input, from 0
    log_posterior: NDArray[np.float32]  # (v, u) rows from south to north, columns from west to east; exp sums to 1
    centre: NDArray[np.float64]  # (3,) unit view direction, in the map's frame
    axes: NDArray[np.float64]  # (2, 3) unit vectors: u to the east, v to the north
    rotation: NDArray[np.float32]  # (3, 3) best pose of the grid
    shift: NDArray[np.float32]  # (2,) A, of the best pose

    u = v = ZOOM_LINE  # angles of the columns and of the rows from the centre, degrees

    def project(self, directions: ArrayLike) -> NDArray[np.float64]:
        """Project view directions into the zoom.

        Parameters
        ----------
        directions
            `(..., 3)` unit view directions, in the map's frame.

        Returns
        -------
        ndarray
            `(..., 2)` degrees u, v from the centre; nan on the far side of the sphere.
        """
        directions = np.asarray(directions, dtype=np.float64)
        ahead = directions @ self.centre
        ahead = np.where(ahead > 1e-6, ahead, np.nan)
        return np.degrees(np.arctan(directions @ self.axes.T / ahead[..., None]))


@dataclass(frozen=True, kw_only=True)
class ProjectionComparison:
    """A particle's image beside the map's projections at some poses, and how well each of them explains the image."""

    particle: NDArray[np.float32]  # (n, n) low-passed, in standard deviations of the background
    projections: NDArray[np.float32]  # (k, n, n) with CTF and shifts, low-passed in the same way
    pixel_size: float  # A
    error: NDArray[np.float32]  # (k,) squared error of a coefficient, in units of the noise: 1 where only noise is left
    log_likelihood: NDArray[np.float32]  # (k,) nats, relative to the best of these poses: 0 or less
    pixel: NDArray[np.int64]  # (k,) HEALPix direction, as in `DirectionPosterior.log_posterior`
    probability: NDArray[np.float32]  # (k,) posterior probability of that direction
    angles: NDArray[np.float64]  # (k, 3) degrees: rot, tilt, psi
    shifts: NDArray[np.float32]  # (k, 2) A


def patch_axes(centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the unit vectors to the east and to the north of a `(3,)` unit direction, `(2, 3)`.

    At a pole, north is along -x (from +z) or x (from -z).
    """
    pole = np.array([0.0, 0.0, 1.0])
    east = np.cross(pole, centre)
    east = np.array([0.0, 1.0, 0.0]) if np.linalg.norm(east) < 1e-6 else east / np.linalg.norm(east)
    return np.stack((east, np.cross(centre, east)))


def patch_directions(centre: NDArray[np.float64], axes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the unit view directions of the zoom's points, row by row, `(side * side, 3)`."""
    v, u = np.meshgrid(*(np.tan(np.radians(ZOOM_LINE)),) * 2, indexing="ij")
    directions = centre + u[..., None] * axes[0] + v[..., None] * axes[1]
    return (directions / np.linalg.norm(directions, axis=-1, keepdims=True)).reshape(-1, 3)


def shortest_turns(directions: NDArray[np.float64], centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotations that take each of `(k, 3)` unit vectors to a `(3,)` one by the shortest way, `(k, 3, 3)`."""
    cross, cosine = np.cross(directions, centre), directions @ centre
    x, y, z = cross.T
    zero = np.zeros(len(cross))
    generator = np.stack((zero, -z, y, z, zero, -x, -y, x, zero), axis=-1).reshape(-1, 3, 3)
    return np.eye(3) + generator + generator @ generator / (1 + cosine)[:, None, None]
