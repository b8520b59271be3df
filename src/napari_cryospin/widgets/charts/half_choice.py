"""Choice between two half sets, which have a frame and an encoder each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import QComboBox


class HalfChoice(QComboBox):
    """Box with half 1 and half 2, which is hidden if there are no half sets."""

    def __init__(self) -> None:
        super().__init__()
        self.addItems(["Half 1", "Half 2"])
        self.setToolTip("The half sets are reconstructed apart, each in a frame and with an encoder of its own")
        self.setVisible(False)
        self._offered = False

    def offer(self, half_sets: NDArray) -> None:
        """Show the box if there are half sets; hide it otherwise.

        Parameters
        ----------
        half_sets
            `(n,)` half set of each particle, 1 or 2; 0: there are none.
        """
        self._offered = bool(np.any(half_sets))
        self.setVisible(self._offered)

    @property
    def half(self) -> int:
        """Chosen half set, 1 or 2; 0: there are none."""
        return self.currentIndex() + 1 if self._offered else 0

    def show_half_of(self, place: int, half_sets: NDArray) -> None:
        """Choose the half set of a particle.

        Parameters
        ----------
        place
            Position of the particle in `half_sets`.
        half_sets
            `(n,)` half set of each particle.
        """
        if self._offered:
            self.setCurrentIndex(int(half_sets[place]) - 1)
