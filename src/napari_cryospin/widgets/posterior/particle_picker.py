"""Widget in which the user chooses a particle: by slider, by number, the most uncertain, the next, or at random."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QSlider, QSpinBox, QWidget

NUMBER_WIDTH = 92  # px
UNCERTAIN = "The particle whose posterior is the broadest (largest entropy in the newest history); again: the next one"
NOT_YET = "Not known yet: entropies come with the first epoch"
UNKNOWN = "Not known: this run computes no entropies (it does where a posterior sample competes with the heads)"


class ParticlePicker(QWidget):
    """Choice of a particle, which is a row of the input."""

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows: NDArray[np.int64] = np.zeros(1, dtype=np.int64)
        self.entropy: NDArray[np.floating] | None = None
        self.particle = 0
        self._rank = -1  # position of the last choice among the most uncertain particles
        self._random = np.random.default_rng()
        self.number = QSpinBox()
        self.number.setToolTip("Particle: row of the input file, from 1")
        self.number.setKeyboardTracking(False)
        self.number.setMaximumWidth(NUMBER_WIDTH)
        self.number.valueChanged.connect(self._number_typed)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setMinimumWidth(36)
        self.slider.setToolTip("All particles of the run, in the order of the input")
        self.slider.valueChanged.connect(self._slider_moved)
        self.before = self._button("◀", "The particle before", lambda: self._step(-1))
        self.next = self._button("▶", "The next particle", lambda: self._step(1))
        self.uncertain = self._button(
            "Uncertain",
            UNCERTAIN,
            self._choose_most_uncertain,
        )
        self.random = self._button("Random", "Any particle", self._choose_random)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for widget in (self.before, self.number, self.next):
            row.addWidget(widget)
        row.addWidget(self.slider, 1)
        for button in (self.uncertain, self.random):
            row.addWidget(button)
        self.set_entropy(None)

    def _button(self, text: str, tip: str, do: Callable[[], None]) -> QPushButton:
        button = QPushButton(text)
        if len(text) == 1:
            button.setFixedWidth(26)
        button.setToolTip(tip)
        button.clicked.connect(lambda: do())
        return button

    def set_rows(self, rows: NDArray[np.integer]) -> None:
        """Set the rows of the input that the run uses, in any order."""
        ordered = np.sort(np.asarray(rows, dtype=np.int64))
        if len(ordered) and not np.array_equal(ordered, self.rows):
            self.rows = ordered
            self.show_particle(self.particle)

    def set_entropy(self, entropy: NDArray[np.floating] | None, rows: NDArray[np.integer] | None = None) -> None:
        """Set the posterior entropies `(n,)` of the particles at `(n,)` `rows`; None: not known yet."""
        known = entropy is not None and rows is not None and bool(np.isfinite(entropy).any())
        self.uncertain.setEnabled(known)
        self.uncertain.setToolTip(UNCERTAIN if known else NOT_YET if entropy is None else UNKNOWN)
        self._by_entropy = np.zeros(0, dtype=np.int64)
        if known:
            assert entropy is not None
            assert rows is not None
            order = np.argsort(-np.nan_to_num(entropy, nan=-1.0), kind="stable")
            self._by_entropy = np.asarray(rows, dtype=np.int64)[order]

    def show_particle(self, particle: int) -> None:
        """Show a choice that was made elsewhere, without emitting a signal."""
        self.particle = particle
        with QSignalBlocker(self.number), QSignalBlocker(self.slider):
            self.number.setRange(int(self.rows[0]) + 1, int(self.rows[-1]) + 1)
            self.number.setValue(particle + 1)
            self.slider.setRange(0, len(self.rows) - 1)
            self.slider.setValue(int(np.searchsorted(self.rows, particle)))
        if not (0 <= self._rank < len(self._by_entropy) and self._by_entropy[self._rank] == particle):
            self._rank = -1

    def _choose(self, particle: int) -> None:
        if particle != self.particle:
            self.show_particle(particle)
            self.chosen.emit(particle)

    def _number_typed(self, number: int) -> None:
        row = number - 1  # People count rows from 1.
        # A row that the run does not use is replaced by the nearest one that it uses.
        near = min(int(np.searchsorted(self.rows, row)), len(self.rows) - 1)
        if near and self.rows[near] - row > row - self.rows[near - 1]:
            near -= 1
        if self.rows[near] == self.particle != row:
            self.show_particle(self.particle)
        self._choose(int(self.rows[near]))

    def _slider_moved(self, position: int) -> None:
        self._choose(int(self.rows[position]))

    def _step(self, step: int) -> None:
        position = int(np.searchsorted(self.rows, self.particle)) + step
        self._choose(int(self.rows[position % len(self.rows)]))

    def _choose_random(self) -> None:
        self._choose(int(self._random.choice(self.rows)))

    def _choose_most_uncertain(self) -> None:
        if len(self._by_entropy):
            rank = (self._rank + 1) % len(self._by_entropy)
            self._rank = rank
            self._choose(int(self._by_entropy[rank]))
