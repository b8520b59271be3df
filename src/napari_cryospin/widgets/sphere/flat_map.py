"""The flat map of all view directions (Mollweide projection, equal areas)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize
from qtpy.QtGui import QColor, QImage, QPainter, QPainterPath, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_cryospin.geometry.mollweide import mollweide, mollweide_direction, mollweide_pixels
from napari_cryospin.views.sphere_pictures import CELLS_NSIDE, FLAT_MAP_ROWS
from napari_cryospin.widgets.sphere.scene import DirectionScene, image_of
from napari_cryospin.widgets.sphere.view import DirectionView

ELLIPSE_MARGIN = 6  # px around the map


class MollweideView(DirectionView):
    """Flat map of all directions: rot 0, tilt 90 in the middle, rot grows to the right."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._picture: QImage | None = None
        self.setMinimumSize(160, 90)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        return QSize(400, 210)

    def show_scene(self, scene: DirectionScene | None) -> None:
        self._picture = None
        super().show_scene(scene)

    @property
    def frame(self) -> QRectF:
        """The rectangle around the ellipse, px."""
        half = max(1.0, min((self.width() - 2 * ELLIPSE_MARGIN) / 4, (self.height() - 2 * ELLIPSE_MARGIN) / 2))
        return QRectF(self.width() / 2 - 2 * half, self.height() / 2 - half, 4 * half, 2 * half)

    def project(self, directions: NDArray) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        frame, place = self.frame, mollweide(directions)
        half = frame.height() / 2
        points = np.stack([frame.center().x() + half * place[..., 0], frame.center().y() - half * place[..., 1]], -1)
        return points, np.ones(points.shape[:-1], dtype=bool)

    def direction_at(self, point: QPointF) -> NDArray[np.float64] | None:
        half, centre = self.frame.height() / 2, self.frame.center()
        direction = mollweide_direction([(point.x() - centre.x()) / half, (centre.y() - point.y()) / half])
        return direction if np.isfinite(direction).all() else None

    def paint_heat(self, painter: QPainter, scene: DirectionScene) -> None:
        if self._picture is None:
            pixels = mollweide_pixels(CELLS_NSIDE, FLAT_MAP_ROWS)[::-1]
            self._picture = image_of(scene.colours()[pixels])
        path = ellipse(self.frame)
        painter.save()
        painter.setClipPath(path)
        painter.drawImage(self.frame, self._picture)
        painter.restore()
        painter.setPen(QPen(QColor(128, 128, 128, 200), 1.2))
        painter.drawPath(path)


def ellipse(frame: QRectF) -> QPainterPath:
    """Return the rim of the map."""
    path = QPainterPath()
    path.addEllipse(frame)
    return path
