"""Text of STAR files, read and written in chunks of rows, so that the memory is little more than that of the text.

Every value is kept as the text that was read, so that a file that is written again differs only in the values that were
set.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import takewhile
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
import pandas as pd
import pyarrow as pa

from napari_cryospin.io.files import atomic_write
from napari_cryospin.listing import first_of, shortened

LINES_AT_A_TIME = 10_000
"""Number of lines that are read or written at a time.

Chosen by hand, so small that other threads, for example that of a window, do not wait long.
"""
VALUE = re.compile(r"#.*|\"(.*?)\"(?=\s|$)|'(.*?)'(?=\s|$)|(\S+)")
"""A value, in quotes or not, or a comment: a # that no other character stands before."""
DATA, LOOP = "data_", "loop_"
"""Keywords of STAR, in either case."""
VERSION = "# version "
"""Start of the comment that states for which version of RELION a file was written."""
JOIN = "RELION's job Join star files makes one table of several"
"""Way out where particles are in several tables."""

Block = pd.DataFrame | dict[str, str]
"""A block: a table, or label -> value of a block without a loop."""


Share = Callable[[float], None]
"""Function that is called with the share of a file that has been read or written, 0 to 1.

An error that it raises ends the reading or writing.
"""


def ignored(share: float) -> None:
    """Do nothing with the share."""


class _Reader:
    """Reader of one block, which collects its lines."""

    def __init__(self, path: Path, name: str, line: int) -> None:
        self.path, self.name, self.line = path, name, line
        self.is_loop = False
        self.columns: list[str] = []
        self.single: dict[str, str] = {}
        self.lines: list[str] = []
        self.parts: list[pa.Table] = []
        self.count = 0

    def begin_loop(self, number: int) -> None:
        """Take the keyword loop_, which stands in line `number` of the file."""
        if self.is_loop or self.single:
            self._refuse(LOOP, number, "one table or single values in a block")
        self.is_loop = True

    def add(self, line: str, number: int) -> None:
        """Take line `number` of the file: no keyword, and neither empty nor a comment."""
        if line[0] == "_" and not self.lines and not self.parts:
            self._add_label(line, number)
        elif self.columns:
            self.lines.append(line)
            if len(self.lines) == LINES_AT_A_TIME:
                self._flush()
        else:
            self._refuse(line, number, "loop_ or a label")

    def _add_label(self, line: str, number: int) -> None:
        label, *values = split_values(line)
        if self.is_loop:
            if values:
                self._refuse(line, number, "a label alone")
            self.columns.append(label[1:])
        elif len(values) != 1:
            self._refuse(line, number, "a label and its value")
        elif label[1:] in self.single:
            self._refuse(line, number, f"{label[1:]} once")
        else:
            self.single[label[1:]] = values[0]

    def _refuse(self, line: str, number: int, expected: str) -> NoReturn:
        where = f"{self.path}: line {number}, data_{self.name}"
        raise ValueError(f"{where}: found {shortened(line)!r}, expected {expected}")

    def _flush(self) -> None:
        """Convert the lines collected so far to columns."""
        rows = [split_values(line) for line in self.lines]
        width = len(self.columns)
        for number, row in enumerate(rows, start=self.count + 1):
            if len(row) != width:
                where = f"{self.path}: data_{self.name}, row {number}"
                raise ValueError(f"{where}: found {len(row)} values, expected {width}")
        columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
        self.parts.append(pa.table(columns, names=self.columns))
        self.count += len(rows)
        self.lines.clear()

    def finish(self) -> Block | None:
        """Return the block; None if it has neither a loop nor values."""
        if not self.is_loop:
            return self.single or None
        if len(set(self.columns)) < len(self.columns):
            twice = next(column for column in self.columns if self.columns.count(column) > 1)
            raise ValueError(f"{self.path}: data_{self.name}: column {twice} occurs twice")
        if self.lines:
            self._flush()
        if not self.parts:
            return pd.DataFrame(columns=self.columns)
        text = pd.StringDtype("pyarrow")
        return pa.concat_tables(self.parts).to_pandas(types_mapper=lambda _: text, self_destruct=True)


def split_values(line: str) -> list[str]:
    """Split a line into its values, without a comment; a value with spaces in it stands in single or double quotes."""
    if '"' in line or "'" in line or "#" in line:
        matches = takewhile(lambda match: match[0][0] != "#", VALUE.finditer(line))
        return [match[match.lastindex or 0] for match in matches]
    return line.split()


def _only_value(line: str) -> str:
    """Return the value that stands alone in a line; empty where there are more."""
    values = split_values(line)
    return values[0] if len(values) == 1 else ""


def read_blocks(path: Path, progress: Share = ignored) -> tuple[dict[str, Block], str | None]:
    """Read all blocks of a STAR file, except for those that have neither a loop nor values.

    Parameters
    ----------
    path
        STAR file.
    progress
        Called now and then with the share of the file that has been read, 0 to 1.

    Returns
    -------
    tuple
        Name -> block, in the order of the file, and the version in RELION's version comment (None: it has none).

    Raises
    ------
    ValueError
        A row has too many or too few values, a column occurs twice, something stands where no value may, or two blocks
        have the same name; the message names file, block and, for a row, its number, else the line.
    """
    readers: list[_Reader] = []
    age, done, size = None, 0, path.stat().st_size
    with path.open(encoding="utf-8-sig") as file:  # Some editors on Windows write a byte order mark first.
        for number, text in enumerate(file, start=1):
            done += len(text)
            if number % LINES_AT_A_TIME == 1:
                progress(min(done / size, 1.0))
            line = text.strip()
            if not line or line[0] == "#":
                age = line.removeprefix(VERSION) if line.startswith(VERSION) else age
                continue
            word = line[:5].lower()
            if word == DATA and (name := _only_value(line)):
                readers.append(_Reader(path, name[5:], number))
            elif not readers:
                raise ValueError(f"{path}: line {number}: found {shortened(line)!r}, expected data_ and a block's name")
            elif word == LOOP and _only_value(line).lower() == LOOP:
                readers[-1].begin_loop(number)
            else:
                readers[-1].add(line, number)
    found = [(reader, block) for reader in readers if (block := reader.finish()) is not None]
    _check_names(path, found)
    return {reader.name: block for reader, block in found}, age


def _check_names(path: Path, found: Sequence[tuple[_Reader, Block]]) -> None:
    """Refuse blocks of the same name, of which a reader would know one only; STAR's names have no case."""
    by_name: dict[str, list[str]] = {}
    for reader, block in found:
        rows = count_rows(block)
        place = f"line {reader.line}: {rows:,} row{'s' if rows != 1 else ''}"
        by_name.setdefault(reader.name.lower(), []).append(place)
    repeated = [
        f"data_{name} {len(places)} times ({first_of(places)})" for name, places in by_name.items() if len(places) > 1
    ]
    if repeated:
        raise ValueError(
            f"{path}: found {first_of(repeated)}, expected each block once: files that were put one behind the other, "
            f"perhaps. {JOIN}"
        )


def count_rows(block: Block) -> int:
    """Count the rows of a block; single values are one row."""
    return 1 if isinstance(block, dict) else len(block)


def write_blocks(
    path: Path | str,
    blocks: Mapping[str, Block],
    age: str | None = None,
    progress: Share = ignored,
) -> None:
    """Write blocks in their order: text as it is, floats with six decimals.

    Parameters
    ----------
    path
        File to write; an existing file stays as it was if anything fails.
    blocks
        Name -> table or single values.
    age
        Version of RELION for the version comment, which RELION looks for. None: no comment is written.
    progress
        Called now and then with the share of the rows that has been written, 0 to 1.
    """
    total, done = sum(len(block) for block in blocks.values()), 0
    with atomic_write(path) as part, part.open("w", encoding="utf-8") as file:
        file.write(f"# written by napari-cryospin {version('napari-cryospin')}\n")
        for name, block in blocks.items():
            file.write("\n" + (f"{VERSION}{age}\n\n" if age is not None else "") + f"data_{name}\n\n")
            if isinstance(block, dict):
                file.writelines(f"_{label} {_quote(value)}\n" for label, value in block.items())
                done += len(block)
                continue
            file.write("loop_\n")
            file.writelines(f"_{column} #{number}\n" for number, column in enumerate(block.columns, start=1))
            for count in _write_rows(file, block):
                done += count
                progress(done / total)
            file.write("\n")


def _write_rows(file: IO[str], table: pd.DataFrame) -> Iterator[int]:
    """Write the rows of a table in chunks, and yield the number of rows of each chunk once it is written."""
    for start in range(0, len(table), LINES_AT_A_TIME):
        rows = table.iloc[start : start + LINES_AT_A_TIME]
        columns = [_texts(rows.iloc[:, number]) for number in range(rows.shape[1])]
        file.write("\n".join(map(" ".join, zip(*columns, strict=True))) + "\n")
        yield len(rows)


def _texts(column: pd.Series) -> Sequence[str]:
    """Return the text of each value of a column as it stands in the file."""
    values: list[Any] = column.tolist()
    if column.dtype.kind == "f":
        return ["%.6f" % value for value in values]  # noqa: UP031 (This is twice as fast as format.)
    if column.dtype.kind in "iub":
        return list(map(str, map(int, values)))
    texts = list(map(str, values))
    joined = "\0".join(["", *texts, ""])
    special = any(mark in joined for mark in (" ", "\t", "\0\0", '\0"', "\0'", "\0#", "\0_", "\0data_"))
    return list(map(_quote, texts)) if special else texts


def _quote(text: str) -> str:
    """Return a value as it can stand in a row: in quotes if it needs them, else as it is."""
    if text and not re.search(r"\s", text) and text[0] not in "\"'#_" and not text.startswith("data_"):
        return text
    return f"'{text}'" if '"' in text else f'"{text}"'


def column_floats(column: pd.Series) -> np.ndarray:
    """Return a column of text or numbers as `(n,)` float64; nan where a text is not a number."""
    if column.dtype.kind in "iuf":
        return column.to_numpy(dtype=np.float64)
    try:
        return np.asarray(pa.chunked_array(pa.array(column, pa.string())).cast(pa.float64()))
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError):  # Some text is not a number; the slow way finds which.
        return np.asarray(pd.to_numeric(column.astype(object), errors="coerce"), dtype=np.float64)
