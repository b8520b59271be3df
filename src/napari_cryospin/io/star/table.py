"""Tables of a particle STAR file. A column is looked for in the particles first, and then in their optics groups."""

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
from napari_cryospin.io.foreign import refuse_foreign
from napari_cryospin.io.star.kinds import kind_without_images
from napari_cryospin.io.star.text import (
    JOIN,
    Block,
    Share,
    column_floats,
    count_rows,
    ignored,
    read_blocks,
    write_blocks,
)
from napari_cryospin.listing import first_of, shortened

GROUP = "rlnOpticsGroup"
IMAGE = "rlnImageName"
OPTICS = "optics"
"""Name of the block of optics groups."""
STACK_FORMAT = ":mrcs"
"""Ending of a stack's name, by which RELION reads a file of another suffix than .mrcs as a stack."""


@dataclass(frozen=True, kw_only=True)
class StarTable:
    """Particles and optics groups of a STAR file."""

    path: Path
    blocks: dict[str, Block]
    """All blocks by name, in the order of the file; the block of the particles is empty here."""
    name: str
    """Name of the particles' block."""
    particles: pd.DataFrame
    age: str | None = None
    """Version in RELION's version comment."""

    def __len__(self) -> int:
        return len(self.particles)

    def __getitem__(self, rows: NDArray[Any]) -> StarTable:
        """Select some of the particles; the index of the table stays that of the file."""
        rows = np.asarray(rows)
        if rows.dtype.kind in "iu" and np.array_equal(rows, np.arange(len(self))):
            return self  # A table may have a million rows, so it is not copied without need.
        return dataclasses.replace(self, particles=self.particles.iloc[rows])

    @property
    def optics(self) -> pd.DataFrame | None:
        """Optics groups (RELION 3.1 and later)."""
        return as_table(self.blocks[OPTICS]) if OPTICS in self.blocks else None

    @cached_property
    def optics_rows(self) -> NDArray[np.int32]:
        """The row of `optics` that each particle belongs to, `(n,)`."""
        optics = self.optics
        if optics is None or (GROUP not in self.particles and len(optics) == 1):
            return np.zeros(len(self), dtype=np.int32)
        if GROUP not in self.particles or GROUP not in optics:
            where = "particles" if GROUP not in self.particles else "optics"
            raise ValueError(f"{self.path}: data_{where} has no column {GROUP}; needed with several optics groups")
        groups = _numbers(optics[GROUP], self.path, "optics row").astype(int).tolist()
        if len(set(groups)) < len(groups):
            twice = next(group for group in groups if groups.count(group) > 1)
            raise ValueError(f"{self.path}: {GROUP} in data_optics: found {twice} more than once, expected it once")
        rows = pd.Index(groups).get_indexer(_numbers(self.particles[GROUP], self.path, "row").astype(int))
        if (rows < 0).any():
            first = int((rows < 0).argmax())
            found = shortened(self.particles[GROUP].iloc[first])
            expected = f"one of data_optics: {first_of(groups)}"
            raise ValueError(f"{self._row(first)}, {GROUP}: found {found}, expected {expected}")
        return rows.astype(np.int32)

    def has(self, *fields: str) -> bool:
        """Return whether each of these columns is in the table of the particles or in that of the optics groups."""
        optics = self.optics
        return all(field in self.particles or (optics is not None and field in optics) for field in fields)

    def distinct(self, field: str) -> list[str]:
        """List the different texts of a column, of the particles' and of the optics groups' table."""
        tables = [table for table in (self.particles, self.optics) if table is not None and field in table]
        return list(dict.fromkeys(str(text) for table in tables for text in table[field].unique()))

    def numbers(self, field: str, default: float | None = None) -> NDArray[np.float64]:
        """Return the numbers of a column, `(n,)` float64, one for each particle.

        Parameters
        ----------
        field
            Name of the column, such as rlnDefocusU.
        default
            Value if neither table has the column. None: one of them must have it.

        Raises
        ------
        ValueError
            The column is missing, or a value is not a finite number; the message names file, row and column.
        """
        if field in self.particles:
            return _numbers(self.particles[field], self.path, "row")
        if self.has(field):
            assert self.optics is not None
            return _numbers(self.optics[field], self.path, "optics row")[self.optics_rows]
        if default is None:
            raise ValueError(f"{self.path}: no column {field} (columns: {first_of(self.particles.columns)})")
        return np.full(len(self), default)

    def image_names(self) -> tuple[list[str], NDArray[np.int32], NDArray[np.int64]]:
        """Return the names of the stacks, and for each particle the position of its stack and of its image in that.

        Returns
        -------
        tuple
            Names of the stacks in the file, `(n,)` positions in that list, and `(n,)` positions in the stack, from 0.

        Raises
        ------
        ValueError
            A value of rlnImageName does not have the form NUMBER@STACK.
        """
        parts = pc.extract_regex(self._images(), r"^(?P<number>\d{1,18})@(?P<stack>.+)$")
        numbers, stacks = (pc.struct_field(parts, name) for name in ("number", "stack"))
        slices = np.asarray(pc.fill_null(numbers.cast(pa.int64()), 0)) - 1
        if (slices < 0).any():
            first = int((slices < 0).argmax())
            found = shortened(self.particles[IMAGE].iloc[first])
            raise ValueError(f"{self._row(first)}, {IMAGE}: found {found!r}, expected NUMBER@STACK, counted from 1")
        coded = pc.dictionary_encode(stacks)
        return coded.dictionary.to_pylist(), np.asarray(coded.indices, dtype=np.int32), slices

    def with_stacks(self, renamed: Mapping[str, str]) -> StarTable:
        """Return the table with new names for some stacks; `renamed` maps old names to new ones."""
        names, stack_index, _ = self.image_names()
        new = pa.array([renamed.get(name, name) for name in names])
        numbers = pc.struct_field(pc.extract_regex(self._images(), "^(?P<number>[^@]*)@"), "number")
        images = pc.binary_join_element_wise(numbers, new.take(pa.array(stack_index)), "@")
        column = pd.Series(images, index=self.particles.index, dtype=pd.StringDtype("pyarrow"))
        return dataclasses.replace(self, particles=self.particles.assign(**{IMAGE: column}))

    def write(self, path: Path | str, progress: Share = ignored) -> None:
        """Write all blocks in the order of the file; text stays as it is, floats get six decimals."""
        blocks = {name: self.particles if name == self.name else block for name, block in self.blocks.items()}
        write_blocks(path, blocks, self.age, progress)

    def _images(self) -> pa.Array:
        """Return the column rlnImageName, `(n,)`."""
        column = pa.array(self.particles[IMAGE].astype(pd.StringDtype("pyarrow")), pa.string())
        return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column

    def _row(self, position: int) -> str:
        """Return the name of a particle's row in the file, for messages."""
        return f"{self.path}: row {int(self.particles.index[position]) + 1}"


def read_star(path: Path | str, progress: Share = ignored) -> StarTable:
    """Read a particle STAR file of any RELION version.

    Parameters
    ----------
    path
        STAR file.
    progress
        Called now and then with the share of the file that has been read, 0 to 1.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such file, it has no particles, or a table in it cannot be read.
    """
    path = check_is_file(path)
    refuse_foreign(path, "a STAR file")
    try:
        blocks, age = read_blocks(path, progress)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a readable STAR file: {error}") from error
    blocks = {OPTICS if name.lower() == OPTICS else name: block for name, block in blocks.items()}
    name = _block_with_images(path, blocks)
    particles = as_table(blocks[name])
    if particles.empty:
        raise ValueError(f"{path}: data_{name} has no rows; expected at least one particle")
    others: dict[str, Block] = {other: {} if other == name else block for other, block in blocks.items()}
    return StarTable(path=path, blocks=others, name=name, particles=particles, age=age)


def _block_with_images(path: Path, blocks: Mapping[str, Block]) -> str:
    """Find the block that holds the particles: the one with a column rlnImageName."""
    names = [name for name, block in blocks.items() if IMAGE in block]
    if not names:
        found = first_of([f"data_{name}" for name in blocks]) or "no block"
        kind = kind_without_images(blocks)
        what = f": these are {kind}" if kind else ""
        raise ValueError(f"{path}: no particles: no table with a column {IMAGE} (found {found}){what}")
    if len(names) > 1:
        found = first_of([f"data_{name} of {count_rows(blocks[name]):,} rows" for name in names])
        raise ValueError(f"{path}: found {len(names)} tables with a column {IMAGE} ({found}), expected one. {JOIN}")
    return names[0]


def as_table(block: Block) -> pd.DataFrame:
    """Return a block as a table; single values become a table of one row."""
    return pd.DataFrame([block]) if isinstance(block, dict) else block


def _numbers(column: pd.Series, path: Path, row: str) -> NDArray[np.float64]:
    """Return a column of text as finite numbers; raise an error that names the first value that is none."""
    values = column_floats(column)
    bad = ~np.isfinite(values)
    if bad.any():
        first = int(bad.argmax())
        where = f"{path}: {row} {int(column.index[first]) + 1}, {column.name}"
        raise ValueError(
            f"{where}: found {shortened(column.iloc[first])!r}, expected a number ({int(bad.sum())} such values)"
        )
    return values
