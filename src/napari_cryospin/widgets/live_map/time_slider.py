"""A slider over the epochs of a run, with the present at its right end and a mark at the switch."""

from __future__ import annotations

from bisect import bisect_right

from qtpy.QtCore import QRect, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPaintEvent
from qtpy.QtWidgets import QSlider, QStyle, QStyleOptionSlider

from napari_cryospin.widgets.kit.colours import SWITCH_COLOUR


class TimeSlider(QSlider):
    """Slider with a position for each epoch, and one more for the present."""

    chosen = Signal(object)  # int: epoch; None: now

    def __init__(self) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.epochs: tuple[int, ...] = ()
        self.switched: int | None = None
        self.setPageStep(1)
        self.setMinimumWidth(120)
        self.setToolTip("Back through the run's maps, epoch by epoch; at the right end the run is followed")
        self.setRange(0, 0)
        self.valueChanged.connect(self._moved)

    def show_run(self, epochs: tuple[int, ...], switched: int | None, shown: int | None) -> None:
        """Show the state of a run.

        Parameters
        ----------
        epochs
            Epochs with a map, ascending.
        switched
            Last epoch before the switch to auto-decoding; None: there was no switch yet.
        shown
            Epoch that is shown; None: the present.
        """
        self.epochs, self.switched = epochs, switched
        self.blockSignals(True)
        self.setRange(0, len(epochs))
        self.setValue(epochs.index(shown) if shown in epochs else len(epochs))
        self.blockSignals(False)
        self.setEnabled(bool(epochs))
        self.update()

    def epoch_at(self, position: int) -> int | None:
        """Return the epoch at a position; None: the present."""
        return self.epochs[position] if position < len(self.epochs) else None

    def _moved(self, position: int) -> None:
        self.chosen.emit(self.epoch_at(position))

    @property
    def mark(self) -> float | None:
        """Position of the switch, between two epochs; None: there was none."""
        if self.switched is None or not self.epochs:
            return None
        return bisect_right(self.epochs, self.switched) - 0.5

    def paintEvent(self, event: QPaintEvent | None) -> None:
        super().paintEvent(event)
        if self.mark is None:
            return
        x = self._pixel(self.mark)
        painter = QPainter(self)
        painter.fillRect(QRect(x - 1, 1, 2, self.height() - 2), QColor(SWITCH_COLOUR))
        painter.end()

    def _pixel(self, position: float) -> int:
        """Return the x coordinate of the handle's middle at a position, pixels."""
        option, style = QStyleOptionSlider(), self.style()
        assert style is not None
        self.initStyleOption(option)
        kind = QStyle.ComplexControl.CC_Slider
        groove = style.subControlRect(kind, option, QStyle.SubControl.SC_SliderGroove, self)
        handle = style.subControlRect(kind, option, QStyle.SubControl.SC_SliderHandle, self).width()
        return round(groove.x() + handle / 2 + (groove.width() - handle) * position / max(1, self.maximum()))
