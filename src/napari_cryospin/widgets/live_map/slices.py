"""Three orthogonal slices of a map; the cross in each of them shows where the other two are."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QSize, Qt, Signal
from qtpy.QtWidgets import QWidget

from napari_cryospin.views.isosurface import MapStatistics
from napari_cryospin.widgets.kit.colours import Theme

AXIS_NAMES = "xyz"
SLICE_AXES = ((0, 1), (0, 2), (1, 2))
"""Axis to the right and axis upwards of each slice, as indices of x, y, z."""
SLICES_HEIGHT = 190  # pixels
_CROSS_COLOUR = "#E69F00A0"


class Slices(pg.GraphicsLayoutWidget):
    """Slices x-y, x-z and y-z with the same contrast.

    The first shows the map from its front, as ChimeraX does: x to the right, y upwards.
    """

    moved = Signal(object)  # (3,) voxel (x, y, z) in which the slices meet

    def __init__(self) -> None:
        super().__init__()
        self.position = np.zeros(3)
        self._density: NDArray[np.float32] | None = None
        self._planes = [_Plane(self, axes) for axes in SLICE_AXES]
        for column, plane in enumerate(self._planes):
            self.addItem(plane.plot, 0, column)
            plane.dragged.connect(self._dragged)
        self.ci.layout.setContentsMargins(0, 0, 0, 0)
        self.ci.layout.setSpacing(4)
        self.setFixedHeight(SLICES_HEIGHT)
        self.setToolTip("Drag a line, or turn the wheel over a slice, to move through the map")

    def sizeHint(self) -> QSize:
        return QSize(3 * SLICES_HEIGHT, SLICES_HEIGHT)  # That of Qt is the one of a picture.

    def set_theme(self, theme: Theme) -> None:
        """Apply the colours of a theme."""
        self.setBackground(theme.background)
        for plane in self._planes:
            plane.text_colour = theme.text
            plane.show_title()

    def show_map(self, density: NDArray[np.float32], pixel_size: float, statistics: MapStatistics) -> None:
        """Show a `(z, y, x)` map; the slices of another box size meet in its centre."""
        if self._density is None or self._density.shape != density.shape:
            self.position = np.full(3, float(density.shape[0] // 2))
        self._density = density
        for plane in self._planes:
            plane.pixel_size = pixel_size
            plane.limits = (statistics.mean - 2 * statistics.deviation, statistics.highest)
        self._draw()

    def move_to(self, position: NDArray) -> None:
        """Move the slices so that they meet in a voxel `(x, y, z)`."""
        if self._density is not None:
            position = np.clip(np.asarray(position, float), 0, self._density.shape[0] - 1)
            if not np.array_equal(position, self.position):
                self.position = position
                self._draw()
                self.moved.emit(self.position)

    def _dragged(self, axis: int, value: float) -> None:
        position = self.position.copy()
        position[axis] = round(value)
        self.move_to(position)

    def _draw(self) -> None:
        if self._density is not None:
            for plane in self._planes:
                plane.draw(self._density, self.position)


class _Plane(QObject):
    dragged = Signal(int, float)  # axis, voxel

    def __init__(self, parent: QWidget, axes: tuple[int, int]) -> None:
        super().__init__(parent)
        self.axes = axes
        self.depth = 3 - sum(axes)  # the third axis
        self.pixel_size = 1.0
        self.limits = (0.0, 1.0)
        self.text_colour = "#808080"
        self._depth_at = self._at = 0.0  # voxel; A from the centre
        self.plot = pg.PlotItem(viewBox=_Box(self), enableMenu=False)
        self.plot.hideButtons()
        self.plot.setAspectLocked(True)
        for side in ("left", "bottom"):
            self.plot.hideAxis(side)
        self.image = pg.ImageItem(axisOrder="row-major")
        self.plot.addItem(self.image)
        self.lines = []
        for axis, angle in zip(axes, (90, 0), strict=True):
            line = pg.InfiniteLine(angle=angle, movable=True, pen=pg.mkPen(_CROSS_COLOUR, width=1))
            line.setHoverPen(pg.mkPen(_CROSS_COLOUR, width=3))
            line.sigPositionChanged.connect(lambda moved, axis=axis: self._moved(axis, moved.value()))
            self.plot.addItem(line)
            self.lines.append(line)

    def draw(self, density: NDArray, position: NDArray) -> None:
        """Show the slice through a voxel `(x, y, z)` of a `(z, y, x)` map; whole coordinates are centres of voxels."""
        index: list[slice | int] = [slice(None)] * 3
        index[2 - self.depth] = int(position[self.depth])
        self.image.setImage(density[tuple(index)], levels=self.limits)
        self.image.setPos(-0.5, -0.5)
        for line, axis in zip(self.lines, self.axes, strict=True):
            line.blockSignals(True)
            line.setValue(position[axis])
            line.blockSignals(False)
        self._depth_at = float(position[self.depth])
        self._at = (self._depth_at - density.shape[0] // 2) * self.pixel_size
        self.show_title()

    def show_title(self) -> None:
        right, up = (AXIS_NAMES[axis] for axis in self.axes)
        self.plot.setTitle(
            f"{right}–{up}, {AXIS_NAMES[self.depth]} = {self._at:+.0f} Å", color=self.text_colour, size="8pt"
        )

    def turn(self, clicks: int) -> None:
        """Move the slice deeper by `clicks` voxels."""
        self.dragged.emit(self.depth, self._depth_at + clicks)

    def _moved(self, axis: int, value: float) -> None:
        self.dragged.emit(axis, value)


class _Box(pg.ViewBox):
    """View of one whole slice, in which the wheel moves through the map."""

    def __init__(self, plane: _Plane) -> None:
        super().__init__(enableMouse=False, enableMenu=False, defaultPadding=0.0)
        self._plane = plane

    def wheelEvent(self, event: object, axis: object = None) -> None:
        delta = event.delta()  # type: ignore[attr-defined]
        self._plane.turn(int(np.sign(delta)))
        event.accept()  # type: ignore[attr-defined]

    def mouseClickEvent(self, event: object) -> None:
        if event.button() == Qt.MouseButton.LeftButton:  # type: ignore[attr-defined]
            where = self.mapSceneToView(event.scenePos())  # type: ignore[attr-defined]
            for axis, value in zip(self._plane.axes, (where.x(), where.y()), strict=True):
                self._plane.dragged.emit(axis, value)
