"""What a run found of its images beside their poses: which of them show the particle, and how strong its signal is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.particles import Particles
from napari_cryospin.runs.particle_record import ParticleRecord

NO_BELONGING = "this run did not estimate which images show the particle, or has not done so yet"
NO_SCALES = "this run did not estimate the scale of the signal"
BINS = 50
"""Number of bins of a histogram."""


@dataclass(frozen=True, eq=False)
class Histogram:
    """Number of particles by a figure: `(b,)` counts, and the `(b + 1,)` edges of the bins."""

    counts: NDArray[np.int64]
    edges: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Belonging:
    """The probability of each image that it shows the particle (`engine.belonging`).

    Attributes
    ----------
    rows : ndarray
        `(n,)` rows of the input, from 0.
    values : ndarray
        `(n,)` probabilities, 0 to 1.
    """

    rows: NDArray[np.int64]
    values: NDArray[np.floating]

    @property
    def share(self) -> float:
        """Share of the images that show the particle, 0 to 1."""
        return float(self.values.mean())

    @property
    def histogram(self) -> Histogram:
        """Histogram from 0 to 1."""
        return Histogram(*np.histogram(self.values.astype(np.float64), BINS, range=(0, 1)))

    def at_or_above(self, threshold: float) -> int:
        """Count the particles whose probability is not below a threshold."""
        return int((self.values.astype(np.float64) >= threshold).sum())  # Selections compare doubles, too.

    def worst(self, count: int | None = None) -> NDArray[np.int64]:
        """Return the rows of the particles with the lowest probabilities, the lowest first; all of them by default."""
        return self.rows[np.argsort(self.values, kind="stable")[:count]]


@dataclass(frozen=True, kw_only=True, eq=False)
class SignalScales:
    """The scale of the signal in each image, relative to the mean of all (`engine.signal_scales`).

    Attributes
    ----------
    rows : ndarray
        `(n,)` rows of the input, from 0.
    values : ndarray
        `(n,)` scales; their mean is 1.
    kind : str
        What the groups are: micrograph or optics group; empty: the input tells no groups apart.
    groups : tuple of str
        Names of the groups that have particles, in the order of the input.
    means, counts : ndarray
        `(g,)` mean scale and number of particles of each group.
    """

    rows: NDArray[np.int64]
    values: NDArray[np.floating]
    kind: str
    groups: tuple[str, ...]
    means: NDArray[np.float64]
    counts: NDArray[np.int64]

    @property
    def histogram(self) -> Histogram:
        """Histogram over the range of the scales."""
        return Histogram(*np.histogram(self.values.astype(np.float64), BINS))


def belonging_of(record: ParticleRecord) -> Belonging:
    """Return the probabilities of belonging in a record.

    Raises
    ------
    ValueError
        The run did not estimate them.
    """
    if record.belongs is None:
        raise ValueError(NO_BELONGING)
    return Belonging(rows=record.rows, values=record.belongs)


def scales_of(record: ParticleRecord, read_input: Callable[[], Particles]) -> SignalScales:
    """Return the scales in a record, with their means by micrograph or, where that is not known, by optics group.

    Parameters
    ----------
    record
        Record of the run's particles.
    read_input
        Returns all particles of the run's input; not called where there are no scales.

    Raises
    ------
    ValueError
        The run did not estimate scales.
    """
    if record.scale is None:
        raise ValueError(NO_SCALES)
    kind, names, group = _groups(read_input().select(record.rows))
    counts = np.bincount(group, minlength=len(names))
    known = np.flatnonzero(counts) if kind else np.zeros(0, np.int64)
    sums = np.bincount(group, record.scale, minlength=len(names))
    return SignalScales(
        rows=record.rows,
        values=record.scale,
        kind=kind,
        groups=tuple(names[one] for one in known),
        means=sums[known] / counts[known],
        counts=counts[known],
    )


def _groups(particles: Particles) -> tuple[str, tuple[str, ...], NDArray[np.integer]]:
    """Return what the groups of particles are, their names, and the position `(n,)` of each particle's group."""
    if particles.picks is not None:
        return "micrograph", particles.picks.micrographs, particles.picks.micrograph_index
    number = particles.optics_groups
    names = tuple(f"optics group {one + 1}" for one in range(int(number.max()) + 1))
    return "optics group" if len(np.unique(number)) > 1 else "", names, number
