"""The columns of a particle STAR file: particles first, then their optics group, then a default."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from napari_cryospin.io.files import check_is_file
from napari_cryospin.io.star.text import Block, Share, column_floats, ignored, read_blocks, write_blocks

GROUP = "rlnOpticsGroup"
IMAGE = "rlnImageName"
STACK_FORMAT = ":mrcs"
"""What tells RELION that a file of another suffix is a stack."""


@dataclass(frozen=True, kw_only=True)
class StarTable:
    """Particles and optics groups of a STAR file."""

    path: Path
    blocks: dict[str, Block]
    """All blocks by name, in the file's order; that of the particles is empty here."""
    name: str
    """Name of the particles' block."""
    particles: pd.DataFrame
    age: str | None = None
    """RELION's version comment."""

    def __len__(self) -> int:
        return len(self.particles)

    def __getitem__(self, rows: NDArray[Any]) -> StarTable:
        """Select some of the particles; their index stays that of the file."""
        rows = np.asarray(rows)
        if rows.dtype.kind in "iu" and np.array_equal(rows, np.arange(len(self))):
            return self  # a million rows are not copied for nothing
        return dataclasses.replace(self, particles=self.particles.iloc[rows])

    @property
    def optics(self) -> pd.DataFrame | None:
        """Optics groups (RELION 3.1 and later)."""
        return as_table(self.blocks["optics"]) if "optics" in self.blocks else None

    @cached_property
    def optics_rows(self) -> NDArray[np.int32]:
        """Find the row of `optics` that each particle belongs to, `(n,)`."""
        optics = self.optics
        if optics is None or (GROUP not in self.particles and len(optics) == 1):
            return np.zeros(len(self), dtype=np.int32)
        if GROUP not in self.particles or GROUP not in optics:
            where = "particles" if GROUP not in self.particles else "optics"
            raise ValueError(f"{self.path}: data_{where} has no column {GROUP}; needed with several optics groups")
        groups = _numbers(optics[GROUP], self.path, "optics row").astype(int).tolist()
        if len(set(groups)) < len(groups):
            raise ValueError(f"{self.path}: {GROUP} in data_optics is {groups}; expected each number once")
        rows = pd.Index(groups).get_indexer(_numbers(self.particles[GROUP], self.path, "row").astype(int))
        if (rows < 0).any():
            first = int((rows < 0).argmax())
            found = self.particles[GROUP].iloc[first]
            raise ValueError(f"{self._row(first)}, {GROUP}: found {found}, expected one of data_optics: {groups}")
        return rows.astype(np.int32)

    def has(self, *fields: str) -> bool:
        """Tell whether the particles or the optics groups have all these columns."""
        optics = self.optics
        return all(field in self.particles or (optics is not None and field in optics) for field in fields)

    def numbers(self, field: str, default: float | None = None) -> NDArray[np.float64]:
        """Take the `(n,)` numbers of a column.

        Parameters
        ----------
        field
            Column, such as rlnDefocusU.
        default
            Value where neither table has the column; None: it must be there.

        Raises
        ------
        ValueError
            The column is missing, or a value is no finite number; names file, row and column.
        """
        if field in self.particles:
            return _numbers(self.particles[field], self.path, "row")
        if self.has(field):
            assert self.optics is not None
            return _numbers(self.optics[field], self.path, "optics row")[self.optics_rows]
        if default is None:
            raise ValueError(f"{self.path}: no column {field} (columns: {', '.join(self.particles.columns)})")
        return np.full(len(self), default)

    def codes(self, field: str) -> NDArray[np.int32] | None:
        """Return the numbers `(n,)`, from 0, of the different values of a column of the particles; None without it."""
        return pd.factorize(self.particles[field])[0].astype(np.int32) if field in self.particles else None

    def image_names(self) -> tuple[list[str], NDArray[np.int32], NDArray[np.int64]]:
        """List stacks as the file names them, and each particle's place in that list and 0-based slice, `(n,)`."""
        parts = pc.extract_regex(self._images(), r"^(?P<number>\d{1,18})@(?P<stack>.+)$")
        numbers, stacks = (pc.struct_field(parts, name) for name in ("number", "stack"))
        slices = np.asarray(pc.fill_null(numbers.cast(pa.int64()), 0)) - 1
        if (slices < 0).any():
            first = int((slices < 0).argmax())
            found = self.particles[IMAGE].iloc[first]
            raise ValueError(f"{self._row(first)}, {IMAGE}: found {found!r}, expected NUMBER@STACK, counted from 1")
        coded = pc.dictionary_encode(stacks)
        return coded.dictionary.to_pylist(), np.asarray(coded.indices, dtype=np.int32), slices

    def with_stacks(self, renamed: Mapping[str, str]) -> StarTable:
        """Put some stacks under another name."""
        names, stack_index, _ = self.image_names()
        new = pa.array([renamed.get(name, name) for name in names])
        numbers = pc.struct_field(pc.extract_regex(self._images(), "^(?P<number>[^@]*)@"), "number")
        images = pc.binary_join_element_wise(numbers, new.take(pa.array(stack_index)), "@")
        column = pd.Series(images, index=self.particles.index, dtype=pd.StringDtype("pyarrow"))
        return dataclasses.replace(self, particles=self.particles.assign(**{IMAGE: column}))

    def write(self, path: Path | str, progress: Share = ignored) -> None:
        """Write all blocks in the file's order; text stays as it is, floats get six decimals."""
        blocks = {name: self.particles if name == self.name else block for name, block in self.blocks.items()}
        write_blocks(path, blocks, self.age, progress)

    def _images(self) -> pa.Array:
        """Take the column rlnImageName, `(n,)`."""
        column = pa.array(self.particles[IMAGE].astype(pd.StringDtype("pyarrow")), pa.string())
        return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column

    def _row(self, position: int) -> str:
        """Name a particle's row for messages."""
        return f"{self.path}: row {int(self.particles.index[position]) + 1}"


def read_star(path: Path | str, progress: Share = ignored) -> StarTable:
    """Read a particle STAR file of any RELION version; `progress` is called with the share that is read.

    Raises
    ------
    FileNotFoundError, ValueError
        No such file, no particles in it, or a table that cannot be read.
    """
    path = check_is_file(path)
    try:
        blocks, age = read_blocks(path, progress)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a readable STAR file: {error}") from error
    name = next((name for name, block in blocks.items() if IMAGE in block), None)
    if name is None:
        found = ", ".join(f"data_{name}" for name in blocks) or "no block"
        raise ValueError(f"{path}: no particles: no table with a column {IMAGE} (found {found})")
    particles = as_table(blocks[name])
    if particles.empty:
        raise ValueError(f"{path}: data_{name} has no rows; expected at least one particle")
    others: dict[str, Block] = {other: {} if other == name else block for other, block in blocks.items()}
    return StarTable(path=path, blocks=others, name=name, particles=particles, age=age)


def as_table(block: Block) -> pd.DataFrame:
    """Make a block a table; single values are a table of one row."""
    return pd.DataFrame([block]) if isinstance(block, dict) else block


def _numbers(column: pd.Series, path: Path, row: str) -> NDArray[np.float64]:
    """Read a column of text as finite numbers."""
    values = column_floats(column)
    bad = ~np.isfinite(values)
    if bad.any():
        first = int(bad.argmax())
        where = f"{path}: {row} {int(column.index[first]) + 1}, {column.name}"
        raise ValueError(
            f"{where}: found {str(column.iloc[first])!r}, expected a number ({int(bad.sum())} such values)"
        )
    return values
