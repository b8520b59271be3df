"""Particles in a row: each one's image, the map's projection at its pose, and the difference of the two."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPoint, QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen

from napari_cryospin.widgets.kit.greys import grey_picture
from napari_cryospin.widgets.kit.particle_tiles import ParticleTiles
from napari_cryospin.widgets.kit.plots import SECOND
from napari_cryospin.widgets.kit.text_size import text_scale
from napari_cryospin.widgets.sphere.view import small_font

KINDS = ("particle", "projection", "difference")
LEAST_SIDE_OF_TRIPLE = 28  # px, of a picture
TRIPLE_GAP, TRIPLE_CAPTION, TRIPLE_NAMES = 3, 15, 62  # px: between pictures, beneath a column, left of all columns
GREY_LIMIT = 3.0
"""Grey range to either side of 0, in standard deviations of the particle's image; chosen by hand."""


class Triples(ParticleTiles):
    """Columns of three pictures, as many as fit; a click chooses a particle."""

    def __init__(self) -> None:
        super().__init__()
        self.captions: tuple[str, ...] = ()
        self.pictures: dict[int, tuple[QImage, ...]] = {}
        self.setMinimumSize(160, 3 * LEAST_SIDE_OF_TRIPLE + TRIPLE_CAPTION + 3 * TRIPLE_GAP)
        self.setToolTip("Click a particle to choose it; its posterior and its direction are shown then")

    @property
    def side(self) -> float:
        """Side of a picture, px."""
        return max(LEAST_SIDE_OF_TRIPLE, (self.height() - self.caption_height) / 3 - TRIPLE_GAP)

    @property
    def caption_height(self) -> float:
        """Height of the line beneath a column, px."""
        return TRIPLE_CAPTION * text_scale(self.font())

    @property
    def names_width(self) -> float:
        """Width of the names left of all columns, px."""
        return TRIPLE_NAMES * text_scale(self.font())

    @property
    def fits(self) -> int:
        """Number of columns that fit."""
        return max(1, int((self.width() - self.names_width) / (self.side + TRIPLE_GAP)))

    def knows(self, row: int) -> bool:
        return row in self.pictures

    def show_rows(self, rows: NDArray[np.int64], captions: tuple[str, ...], selected: NDArray[np.bool_]) -> None:
        """Show the particles at `(k,)` rows of the input with captions; their pictures may follow."""
        self.rows, self.captions, self.selected = rows, captions, selected
        self.update()

    def add(self, row: int, pair: NDArray[np.float32]) -> None:
        """Draw the `(2, n, n)` image and projection of a particle, and their difference, in one range of greys."""
        image, projection = pair
        limit = GREY_LIMIT * float(image.std())
        self.pictures[row] = tuple(grey_picture(one, limit) for one in (image, projection, image - projection))
        self.update()

    def forget(self) -> None:
        """Forget all pictures, because they are of another map."""
        self.pictures.clear()
        self.update()

    def column(self, number: int) -> QRectF:
        """Return the rectangle of a column."""
        left = self.names_width + number * (self.side + TRIPLE_GAP)
        return QRectF(left, 0, self.side, 3 * (self.side + TRIPLE_GAP) + self.caption_height)

    def number_at(self, point: QPoint) -> int | None:
        """Return the number of the column at a point; None: there is none."""
        shown = range(min(len(self.rows), self.fits))
        return next((number for number in shown if self.column(number).contains(point.toPointF())), None)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.setFont(small_font(self.font()))
        step, text = self.side + TRIPLE_GAP, self.palette().windowText().color()
        painter.setPen(text)
        middle = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight
        for place, kind in enumerate(KINDS if len(self.rows) else ()):
            painter.drawText(QRectF(0, place * step, self.names_width - 6, self.side), middle, kind)
        for number, row in enumerate(self.rows[: self.fits]):
            box = self.column(number)
            for place, picture in enumerate(self.pictures.get(int(row), ())):
                painter.drawImage(QRectF(box.left(), place * step, self.side, self.side), picture)
            self._paint_number(painter, box, int(row))
            painter.setPen(text)
            below = QRectF(box.left() - 4, 3 * step - 1, self.side + 8, self.caption_height)
            painter.drawText(below, Qt.AlignmentFlag.AlignCenter, self.captions[number])
            if self.selected[number] or row == self.chosen:
                painter.setPen(QPen(text if row == self.chosen else QColor(SECOND), 2))
                painter.drawRect(QRectF(box.left(), 1, self.side, 3 * step - TRIPLE_GAP - 1))
        painter.end()

    def _paint_number(self, painter: QPainter, box: QRectF, row: int) -> None:
        """Paint the particle's number, from 1, into the corner of its image."""
        number = f" {row + 1} "
        corner = QRectF(painter.fontMetrics().boundingRect(number))
        corner.moveBottomLeft(QPointF(box.left(), self.side))
        painter.fillRect(corner, QColor(0, 0, 0, 150))
        painter.setPen(QColor("white"))
        painter.drawText(corner, Qt.AlignmentFlag.AlignCenter, number)
