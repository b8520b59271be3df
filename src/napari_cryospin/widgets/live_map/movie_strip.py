"""The strip beside the map in a movie of a run: epoch and resolution, the globe of view directions, and a curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from pyqtgraph.functions import ndarray_from_qimage
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPen, QPolygonF

from napari_cryospin.geometry.globe_cells import turned_globe_cells
from napari_cryospin.widgets.kit.colours import SWITCH_COLOUR, Theme
from napari_cryospin.widgets.kit.plots import ACCENT

SIDE_WIDTH = 240  # px
STRIP_MARGIN, TEXT_HEIGHT, LEGEND_HEIGHT = 16, 64, 18  # px
GLOBE_SIDE, CURVE_HEIGHT = (48, 176), (40, 130)  # px, least and most
DENSEST = 3.0
"""Particles from a direction, over an even spread, at which the globe's colours end; chosen by hand."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StripContent:
    """What the strip shows of a run at the end of one epoch.

    Attributes
    ----------
    epoch : int
        Number of the epoch.
    resolution : float, optional
        Angstrom; None: not known.
    epochs, frequencies : ndarray
        `(k,)` epochs so far, and resolutions in 1/Angstrom.
    switch : float, optional
        Epoch of the switch; None: not yet.
    density : ndarray, optional
        `(cells,)` particles seen from each direction over an even spread; None: not known.
    turned : ndarray
        `(3, 3)` rotation under which the camera shows the map, and the strip the globe.
    """

    epoch: int
    resolution: float | None
    epochs: NDArray[np.float64]
    frequencies: NDArray[np.float64]
    switch: float | None
    density: NDArray[np.float64] | None
    turned: NDArray[np.float64]


def side_strip(content: StripContent, height: int, theme: Theme) -> NDArray[np.uint8]:
    """Draw the strip in some height, px: `(height, SIDE_WIDTH, 3)`."""
    image = QImage(SIDE_WIDTH, height, QImage.Format.Format_RGB32)
    image.fill(QColor(theme.background))
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    _set_font(painter, 20, theme)
    told = f"epoch {content.epoch}" + ("" if content.resolution is None else f"\n{content.resolution:.1f} Å")
    text = QRectF(STRIP_MARGIN, 12, SIDE_WIDTH - 2 * STRIP_MARGIN, TEXT_HEIGHT)
    painter.drawText(text, Qt.AlignmentFlag.AlignLeft, told)
    top, width = 12.0 + TEXT_HEIGHT, SIDE_WIDTH - 2 * STRIP_MARGIN
    room = height - top - 2 * LEGEND_HEIGHT - 2 * STRIP_MARGIN
    curve_height = _clamp(room / 3, CURVE_HEIGHT)
    if content.density is not None:
        side = _clamp(room - curve_height, GLOBE_SIDE)
        _paint_globe(painter, content, QRectF((SIDE_WIDTH - side) / 2, top, side, side), theme)
        top += side + LEGEND_HEIGHT + STRIP_MARGIN
    _paint_curve(painter, content, QRectF(STRIP_MARGIN, top, width, curve_height), theme)
    painter.end()
    return np.array(ndarray_from_qimage(image)[..., 2::-1])  # Qt has blue first.


def globe_image(density: NDArray[np.float64], turned: NDArray[np.float64], side: int) -> NDArray[np.uint8]:
    """Draw `(cells,)` densities of directions on a globe, `(side, side, 4)`: red, green, blue, and 0 beside it."""
    cells = turned_globe_cells(turned, int(np.sqrt(len(density) / 12)), side)
    colours = pg.colormap.get("viridis").getLookupTable(nPts=256)[:, :3]
    shades = (255 * np.clip(density / DENSEST, 0, 1)).astype(np.uint8)
    picture = np.zeros((side, side, 4), np.uint8)
    seen = cells >= 0
    picture[seen, :3], picture[seen, 3] = colours[shades[cells[seen]]], 255
    return picture


def _paint_globe(painter: QPainter, content: StripContent, box: QRectF, theme: Theme) -> None:
    assert content.density is not None
    side = round(box.width())
    pixels = globe_image(content.density, content.turned, side)
    image = QImage(pixels.tobytes(), side, side, 4 * side, QImage.Format.Format_RGBA8888)
    painter.drawImage(box, image.copy())
    painter.setPen(QPen(QColor(theme.text), 1))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawEllipse(box)
    _set_font(painter, 12, theme)
    below = QRectF(0, box.bottom() + 2, SIDE_WIDTH, LEGEND_HEIGHT)
    painter.drawText(below, Qt.AlignmentFlag.AlignCenter, "particles seen from there")


def _paint_curve(painter: QPainter, content: StripContent, box: QRectF, theme: Theme) -> None:
    x, y = content.epochs, content.frequencies
    painter.setPen(QPen(QColor(theme.highlight), 1))
    painter.drawLine(box.bottomLeft(), box.bottomRight())
    painter.drawLine(box.bottomLeft(), box.topLeft())
    if not len(x):
        return
    across, up = box.width() / max(float(x.max()), 1.0), 0.95 * box.height() / float(y.max())
    if content.switch is not None:
        place = box.left() + content.switch * across
        painter.setPen(QPen(QColor(SWITCH_COLOUR), 1.5))
        painter.drawLine(QPointF(place, box.top()), QPointF(place, box.bottom()))
    painter.setPen(QPen(QColor(ACCENT), 2))
    points = [QPointF(box.left() + a * across, box.bottom() - b * up) for a, b in zip(x, y, strict=True)]
    painter.drawPolyline(QPolygonF(points))
    _set_font(painter, 12, theme)
    below = QRectF(box.left(), box.bottom() + 4, box.width(), LEGEND_HEIGHT)
    painter.drawText(below, Qt.AlignmentFlag.AlignCenter, "resolution (1/Å) by epoch")


def _set_font(painter: QPainter, size: int, theme: Theme) -> None:
    font = painter.font()
    font.setPixelSize(size)
    painter.setFont(font)
    painter.setPen(QColor(theme.text))


def _clamp(value: float, limits: tuple[int, int]) -> int:
    return round(min(max(value, limits[0]), limits[1]))
