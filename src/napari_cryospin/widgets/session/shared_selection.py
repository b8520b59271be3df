"""The particles that the user selected, in whatever panel; every panel shows them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from qtpy.QtCore import QObject, Signal


class SharedSelection(QObject):
    """Selected particles of the watched run.

    Attributes
    ----------
    rows
        `(k,)` rows of the input, from 0, ascending; None: nothing is selected, which stands for all particles.
    origin
        How they were selected, in words; empty: nothing is selected.
    """

    changed = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.rows: NDArray[np.int64] | None = None
        self.origin = ""

    def __len__(self) -> int:
        return 0 if self.rows is None else len(self.rows)

    def select(self, rows: ArrayLike, origin: str) -> None:
        """Select the particles at these rows of the input; selecting none clears the selection."""
        found = np.unique(np.asarray(rows, dtype=np.int64))
        if not len(found):
            self.clear()
        elif self.rows is None or not np.array_equal(found, self.rows):
            self.rows, self.origin = found, origin
            self.changed.emit()

    def clear(self) -> None:
        """Select nothing."""
        if self.rows is not None:
            self.rows, self.origin = None, ""
            self.changed.emit()

    def among(self, rows: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Return whether the particle at each of `(n,)` rows is selected."""
        return np.zeros(len(rows), dtype=bool) if self.rows is None else np.isin(rows, self.rows)
