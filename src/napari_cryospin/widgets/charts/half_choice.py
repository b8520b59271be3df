"""Which half set is looked at, where two are reconstructed: each has a frame, and an encoder, of its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import QComboBox


class HalfChoice(QComboBox):
    """Half 1 or half 2; not to be seen where there are none."""

    def __init__(self) -> None:
        super().__init__()
        self.addItems(["Half 1", "Half 2"])
        self.setToolTip("The half sets are reconstructed apart, each in a frame and with an encoder of its own")
        self.setVisible(False)
        self._offered = False

    def offer(self, half_sets: NDArray) -> None:
        """Be seen where `(n,)` 1 / 2 or 0 tells of half sets."""
        self._offered = bool(np.any(half_sets))
        self.setVisible(self._offered)

    @property
    def half(self) -> int:
        """1 or 2; 0 where there are no half sets."""
        return self.currentIndex() + 1 if self._offered else 0

    def show_half_of(self, place: int, half_sets: NDArray) -> None:
        """Go to the half that a particle belongs to."""
        if self._offered:
            self.setCurrentIndex(int(half_sets[place]) - 1)
