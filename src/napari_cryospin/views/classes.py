"""The classes of a run at one moment: shares and maps, and the class probabilities of a particle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.runs.epoch_record import EpochRecord
from napari_cryospin.views.run_map import RunMap


@dataclass(frozen=True, kw_only=True, eq=False)
class Classes:
    """The classes of a run.

    Attributes
    ----------
    epoch : int
        Number of epochs that were finished.
    shares : ndarray
        `(K,)` mean probability of each class, 0 to 1; they sum to 1.
    rows : tuple of ndarray
        Rows of the input, from 0, of the particles in each class.
    maps : tuple of RunMap
        Map of each class; with half sets, that of the first half.
    """

    epoch: int
    shares: NDArray[np.float64]
    rows: tuple[NDArray[np.int64], ...]
    maps: tuple[RunMap, ...]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of particles in each class, `(K,)`."""
        return np.array([len(rows) for rows in self.rows])


def classes_of(record: EpochRecord, half: int | None = None) -> Classes:
    """Return the classes of a run's record; with one class, all particles are in it.

    Parameters
    ----------
    record
        Record of the run at one moment.
    half
        With half sets, 1 or 2: the half whose maps and particles are taken, because each numbers its classes by
        itself. Default: the maps of the first half, and all particles.
    """
    particles = record.particles if half is None else record.particles.of_half(half)
    count, place = record.classes, (half or 1) - 1
    probability = particles.class_probability
    numbers = np.ones(len(particles), np.int64) if particles.class_number is None else particles.class_number
    shares = np.ones(1) if probability is None else probability.astype(np.float64).mean(0)
    maps = [record.maps_of_class(number)[place] for number in range(1, count + 1)]
    return Classes(
        epoch=record.epoch,
        shares=shares / shares.sum(),
        rows=tuple(particles.rows[numbers == number] for number in range(1, count + 1)),
        maps=tuple(RunMap(density, record.pixel_size, record.epoch) for density in maps),
    )


def class_probabilities(record: EpochRecord, particle: int) -> NDArray[np.float64]:
    """Return the probability of each class of the particle at a row of the input, `(K,)`.

    Raises
    ------
    ValueError
        The run does not use this row.
    """
    position = record.particles.position(particle)
    probability = record.particles.class_probability
    return np.ones(1) if probability is None else probability[position].astype(np.float64)
