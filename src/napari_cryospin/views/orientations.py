"""The directions from which a run's particles are seen, and how well they sample Fourier space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.evaluation.head_maps import direction_counts, grid_for
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.particle_record import ParticleRecord
from napari_cryospin.views.moment import Moment
from napari_cryospin.views.sphere_pictures import prepare_sphere_map

JUDGED_PARTICLES = 20_000
"""Largest number of particles, drawn at random, from which the sampling of Fourier space is computed; chosen by hand,
to save time."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Orientations:
    """View directions of a run's particles at one moment.

    Attributes
    ----------
    epoch : int
        Number of epochs that were finished.
    rows : ndarray
        `(n,)` rows of the input.
    directions : ndarray
        `(n, 3)` unit view directions in the map's frame.
    counts : ndarray
        `(cells,)` particles in each cell of a HEALPix grid, ring order.
    compensation : float
        SCF*, 0 to 1: this share of the particles would do as well, were they evenly spread.
    sampled : float
        0 to 1: share of the shell's points within half a Fourier pixel of some particle's slice.
    angstrom : float
        Resolution of that shell.
    """

    epoch: int
    rows: NDArray[np.int64]
    directions: NDArray[np.floating]
    counts: NDArray[np.int64]
    compensation: float
    sampled: float
    angstrom: float


def direction_density(particles: ParticleRecord) -> NDArray[np.float64]:
    """Compute how many particles are seen from each cell of the sphere, over an even spread; `(cells,)`, ring order.

    With half sets, those of the first half are counted, because each half has a frame of its own.
    """
    members = particles.of_half(int(particles.has_halves))
    counts = direction_counts(members.rotations, grid_for(len(members)))
    density: NDArray[np.float64] = counts * (len(counts) / max(1, counts.sum()))
    return density


def orientations_at(
    folder: RunFolder, moment: Moment, half: int | None = None, resolution: float | None = None
) -> Orientations:
    """Count view directions, and compute how well they sample Fourier space.

    This takes a while, so that a window calls it in a worker's thread.

    Parameters
    ----------
    folder, moment
        The run, and the moment.
    half
        Half set, 1 or 2. Default: the first, if there are half sets.
    resolution
        Angstrom: the shell of Fourier space at which the sampling is computed. Default: half of Nyquist.

    Raises
    ------
    FileNotFoundError, ValueError
        The run has no history of the epoch.
    """
    # Imported here because healpy takes a second to import, for which no window should wait.
    from napari_cryospin.evaluation.orientation_distribution import orientation_distribution

    snapshot, file = moment.snapshot, folder.history(moment.epoch)
    record = file.particles() if snapshot is None else snapshot.particles
    box = len(file.maps()[0] if snapshot is None else snapshot.map)
    pixel_size = file.pixel_size if snapshot is None else snapshot.pixel_size
    members = record.of_half(int(record.has_halves) if half is None else half)
    nside = grid_for(len(members))
    prepare_sphere_map(nside)
    shell = min(box / 2, box * pixel_size / resolution) if resolution else box / 4
    some = np.random.default_rng(0).permutation(len(members))[:JUDGED_PARTICLES]
    judged = orientation_distribution(members.rotations[some], shell)
    return Orientations(
        epoch=moment.epoch,
        rows=members.rows,
        directions=np.ascontiguousarray(members.rotations[:, 2]),
        counts=direction_counts(members.rotations, nside),
        compensation=judged.compensation,
        sampled=judged.sampled,
        angstrom=box * pixel_size / shell,
    )
