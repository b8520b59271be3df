"""Gnomonic zoom on a mode of the posterior, on a fine grid and with a scale in degrees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPen, QTransform
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_cryospin.geometry.sphere_cells import credible_cells, rot_tilt_of
from napari_cryospin.widgets.kit.text_size import text_scale
from napari_cryospin.widgets.sphere.scene import REGION_SHARE, DirectionScene, credible_levels, image_of
from napari_cryospin.widgets.sphere.view import RIM_COLOUR, DirectionView, small_font

if TYPE_CHECKING:
    from napari_cryospin.views.posterior.answers import Zoom

MARGINS = (30, 22, 8, 20)
"""Pixels left of the map, above, right of it and beneath, for its scale, at the usual size of texts."""
LINES_REACH = 4  # distance from the centre up to which lines are drawn, over the reach of the map
ZOOM_FINENESS = 8  # points of the picture for each point of the grid


class ZoomView(DirectionView):
    """Map of the posterior near its best mode; east is to the right and north up, as on the globe."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.zoom: Zoom | None = None
        self._picture: QImage | None = None
        self.setMinimumSize(160, 160)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        return QSize(320, 320)

    def show_scene(self, scene: DirectionScene | None) -> None:
        """Draw a particle's markers; its zoom follows later, by `show_zoom`."""
        if scene is None or self.scene is None or scene.log_posterior is not self.scene.log_posterior:
            self.zoom = None
        self._picture = None
        super().show_scene(scene)

    def show_zoom(self, zoom: Zoom) -> None:
        """Draw a zoom beneath the markers."""
        self.zoom, self._picture = zoom, None
        self.update()

    @property
    def frame(self) -> QRectF:
        """Square of the map, px."""
        left, top, right, bottom = (text_scale(self.font()) * margin for margin in MARGINS)
        side = max(1.0, min(self.width() - left - right, self.height() - top - bottom))
        x = left + (self.width() - left - right - side) / 2
        return QRectF(x, top + (self.height() - top - bottom - side) / 2, side, side)

    @property
    def reach(self) -> float:
        """Angle from the middle to an edge, degrees."""
        assert self.zoom is not None
        return float(self.zoom.u[-1])

    @property
    def clip(self) -> QRectF | None:
        return self.frame

    def _points(self, degrees: NDArray) -> NDArray[np.float64]:
        frame = self.frame
        scale = frame.width() / (2 * self.reach)
        return np.stack(
            [frame.center().x() + scale * degrees[..., 0], frame.center().y() - scale * degrees[..., 1]], axis=-1
        )

    def project(self, directions: NDArray) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        if self.zoom is None:
            return np.full((*np.shape(directions)[:-1], 2), np.nan), np.zeros(np.shape(directions)[:-1], dtype=bool)
        degrees = self.zoom.project(directions)
        with np.errstate(invalid="ignore"):
            return self._points(degrees), np.asarray((np.abs(degrees) <= LINES_REACH * self.reach).all(-1))

    def direction_at(self, point: QPointF) -> NDArray[np.float64] | None:
        if self.zoom is None or not self.frame.contains(point):
            return None
        offset = (point - self.frame.center()) * (2 * self.reach / self.frame.width())
        u, v = np.tan(np.radians([offset.x(), -offset.y()]))
        direction = self.zoom.centre + u * self.zoom.axes[0] + v * self.zoom.axes[1]
        return np.asarray(direction / np.linalg.norm(direction))

    def paint_heat(self, painter: QPainter, scene: DirectionScene) -> None:
        if self.zoom is None:
            painter.setPen(QColor(128, 128, 128))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, "computing the fine grid …")
            return
        if self._picture is None:
            from scipy import ndimage  # A window that opens need not wait for it.

            values = ndimage.zoom(self.zoom.log_posterior, ZOOM_FINENESS, order=1)
            self._picture = image_of(
                scene.colours_of(values, credible_levels(self.zoom.log_posterior))[::-1]
            )  # north up
        painter.drawImage(self.frame, self._picture)

    def paint_frame(self, painter: QPainter) -> None:
        if self.zoom is None:
            return
        frame = self.frame
        painter.save()
        painter.setClipRect(frame)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        scale = frame.width() / (2 * self.reach)
        for degrees in (2, 5, 10):
            painter.setPen(QPen(QColor(255, 255, 255, 60), 0.8, Qt.PenStyle.DashLine))
            painter.drawEllipse(frame.center(), degrees * scale, degrees * scale)
        painter.restore()
        painter.setPen(QPen(QColor(128, 128, 128, 200), 1.2))
        painter.drawRect(frame)
        painter.setFont(small_font(self.font()))
        painter.setPen(self.palette().windowText().color())
        line = 14 * text_scale(self.font())
        for degrees in (-10, -5, 0, 5, 10):
            x, y = self._points(np.array([degrees, degrees], dtype=float))
            painter.drawText(QRectF(x - 20, frame.bottom() + 3, 40, line), Qt.AlignmentFlag.AlignCenter, f"{degrees}°")
            right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            if abs(degrees) < self.reach:
                painter.drawText(QRectF(frame.left() - 54, y - line / 2, 50, line), right, f"{degrees}°")
        rot, tilt = rot_tilt_of(self.zoom.centre)
        step = float(self.zoom.u[1] - self.zoom.u[0])
        text = f"around rot {rot:.1f}°, tilt {tilt:.1f}° · grid {step:.2g}°"
        box = QRectF(0, frame.top() - line - 6, self.width(), line + 3)
        painter.drawText(box, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignBottom, text)

    def paint_region(self, painter: QPainter, scene: DirectionScene) -> None:
        if self.zoom is None:
            return
        from pyqtgraph.functions import isocurve

        values = self.zoom.log_posterior
        level = float(values[credible_cells(values, REGION_SHARE)].min()) - 1e-3
        curve = isocurve(values.T.astype(float), level, connected=True, path=True)  # columns, rows + 0.5
        frame, side = self.frame, len(values) - 1
        to_frame = QTransform(
            frame.width() / side, 0, 0, -frame.height() / side, frame.left() - 0.5 * frame.width() / side,
            frame.bottom() + 0.5 * frame.height() / side,
        )  # fmt: skip
        curve = to_frame.map(curve)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for pen in (QPen(RIM_COLOUR, 2.6), QPen(QColor(255, 255, 255, 235), 1.2)):
            painter.setPen(pen)
            painter.drawPath(curve)
