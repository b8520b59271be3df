"""A widget that paints particles in tiles, as many as fit; a click chooses one, and a tooltip tells of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QPoint, Signal
from qtpy.QtGui import QHelpEvent, QMouseEvent, QResizeEvent
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget


class ParticleTiles(QWidget):
    """Tiles of particles; a subclass places and paints them.

    Attributes
    ----------
    rows : ndarray
        `(k,)` rows of the input that are shown.
    chosen : int
        Row that is chosen; -1: none.
    selected : ndarray
        `(k,)` bool, which of them are selected.
    """

    clicked = Signal(int)  # row of the input
    fitted = Signal()  # another number of particles fits

    def __init__(self) -> None:
        super().__init__()
        self.rows: NDArray[np.int64] = np.zeros(0, np.int64)
        self.chosen = -1
        self.selected: NDArray[np.bool_] = np.zeros(0, bool)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    @property
    def missing(self) -> list[int]:
        """Rows that are shown, and of which there is no picture yet."""
        return [int(row) for row in self.rows if not self.knows(int(row))]

    def knows(self, row: int) -> bool:
        """Return whether there is a picture of a particle."""
        return True

    def number_at(self, point: QPoint) -> int | None:
        """Return the number of the tile at a point; None: there is none."""
        return None

    def tip_of(self, row: int) -> str:
        """Return the tooltip of a particle."""
        return f"Particle {row + 1}: click to choose it"

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        number = None if event is None else self.number_at(event.pos())
        if number is not None:
            self.clicked.emit(int(self.rows[number]))

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        self.fitted.emit()

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.FontChange:
            self.fitted.emit()

    def event(self, event: QEvent | None) -> bool:
        if isinstance(event, QHelpEvent):
            number = self.number_at(event.pos())
            text = self.toolTip() if number is None else self.tip_of(int(self.rows[number]))
            QToolTip.showText(event.globalPos(), text, self)
            return True
        return super().event(event)
