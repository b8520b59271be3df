"""The record of the particles of a run, whose arrays have the same names in memory, in files and in selections."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any, get_type_hints

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

PER_HEAD, PER_CLASS = -1, -2
"""Stand in a shape for the number of heads, and of classes."""
WORDS = {PER_HEAD: "heads", PER_CLASS: "classes"}
"""What stands for a number in a shape -> its word in messages."""


@dataclass(frozen=True)
class ArraySpec:
    """Type, shape and unit of an array of the record.

    Attributes
    ----------
    dtypes
        Types that are kept as they are; values of other types are converted to the first one.
    shape
        Shape of one particle's value; `PER_HEAD` stands for the number of heads, `PER_CLASS` for that of classes.
    unit
        Unit of the values; empty: they have none.
    """

    dtypes: tuple[type[np.generic], ...]
    shape: tuple[int, ...] = ()
    unit: str = ""

    def convert(self, name: str, value: ArrayLike, count: int) -> NDArray[Any]:
        """Return the values as a read-only array of the required type, and check its shape.

        Parameters
        ----------
        name
            Name of the array, for messages.
        value
            Values for all particles.
        count
            Number of particles.

        Raises
        ------
        ValueError
            The shape is not the required one.
        """
        given = np.asarray(value)
        array = read_only(given, given.dtype if given.dtype in self.dtypes else self.dtypes[0])
        sizes = (count, *self.shape)
        fits = array.ndim == len(sizes) and all(
            size in WORDS or size == found for size, found in zip(sizes, array.shape, strict=True)
        )
        if not fits:
            expected = ", ".join(WORDS.get(size, str(size)) for size in sizes)
            raise ValueError(f"particle record: {name} has shape {array.shape}; expected ({expected})")
        return array


def read_only(values: ArrayLike, dtype: DTypeLike) -> NDArray[Any]:
    """Return a read-only array of a type: the array itself if it is one already, a copy otherwise."""
    given = np.asarray(values)
    array = given.astype(dtype, copy=given.flags.writeable)
    array.flags.writeable = False
    return array


SINGLE_OR_DOUBLE = (np.float64, np.float32)
"""Types of poses: double precision in results, and single precision in the records of a run that goes on."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ParticleRecord:
    """The record of the particles of a run. All arrays are read-only, and have the particles in the same order.

    Attributes
    ----------
    rows : ndarray
        `(n,)` int64: rows of the input, from 0.
    half_sets : ndarray
        `(n,)` int8: half set, 1 or 2; 0: no half sets are reconstructed.
    rotations : ndarray
        `(n, 3, 3)` float32, float64 in results: rotations of the particles' poses. The two half sets have a frame each,
        except in results, where all poses are in one frame.
    shifts : ndarray
        `(n, 2)` float32, float64 in results: shifts of the particles' poses, Angstrom.
    winner : ndarray
        `(n,)` int16: the candidate that won, 0..M-1 of a head, M the posterior sample; -1: none yet.
    best_head : ndarray, optional
        `(n,)` int16: the head whose candidate explains the image best, from 0; -1: none yet.
    candidates : ndarray, optional
        `(n, M, 3, 3)` float16: rotations of the heads' candidates, in half precision.
    candidate_shifts : ndarray, optional
        `(n, M, 2)` float32: shifts of the heads' candidates, Angstrom.
    entropy : ndarray, optional
        `(n,)` float32: entropy of the posterior over rotations, nats; nan: not computed.
    error : ndarray, optional
        `(n,)` float32: squared error of the image at its pose, over that of the noise; nan: not computed yet.
    belongs : ndarray, optional
        `(n,)` float32: probability that the image shows the particle, and not something else.
    scale : ndarray, optional
        `(n,)` float32: scale of the signal in the image; their mean is 1.
    class_number : ndarray, optional
        `(n,)` int16: class that the particle is in, from 1; None: there is one class.
    class_probability : ndarray, optional
        `(n, K)` float32: probability of each class. The two half sets number their classes independently, except in
        results.
    noise_group : ndarray, optional
        `(n,)` int32: which noise spectrum of the maps' record is the particle's, from 0.
    precision : ndarray, optional
        `(n,)` float32: expected error of the rotation, degrees; nan: not known.
    max_probability : ndarray, optional
        `(n,)` float32: largest probability of a sample of the posterior.
    significant_samples : ndarray, optional
        `(n,)` int32: number of samples of the posterior that hold 99.9 % of it.
    log_likelihood : ndarray, optional
        `(n,)` float32: log-likelihood of the image, with all poses summed over.

    Raises
    ------
    ValueError
        The shape of an array is not the required one.

    Notes
    -----
    An optional array is None if the run does not know it, or if it was not read.
    """

    rows: Annotated[NDArray[np.int64], ArraySpec((np.int64,))]
    half_sets: Annotated[NDArray[np.int8], ArraySpec((np.int8,))]
    rotations: Annotated[NDArray[np.floating], ArraySpec(SINGLE_OR_DOUBLE, (3, 3))]
    shifts: Annotated[NDArray[np.floating], ArraySpec(SINGLE_OR_DOUBLE, (2,), "A")]
    winner: Annotated[NDArray[np.int16], ArraySpec((np.int16,))]
    best_head: Annotated[NDArray[np.int16] | None, ArraySpec((np.int16,))] = None
    candidates: Annotated[NDArray[np.float16] | None, ArraySpec((np.float16,), (PER_HEAD, 3, 3))] = None
    candidate_shifts: Annotated[NDArray[np.float32] | None, ArraySpec((np.float32,), (PER_HEAD, 2), "A")] = None
    entropy: Annotated[NDArray[np.float32] | None, ArraySpec((np.float32,), unit="nats")] = None
    error: Annotated[NDArray[np.float32] | None, ArraySpec((np.float32,))] = None
    belongs: Annotated[NDArray[np.float32] | None, ArraySpec((np.float32,))] = None
    scale: Annotated[NDArray[np.float32] | None, ArraySpec((np.float32,))] = None
    class_number: Annotated[NDArray[np.int16] | None, ArraySpec((np.int16,))] = None
    class_probability: Annotated[NDArray[np.float32] | None, ArraySpec((np.float32,), (PER_CLASS,))] = None
    noise_group: Annotated[NDArray[np.int32] | None, ArraySpec((np.int32,))] = None
    precision: Annotated[NDArray[np.float32] | None, ArraySpec((np.float32,), unit="degrees")] = None
    max_probability: Annotated[NDArray[np.float32] | None, ArraySpec((np.float32,))] = None
    significant_samples: Annotated[NDArray[np.int32] | None, ArraySpec((np.int32,))] = None
    log_likelihood: Annotated[NDArray[np.float32] | None, ArraySpec((np.float32,))] = None

    def __post_init__(self) -> None:
        count = len(np.asarray(self.rows))
        for name, spec in ARRAY_SPECS.items():
            value = getattr(self, name)
            if value is not None or name in REQUIRED_ARRAYS:
                object.__setattr__(self, name, spec.convert(name, value, count))

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"ParticleRecord of {len(self)} particles: {', '.join(self.arrays)}"

    @property
    def has_halves(self) -> bool:
        """Whether the particles belong to two half sets."""
        return bool(self.half_sets.any())

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays that are known: name -> array."""
        known = ((name, getattr(self, name)) for name in ARRAY_SPECS)
        return {name: value for name, value in known if value is not None}

    def position(self, row: int) -> int:
        """Return the position in the record of the particle at a row of the input.

        Raises
        ------
        ValueError
            The run does not use this row.
        """
        found = np.flatnonzero(self.rows == row)
        if not len(found):
            last = int(self.rows.max(initial=0)) + 1
            expected = f"expected one of 1 to {last} that it uses, counted from 1"
            raise ValueError(f"particle {row + 1}: the run does not use this row; {expected}")
        return int(found[0])

    def select(self, positions: NDArray[Any]) -> ParticleRecord:
        """Return the record of some of the particles, given by their positions or by a mask."""
        return ParticleRecord(**{name: array[positions] for name, array in self.arrays.items()})

    def of_half(self, half: int) -> ParticleRecord:
        """Return the record of the particles of half set 1 or 2; 0 returns all of them if there are no half sets."""
        return self.select(np.flatnonzero(self.half_sets == half))

    def of_class(self, number: int) -> ParticleRecord:
        """Return the record of the particles of a class, from 1; all of them if there is only one class.

        Raises
        ------
        ValueError
            There is no such class.
        """
        count = 1 if self.class_probability is None else self.class_probability.shape[1]
        if not 1 <= number <= count:
            raise ValueError(f"class {number}: the run has {_classes(count)}; expected 1 to {count}")
        return self if self.class_number is None else self.select(np.flatnonzero(self.class_number == number))

    def in_order_of_rows(self) -> ParticleRecord:
        """Return the record with the particles in the order of the input."""
        return self.select(np.argsort(self.rows, kind="stable"))

    def head_share(self, heads: int) -> NDArray[np.float32]:
        """Return the shares that the function `head_share` computes.

        Raises
        ------
        ValueError
            The record has no best heads.
        """
        if self.best_head is None:
            raise ValueError("particle record: best_head is not known; expected it for the shares of the heads")
        return head_share(self.best_head, self.winner, heads)


ARRAY_SPECS: dict[str, ArraySpec] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(ParticleRecord, include_extras=True).items()
}
"""Name of an array of the record -> its type, shape and unit."""
REQUIRED_ARRAYS = tuple(one.name for one in dataclasses.fields(ParticleRecord) if one.default is dataclasses.MISSING)
"""Names of the arrays that every record has."""
OPTIONAL_ARRAYS = tuple(name for name in ARRAY_SPECS if name not in REQUIRED_ARRAYS)
"""Names of the arrays that a record may lack."""


def _classes(count: int) -> str:
    return "one class" if count == 1 else f"{count} classes"


def head_share(best_head: ArrayLike, winner: ArrayLike, heads: int) -> NDArray[np.float32]:
    """Compute the share of the particles for which each head is the best one, and that of the posterior sample.

    Parameters
    ----------
    best_head
        `(n,)` head whose candidate explains each image best, from 0; -1: none yet.
    winner
        `(n,)` candidate that won; `heads` stands for the posterior sample.
    heads
        Number of heads, M.

    Returns
    -------
    ndarray
        `(M + 1,)` float32 shares, 0 to 1. The first M are shares of the particles that have a best head, and sum to 1.
        The last is the share of all particles for which the posterior sample won against every head.
    """
    best = np.asarray(best_head, np.int64)
    seen = best[best >= 0]
    share = np.bincount(seen, minlength=heads)[:heads] / max(1, len(seen))
    sampled = (np.asarray(winner) == heads).mean() if np.size(winner) else 0.0
    return np.append(share, sampled).astype(np.float32)
