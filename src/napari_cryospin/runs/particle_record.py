"""What a run knows of its particles: one record, with the same names in memory, in files and in selections."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any, get_type_hints

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

PER_HEAD = -1
"""Length of an array's axis that has one place for each head."""


@dataclass(frozen=True)
class ArraySpec:
    """What an array of the record must be.

    Attributes
    ----------
    dtypes
        Types that are kept as they are; other values are converted to the first one.
    shape
        Of one particle's value; `PER_HEAD` stands for the number of heads.
    unit
        Of the values; empty: none.
    """

    dtypes: tuple[type[np.generic], ...]
    shape: tuple[int, ...] = ()
    unit: str = ""

    def convert(self, name: str, value: ArrayLike, count: int) -> NDArray[Any]:
        """Make a read-only array of the type and shape that are asked for.

        Raises
        ------
        ValueError
            The shape is another one.
        """
        given = np.asarray(value)
        array = read_only(given, given.dtype if given.dtype in self.dtypes else self.dtypes[0])
        sizes = (count, *self.shape)
        fits = array.ndim == len(sizes) and all(
            size in (PER_HEAD, found) for size, found in zip(sizes, array.shape, strict=True)
        )
        if not fits:
            expected = ", ".join("heads" if size == PER_HEAD else str(size) for size in sizes)
            raise ValueError(f"particle record: {name} has shape {array.shape}; expected ({expected})")
        return array


def read_only(values: ArrayLike, dtype: DTypeLike) -> NDArray[Any]:
    """Return a read-only array: the array itself where it is read-only already, a copy otherwise."""
    given = np.asarray(values)
    array = given.astype(dtype, copy=given.flags.writeable)
    array.flags.writeable = False
    return array


SINGLE_OR_DOUBLE = (np.float64, np.float32)
"""Types of poses: double precision in results, single precision while a run goes on."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ParticleRecord:
    """What a run knows of its particles. All arrays are read-only and in the same order.

    Attributes
    ----------
    rows : ndarray
        `(n,)` int64: rows of the input, from 0.
    half_sets : ndarray
        `(n,)` int8: half set, 1 or 2; 0: no half sets are reconstructed.
    rotations : ndarray
        `(n, 3, 3)` float32, float64 in results: the particles' poses. Two half sets have a frame each, but for results.
    shifts : ndarray
        `(n, 2)` float32, float64 in results: Angstrom.
    winner : ndarray
        `(n,)` int16: the candidate that won, 0..M-1 a head, M the posterior sample; -1: none yet.
    best_head : ndarray, optional
        `(n,)` int16: the head nearest to the image, from 0; -1: none yet.
    candidates : ndarray, optional
        `(n, M, 3, 3)` float16: rotations that the heads proposed, in half precision.
    candidate_shifts : ndarray, optional
        `(n, M, 2)` float32: Angstrom.
    entropy : ndarray, optional
        `(n,)` float32: nats, of the posterior over rotations; nan: not computed.
    error : ndarray, optional
        `(n,)` float32: squared error of the image at its pose, over that of the noise; nan: not looked at yet.
    scale : ndarray, optional
        `(n,)` float32: scale of the signal in the image; their mean is 1.
    noise_group : ndarray, optional
        `(n,)` int32: which noise spectrum of the maps' record is the particle's, from 0.
    precision : ndarray, optional
        `(n,)` float32: degrees, expected error of the rotation; nan: not known.
    max_probability : ndarray, optional
        `(n,)` float32: largest probability of a sample of the posterior.
    significant_samples : ndarray, optional
        `(n,)` int32: samples of the posterior that hold 99.9 % of it.
    log_likelihood : ndarray, optional
        `(n,)` float32: of the image, all poses summed over.

    Raises
    ------
    ValueError
        An array's shape is another one.

    Notes
    -----
    An optional array is None where the run does not know it, or where it was not read.
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
    scale: Annotated[NDArray[np.float32] | None, ArraySpec((np.float32,))] = None
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
        """Name -> array, of all that are known."""
        known = ((name, getattr(self, name)) for name in ARRAY_SPECS)
        return {name: value for name, value in known if value is not None}

    def position(self, row: int) -> int:
        """Find a row of the input among the particles.

        Raises
        ------
        ValueError
            The run does not use this row.
        """
        found = np.flatnonzero(self.rows == row)
        if not len(found):
            last = int(self.rows.max(initial=0))
            raise ValueError(f"particle {row}: the run does not use this row; expected one of 0 to {last} that it uses")
        return int(found[0])

    def select(self, positions: NDArray[Any]) -> ParticleRecord:
        """Take some of the particles, by position or by a mask."""
        return ParticleRecord(**{name: array[positions] for name, array in self.arrays.items()})

    def of_half(self, half: int) -> ParticleRecord:
        """Take the particles of half set 1 or 2; 0: all, where there are no half sets."""
        return self.select(np.flatnonzero(self.half_sets == half))

    def in_order_of_rows(self) -> ParticleRecord:
        """Put the particles in the order of the input."""
        return self.select(np.argsort(self.rows, kind="stable"))

    def head_share(self, heads: int) -> NDArray[np.float32]:
        """Count who won; see the function `head_share`.

        Raises
        ------
        ValueError
            The record does not know the best heads.
        """
        if self.best_head is None:
            raise ValueError("particle record: best_head is not known; expected it for the shares of the heads")
        return head_share(self.best_head, self.winner, heads)


ARRAY_SPECS: dict[str, ArraySpec] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(ParticleRecord, include_extras=True).items()
}
"""Name of each array of the record -> what it must be."""
REQUIRED_ARRAYS = tuple(one.name for one in dataclasses.fields(ParticleRecord) if one.default is dataclasses.MISSING)
"""Names of the arrays that every record has."""
OPTIONAL_ARRAYS = tuple(name for name in ARRAY_SPECS if name not in REQUIRED_ARRAYS)
"""Names of the arrays that a record may lack."""


def head_share(best_head: ArrayLike, winner: ArrayLike, heads: int) -> NDArray[np.float32]:
    """Compute the share of the particles that each head won, and the posterior sample.

    Parameters
    ----------
    best_head
        `(n,)` head nearest to each image, from 0; -1: none yet.
    winner
        `(n,)` candidate that won; `heads`: the posterior sample.
    heads
        Number of heads, M.

    Returns
    -------
    ndarray
        `(M + 1,)` from 0 to 1. The first M, of the particles that have a best head, sum to 1. The last is the share of
        all particles for which the posterior sample beat every head.
    """
    best = np.asarray(best_head, np.int64)
    seen = best[best >= 0]
    share = np.bincount(seen, minlength=heads)[:heads] / max(1, len(seen))
    sampled = (np.asarray(winner) == heads).mean() if np.size(winner) else 0.0
    return np.append(share, sampled).astype(np.float32)
