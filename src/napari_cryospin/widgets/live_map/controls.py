"""Controls of the live map: surface or volume, level, half, hand; a row that becomes a column where it is narrow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QBoxLayout, QCheckBox, QComboBox, QHBoxLayout, QLabel, QPushButton, QWidget

from napari_cryospin.widgets.live_map.contour_slider import CONTOUR_TIP, LEVEL_STEPS, ContourSlider

if TYPE_CHECKING:
    from napari_cryospin.views.map_pictures import MapPicture
    from napari_cryospin.widgets.live_map.layers import LiveMap

RENDERINGS = {
    "Surface": ("surface", "Contour as a shaded surface: quick to turn"),
    "Volume, contour": ("iso", "Contour, found anew for every pixel: fine, slow without a graphics card"),
    "Volume, mist": ("attenuated_mip", "Dense parts shine through; what lies behind them is dimmed"),
    "Volume, brightest": ("mip", "The brightest voxel behind every pixel"),
}
HALF_CHOICES = {"Half 1": 1, "Half 2": 2, "Mean": 0}


class MapControls(QWidget):
    """The controls of a live map.

    Parameters
    ----------
    live
        Live map that they control.
    """

    def __init__(self, live: LiveMap) -> None:
        super().__init__()
        self.live = live
        self._range = (0.0, 1.0)  # of the level, in standard deviations of the map
        self.rendering = QComboBox()
        for name, (value, tip) in RENDERINGS.items():
            self.rendering.addItem(name, value)
            self.rendering.setItemData(self.rendering.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.rendering.setToolTip("How the map is drawn in 3D")
        self.half = QComboBox()
        for name, number in HALF_CHOICES.items():
            self.half.addItem(name, number)
        self.half.setToolTip(
            "Which of the two independent halves is shown, in the frame that it found; their mean is in that of half 1"
        )
        self.hand = QCheckBox("Flip hand")
        self.hand.setToolTip(
            "Show the mirror image: the images cannot tell which hand is right. Map, half maps and poses are flipped "
            "together, in what is exported too.\nMaps have the hand that ChimeraX shows: napari's own 3D axes would "
            "show the mirror image, so they were turned (z towards you, y upwards), unless Preferences say otherwise"
        )
        self.row = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self.row.setContentsMargins(0, 0, 0, 0)
        self.end = QHBoxLayout()
        self.end.addWidget(self.half)
        self.end.addWidget(self.hand)
        self.row.addWidget(self.rendering)
        self.row.addLayout(self._make_level(), 1)
        self.row.addLayout(self.end)
        self.rendering.activated.connect(lambda _: live.set_display(rendering=self.rendering.currentData()))
        self.half.activated.connect(lambda _: live.set_display(half=self.half.currentData()))
        self.hand.clicked.connect(live.session.flip_hand)
        live.display_changed.connect(self._show_display)
        self._show_display()

    def _make_level(self) -> QHBoxLayout:
        self.level = ContourSlider()
        self.level.valueChanged.connect(self._level_moved)
        self.value = QLabel()
        self.value.setMinimumWidth(self.value.fontMetrics().horizontalAdvance("00.0 σ"))
        self.rule = QPushButton("1 %")
        self.rule.setCheckable(True)
        self.rule.setToolTip("Follow ChimeraX's rule: the contour encloses 1 % of the voxels")
        self.rule.clicked.connect(self._rule_clicked)
        row = QHBoxLayout()
        row.setSpacing(4)
        for part in (self.level, self.value, self.rule):
            row.addWidget(part)
        return row

    @property
    def width_of_row(self) -> int:
        """Width of all controls side by side, pixels, however they are laid out now."""
        parts = [
            item.minimumSize().width() for k in range(self.row.count()) if (item := self.row.itemAt(k)) is not None
        ]
        return sum(parts) + self.row.spacing() * (len(parts) - 1)

    def stack(self, narrow: bool) -> None:
        """Lay the controls out in a column instead of a row."""
        direction = QBoxLayout.Direction.TopToBottom if narrow else QBoxLayout.Direction.LeftToRight
        if self.row.direction() != direction:
            self.row.setDirection(direction)

    def show_picture(self, picture: MapPicture) -> None:
        """Show the values of the map that is drawn."""
        statistics = picture.statistics
        self._range = statistics.sigma(statistics.low_level), max(1.0, statistics.sigma(statistics.highest))
        sigma = statistics.sigma(picture.level)
        self.value.setText(f"{sigma:.1f} σ")
        tip = f"{CONTOUR_TIP}\nNow {sigma:.2f} deviations above the mean, {picture.level:.4g} in the map's units"
        for part in (self.value, self.level):
            part.setToolTip(tip)
        if not self.level.isSliderDown():
            low, high = self._range
            self.level.blockSignals(True)
            self.level.setValue(round(LEVEL_STEPS * (sigma - low) / (high - low)))
            self.level.blockSignals(False)
        self.level.show_histogram(statistics.counts)
        self.half.setVisible(picture.halves > 0)

    def _show_display(self, _: object = None) -> None:
        display = self.live.display
        self.rendering.setCurrentIndex(self.rendering.findData(display.rendering))
        self.half.setCurrentIndex(self.half.findData(display.half))
        self.rule.setChecked(display.level is None)
        self.hand.setChecked(display.flipped)

    def _level_moved(self, position: int) -> None:
        low, high = self._range
        self.live.set_display(level=low + (high - low) * position / LEVEL_STEPS)

    def _rule_clicked(self, follow: bool) -> None:
        picture = self.live.picture
        if follow:
            self.live.set_display(level=None)
        elif picture is not None:
            self.live.set_display(level=picture.statistics.sigma(picture.level))
