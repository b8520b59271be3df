"""Sampling of Fourier space by the view directions, and the loss by preferred orientations."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_cryospin.geometry import healpix
from napari_cryospin.geometry.half_sphere import half_sphere

CELLS = 4
"""nside of the table's HEALPix grid: 192 cells of about 15 degrees."""
SPHERE_POINTS = 2000
"""Number of directions in Fourier space at which the sampling is computed."""
DIRECTIONS_AT_A_TIME = 10_000
"""Number of view directions that are compared with all points at a time: 80 MB of float32 cosines."""


@dataclass(frozen=True, kw_only=True)
class OrientationDistribution:
    """View directions of a particle set, and their sampling of a shell of Fourier space."""

    compensation: float
    """0..1, SCF*: this share of the particles, evenly spread, would sample the shell as well. 1 is an even
    distribution; rare or missing directions make it smaller."""
    sampled: float
    """0..1: share of the shell's points that lie within half a Fourier pixel of some particle's slice."""
    shell: float
    """Radius of the shell, Fourier pixels."""
    counts: NDArray[np.int64]
    """`(192,)` particles a HEALPix cell of view directions, ring order."""
    precision: NDArray[np.float64]
    """`(192,)` degrees: median expected error of the rotations in each cell; nan where no error is known."""

    @property
    def table(self) -> dict[str, NDArray[Any]]:
        """Columns `(192,)` by name: a cell's centre (degrees), its particles, and these over an even spread."""
        tilt, rot = healpix.pix2ang(CELLS, np.arange(healpix.nside2npix(CELLS)))
        against_even = self.counts * (len(self.counts) / max(1, self.counts.sum()))
        return {
            "rot": np.degrees(rot),
            "tilt": np.degrees(tilt),
            "particles": self.counts,
            "against_even": against_even,
            "precision_degrees": self.precision,
        }


def orientation_distribution(
    rotations: ArrayLike, shell: float, precision: ArrayLike | None = None
) -> OrientationDistribution:
    """Describe the distribution of the particles' view directions.

    The sampling of a point in Fourier space is the number of slices that pass within half a Fourier pixel of it. The
    compensation is the sampling compensation factor, the harmonic mean of the sampling over a shell against its mean,
    in the form SCF* that stays above 0 where some points are not sampled at all: Baldwin & Lyumkis 2020 and 2021
    (Prog. Biophys. Mol. Biol. 150, 160-183 and 160, 53-65). With `q` the share of points not sampled, `m` the mean
    sampling and `SCF` taken over the points that are, `1 / SCF* = 1 / SCF + m q / (2 (1 - q))`.

    Parameters
    ----------
    rotations
        `(n, 3, 3)` RELION's A.
    shell
        Radius of the shell in Fourier pixels: box times pixel size over resolution.
    precision
        `(n,)` degrees, expected error of each rotation; nan: not known.
    """
    directions = np.asarray(rotations, dtype=np.float64)[:, 2]
    if directions.ndim != 2 or not len(directions):
        raise ValueError(f"rotations: shape {np.shape(rotations)}; expected (n, 3, 3), n > 0")
    sampling = _sampling(directions, shell)
    seen = sampling > 0
    missing, mean = 1 - seen.mean(), sampling.mean()
    of_seen = 1 / (np.mean(1 / sampling[seen]) * mean) if seen.any() else 0.0
    compensation = of_seen / (1 + of_seen * mean * missing / (2 * (1 - missing))) if seen.any() else 0.0
    x, y, z = directions.T
    cell = healpix.ang2pix(CELLS, np.arccos(z.clip(-1, 1)), np.arctan2(y, x) % (2 * np.pi))
    cells = healpix.nside2npix(CELLS)
    return OrientationDistribution(
        compensation=float(min(compensation, 1.0)),
        sampled=float(seen.mean()),
        shell=float(shell),
        counts=np.bincount(cell, minlength=cells),
        precision=_medians(cell, cells, precision),
    )


def _sampling(directions: NDArray[Any], shell: float) -> NDArray[np.float64]:
    """Count slices within half a Fourier pixel of each of the points of a half-sphere."""
    points = half_sphere(SPHERE_POINTS).astype(np.float32)
    sampling = np.zeros(SPHERE_POINTS)
    ends = range(DIRECTIONS_AT_A_TIME, len(directions), DIRECTIONS_AT_A_TIME)
    for part in np.split(directions.astype(np.float32), ends):
        sampling += np.count_nonzero(np.abs(points @ part.T) * shell < 0.5, axis=1)
    return sampling


def _medians(cell: NDArray[Any], cells: int, precision: ArrayLike | None) -> NDArray[np.float64]:
    """Compute the median of the known values in each cell, `(cells,)`."""
    medians = np.full(cells, np.nan)
    if precision is None:
        return medians
    values = np.asarray(precision, dtype=np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # A cell without a known value stays nan.
        for number in np.unique(cell):
            medians[number] = np.nanmedian(values[cell == number])
    return medians
