"""The columns of a particle STAR file: particles first, then their optics group, then a default.

Every value is kept as the text that was read, so that a file written again differs in nothing but what was set.
"""

from __future__ import annotations

import dataclasses
import linecache
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import starfile
from numpy.typing import NDArray

from napari_cryospin.io.files import atomic_write, check_is_file

GROUP = "rlnOpticsGroup"
IMAGE = "rlnImageName"
STACK_FORMAT = ":mrcs"
"""What tells RELION that a file of another suffix is a stack."""


@dataclass(frozen=True, kw_only=True)
class StarTable:
    """Particles and optics groups of a STAR file."""

    path: Path
    blocks: dict[str, Any]
    """All blocks by name, in the file's order, but the particles; tables of text."""
    name: str
    """Name of the particles' block."""
    particles: pd.DataFrame

    def __len__(self) -> int:
        return len(self.particles)

    def __getitem__(self, rows: NDArray[Any]) -> StarTable:
        """The table with some of the particles; their index stays that of the file."""
        return dataclasses.replace(self, particles=self.particles.iloc[rows])

    @property
    def optics(self) -> pd.DataFrame | None:
        """Optics groups (RELION 3.1 and later)."""
        block = self.blocks.get("optics")
        return pd.DataFrame([block]) if isinstance(block, dict) else block

    @cached_property
    def optics_rows(self) -> NDArray[np.int32]:
        """`(n,)` row of `optics` that each particle belongs to."""
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
        """Whether the particles or the optics groups have all these columns."""
        optics = self.optics
        return all(field in self.particles or (optics is not None and field in optics) for field in fields)

    def numbers(self, field: str, default: float | None = None) -> NDArray[np.float64]:
        """`(n,)` numbers of a column.

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

    def image_names(self) -> tuple[list[str], NDArray[np.int32], NDArray[np.int64]]:
        """Stacks as named in the file, and each particle's position in that list `(n,)` and 0-based slice `(n,)`."""
        # A text without "@" gives an empty name, one without a number an empty or odd index.
        parts = self.particles[IMAGE].astype(str).str.partition("@")
        index = pd.to_numeric(parts[0], errors="coerce").to_numpy(dtype=np.float64)
        bad = ~(index >= 1) | (index % 1 != 0) | (parts[2] == "").to_numpy(dtype=bool)
        if bad.any():
            first = int(bad.argmax())
            found = self.particles[IMAGE].iloc[first]
            raise ValueError(f"{self._row(first)}, {IMAGE}: found {found!r}, expected NUMBER@STACK, counted from 1")
        stack_index, names = pd.factorize(parts[2])
        return [str(name) for name in names], stack_index.astype(np.int32), index.astype(np.int64) - 1

    def write(self, path: Path | str) -> None:
        """Write all blocks in the file's order; tables of text stay as they are, floats get six decimals."""
        blocks = {name: self.particles if name == self.name else block for name, block in self.blocks.items()}
        with atomic_write(path) as part:
            starfile.write(blocks, part, na_rep="nan")

    def _row(self, position: int) -> str:
        """Name of a particle's row in messages."""
        return f"{self.path}: row {int(self.particles.index[position]) + 1}"


def read_star(path: Path | str) -> StarTable:
    """Read a particle STAR file of any RELION version.

    Raises
    ------
    FileNotFoundError, ValueError
        No such file, no particles in it, or a table that cannot be read.
    """
    path = check_is_file(path)
    # starfile reads through linecache, which would give an older state of the file after a failure.
    linecache.checkcache(str(path))
    try:
        with path.open(encoding="utf-8") as lines:
            columns = {line.split()[0][1:] for line in map(str.lstrip, lines) if line.startswith("_")}
        blocks = starfile.read(path, always_dict=True, parse_as_string=list(columns))
    except (ValueError, TypeError) as error:  # starfile ends in a TypeError at a block without a table
        raise ValueError(f"{path}: not a readable STAR file: {error}") from error
    name = next((name for name, block in blocks.items() if _is_particles(block)), None)
    if name is None:
        found = ", ".join(f"data_{name}" for name in blocks) or "no block"
        raise ValueError(f"{path}: no particles: no table with a column {IMAGE} (found {found})")
    particles = blocks[name]
    if isinstance(particles, dict):
        particles = pd.DataFrame([particles])
    if particles.empty:
        raise ValueError(f"{path}: data_{name} has no rows; expected at least one particle")
    return StarTable(path=path, blocks=blocks, name=name, particles=particles.reset_index(drop=True))


def _is_particles(block: Any) -> bool:
    return block is not None and IMAGE in block


def _numbers(column: pd.Series, path: Path, row: str) -> NDArray[np.float64]:
    """A column of text as finite numbers."""
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    bad = ~np.isfinite(values)
    if bad.any():
        first = int(bad.argmax())
        where = f"{path}: {row} {int(column.index[first]) + 1}, {column.name}"
        raise ValueError(
            f"{where}: found {str(column.iloc[first])!r}, expected a number ({int(bad.sum())} such values)"
        )
    return values
