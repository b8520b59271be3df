"""Relations of particles that a file states: segments of one helical tube, copies of one particle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Relation:
    """One kind of relation between the particles of a file."""

    numbers: NDArray[np.int64]
    """`(n,)` number of the group that each particle belongs to; -1: none."""
    note: str
    """Remark for the user."""


def relation(keys: Sequence[NDArray[Any]], members: NDArray[np.bool_], whole: str, parts: str) -> Relation | None:
    """Relate the particles that have the same keys.

    Parameters
    ----------
    keys
        Columns `(n,)` that name a group together, such as micrograph and number of the helical tube.
    members
        `(n,)` whether a particle belongs to any group.
    whole, parts
        Words for several groups and for what belongs to a group, for the note.

    Returns
    -------
    Relation or None
        None: no two particles are related.
    """
    numbers = np.full(len(members), -1, dtype=np.int64)
    rows = np.flatnonzero(members)
    table = pd.DataFrame({place: np.asarray(key)[rows] for place, key in enumerate(keys)})
    numbers[rows] = table.groupby(list(table.columns), sort=False, dropna=False).ngroup()
    groups = int(numbers.max(initial=-1)) + 1
    if groups == len(rows):
        return None
    note = f"{len(rows):,} of {len(members):,} particles are {parts} of {groups:,} {whole}"
    return Relation(numbers=numbers, note=f"{note}; half sets that a run draws keep those of one together")


def table_of_relations(found: Sequence[Relation | None]) -> NDArray[np.int64] | None:
    """Collect the numbers of all relations as columns `(n, kinds)`; None where there are none."""
    columns = [one.numbers for one in found if one is not None]
    return np.stack(columns, axis=-1) if columns else None


def notes_of_relations(found: Sequence[Relation | None]) -> tuple[str, ...]:
    """Collect the remarks of all relations."""
    return tuple(one.note for one in found if one is not None)
