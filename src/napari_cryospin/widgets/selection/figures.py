"""Figures of a run's particles by which the window sorts and draws them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.exporters.run_results import SELECTION_COLUMNS, RunResults, open_results
from napari_cryospin.views.direction_figures import pose_errors
from napari_cryospin.views.run_view import RunView

POSE_ERROR = "pose error"
"""Name of the angle to the true rotation, which is known only where a truth is."""
FIGURE_TIPS = {**SELECTION_COLUMNS, POSE_ERROR: "degrees from the true rotation, where the truth is known"}
FIGURE_UNITS = {POSE_ERROR: "degrees", "entropy": "nats", "rot": "degrees", "tilt": "degrees", "psi": "degrees"}
FIGURE_UNITS |= {"shift": "Å", "precision": "degrees"}


@dataclass(frozen=True, eq=False)
class ParticleFigures:
    """All figures of a run's particles, in the order of the results.

    Attributes
    ----------
    view
        The run.
    results
        Its particles, all in one frame.
    errors
        `(n,)` degrees from the true rotations; None: not known.
    """

    view: RunView
    results: RunResults
    errors: NDArray[np.float64] | None

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows of the input, `(n,)`."""
        return self.results.record.rows

    def column(self, name: str) -> NDArray[np.float64]:
        """Return the values of a figure, `(n,)`; nan where the run does not have it."""
        if name == POSE_ERROR:
            return np.full(len(self.results), np.nan) if self.errors is None else self.errors
        try:
            return self.results.column(name)
        except ValueError:
            return np.full(len(self.results), np.nan)

    @property
    def parts(self) -> dict[str, NDArray[np.int64]]:
        """The half sets and the classes: name -> rows of the input; empty where there is neither."""
        record = self.results.record
        found: dict[str, NDArray[np.int64]] = {}
        if record.has_halves:
            found |= {f"Half {number}": record.rows[record.half_sets == number] for number in (1, 2)}
        if record.class_number is not None:
            numbers = np.unique(record.class_number)
            found |= {f"Class {number}": record.rows[record.class_number == number] for number in numbers}
        return found

    def sorted_rows(self, name: str, highest_first: bool, among: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the rows of the particles that are marked in `(n,)` `among`, by a figure; unknown values are last."""
        values = self.column(name)[among]
        order = np.argsort(-values if highest_first else values, kind="stable")  # nan is sorted last
        return self.rows[among][order]


def read_figures(view: RunView) -> ParticleFigures:
    """Read all figures of a run's particles; this takes a while.

    Raises
    ------
    FileNotFoundError, ValueError
        No epoch of the run has ended, or a file cannot be read.
    """
    results = open_results(view.folder)
    errors = None if view.truth is None else pose_errors(view.folder, results.record, view.truth)
    return ParticleFigures(view, results, errors)


def figure_label(name: str) -> str:
    """Write the name of a figure with its unit."""
    return f"{name} ({FIGURE_UNITS[name]})" if name in FIGURE_UNITS else name
