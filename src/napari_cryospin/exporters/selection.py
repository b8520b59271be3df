"""Selection of particles: by figures of the run, by view direction, at random, or by a list of rows."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_cryospin.exporters.run_results import SELECTION_COLUMNS, RunResults
from napari_cryospin.io.files import check_is_file
from napari_cryospin.listing import shortened

COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
"""Comparison in the syntax tree of an expression -> function that evaluates it."""
FORMER_NAMES = {
    "best_head": "head, which counts from 1 as the window does (best_head counted from 0)",
    "half": "half_set",
    "probability": "max_probability",
    "samples": "significant_samples",
}
"""Name in selections of earlier versions -> the present name."""
CLASS_WORD, CLASS_NAME = re.compile(r"\bclass\b"), "klass"
"""The word class, which is no name in Python, and a name of the same length that stands for it in a syntax tree."""
SELECTION_GRAMMAR = (
    f"expected comparisons (< <= > >= == !=) of {', '.join(SELECTION_COLUMNS)} and numbers, joined by and, or, not"
)
"""Grammar of expressions, for messages."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Conditions on particles; a particle is selected where all that are given hold."""

    expression: str = ""
    """Comparisons joined by and, or, not, such as `entropy < 0.5 and head == 2`."""
    direction: tuple[float, float, float] | None = None
    """Rot and tilt of a view direction, and the largest angle to it, all in degrees."""
    random: int | None = None
    """Number of particles to draw at random from those that all other conditions leave."""
    seed: int = 0
    """Seed of the draw."""
    rows: Path | ArrayLike | None = None
    """Rows of the run's input, counted from 0; or a text file with rows counted from 1, one a line."""

    @property
    def everything(self) -> bool:
        """Whether there is no condition."""
        return not self.expression and self.direction is None and self.random is None and self.rows is None

    def positions(self, results: RunResults) -> NDArray[np.int64]:
        """Return the positions of the selected particles among those of the run, `(j,)`, ascending.

        Raises
        ------
        ValueError, FileNotFoundError
            The selection cannot be evaluated, or selects no particle.
        """
        chosen = np.ones(len(results), dtype=bool)
        if self.expression:
            chosen &= matching(self.expression, results)
        if self.direction is not None:
            chosen &= near_direction(results, *self.direction)
        if self.rows is not None:
            chosen &= np.isin(results.record.rows, self._rows(results))
        found = np.flatnonzero(chosen)
        if self.random is not None:
            found = self._drawn(found)
        if not len(found):
            raise ValueError(f"selection: none of the run's {len(results)} particles is left")
        return found

    def _drawn(self, found: NDArray[np.int64]) -> NDArray[np.int64]:
        assert self.random is not None
        if self.random < 1:
            raise ValueError(f"selection: random is {self.random}; expected at least 1")
        if self.random > len(found):
            raise ValueError(
                f"selection: {self.random} particles at random of {len(found)}; expected no more than that"
            )
        return np.sort(np.random.default_rng(self.seed).choice(found, self.random, replace=False))

    def _rows(self, results: RunResults) -> NDArray[np.int64]:
        """Return the listed rows of the input, from 0; raise an error if the run does not use one of them."""
        assert self.rows is not None
        rows = read_rows(self.rows) if isinstance(self.rows, Path) else np.asarray(self.rows, dtype=np.int64)
        unused = ~np.isin(rows, results.record.rows)
        if unused.any():
            raise ValueError(f"selection: row {rows[unused.argmax()] + 1} of the input is not one that the run uses")
        return rows


MOST_DIGITS = 12
"""Largest number of digits of a row: more particles than any stack has."""


def read_rows(path: Path) -> NDArray[np.int64]:
    """Read rows of the input from a text file with their numbers from 1, one in each line.

    Empty lines and lines that begin with # are skipped.

    Returns
    -------
    ndarray
        `(k,)` rows, from 0.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such file, a line is not such a number, or there is none.
    """
    lines = [line.strip() for line in check_is_file(path).read_text().splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    bad = next((line for line in lines if not line.isdecimal() or len(line) > MOST_DIGITS or int(line) < 1), None)
    if bad is not None:
        raise ValueError(f"{path}: found {shortened(bad)!r}, expected a row of the input, counted from 1, in each line")
    if not lines:
        raise ValueError(f"{path}: no rows; expected at least one")
    return np.array([int(line) for line in lines], dtype=np.int64) - 1


def near_direction(results: RunResults, rot: float, tilt: float, within: float) -> NDArray[np.bool_]:
    """Return whether the view direction of each particle lies within an angle of a direction, `(k,)`.

    Parameters
    ----------
    results
        Results of the run.
    rot, tilt
        Direction, degrees.
    within
        Largest angle to that direction, degrees.

    Raises
    ------
    ValueError
        A number is not finite, or the angle is negative.
    """
    if not np.isfinite([rot, tilt, within]).all() or within < 0:
        raise ValueError(
            f"selection: direction {rot:g} {tilt:g} {within:g}; expected rot, tilt and an angle of 0 or more"
        )
    turn, lean = np.radians([rot, tilt])
    towards = np.array([np.sin(lean) * np.cos(turn), np.sin(lean) * np.sin(turn), np.cos(lean)])
    away = results.record.rotations[:, 2] - towards  # For small angles, the chord is accurate and the cosine is not.
    return np.linalg.norm(away, axis=-1) <= 2 * np.sin(np.radians(min(within, 180.0)) / 2) + 1e-12


def matching(expression: str, results: RunResults) -> NDArray[np.bool_]:
    """Return whether an expression holds for each particle, `(k,)`; a comparison with an unknown value does not hold.

    Raises
    ------
    ValueError
        The expression has a part that is not admitted; the message names it.
    """
    try:
        tree = ast.parse(CLASS_WORD.sub(CLASS_NAME, expression.strip()), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ValueError(f"selection {expression!r}: not readable; {SELECTION_GRAMMAR}") from error
    return _truth(tree.body, expression, results)


def _truth(node: ast.expr, expression: str, results: RunResults) -> NDArray[np.bool_]:
    if isinstance(node, ast.BoolOp):
        parts = [_truth(value, expression, results) for value in node.values]
        return np.logical_and.reduce(parts) if isinstance(node.op, ast.And) else np.logical_or.reduce(parts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return ~_truth(node.operand, expression, results)
    if isinstance(node, ast.Compare):
        terms = [_value(term, expression, results) for term in (node.left, *node.comparators)]
        truth = np.ones(len(results), dtype=bool)
        for term in terms:
            truth &= ~np.isnan(term)
        for left, sign, right in zip(terms[:-1], node.ops, terms[1:], strict=True):
            if type(sign) not in COMPARISONS:
                raise _unexpected(node, expression)
            truth &= COMPARISONS[type(sign)](left, right)
        return truth
    raise _unexpected(node, expression)


def _value(node: ast.expr, expression: str, results: RunResults) -> NDArray[np.float64]:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return np.array(float(node.value))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, expression, results)
    if isinstance(node, ast.Name) and (name := "class" if node.id == CLASS_NAME else node.id) in SELECTION_COLUMNS:
        return results.column(name)
    if isinstance(node, ast.Name) and node.id in FORMER_NAMES:
        raise ValueError(
            f"selection {expression!r}: {node.id!r} is called {FORMER_NAMES[node.id]} now; {SELECTION_GRAMMAR}"
        )
    raise _unexpected(node, expression)


def _unexpected(node: ast.expr, expression: str) -> ValueError:
    part = ast.get_source_segment(expression.strip(), node)
    return ValueError(f"selection {expression!r}: found {part!r}; {SELECTION_GRAMMAR}")
