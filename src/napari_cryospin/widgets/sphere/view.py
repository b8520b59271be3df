"""Base of the maps of view directions: draws a scene through a projection, and finds the direction under the mouse."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QBrush, QColor, QFont, QHelpEvent, QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPen
from qtpy.QtWidgets import QToolTip, QWidget

from napari_cryospin.geometry.sphere_cells import graticule, healpix_cells, pixel_of, rot_tilt_of
from napari_cryospin.widgets.kit.colours import POSE_COLOUR, SAMPLE_COLOUR, SWITCH_COLOUR, TRUTH_COLOUR, head_colour
from napari_cryospin.widgets.sphere.scene import DirectionScene, Marker

MARKER_REACH = 11.0  # px between the mouse and a marker that count as on it
CLICK_SLACK = 4.0  # px that the mouse may move in a click
SMALL_SHARE = 7.5 / 9  # of the size of texts, in which labels inside a picture are written; chosen by hand
FAR_SIDE_OPACITY = 0.28  # opacity of markers and lines on the far side
RIM_COLOUR = QColor(0, 0, 0, 190)  # of markers, so that they stand out from every colour beneath
AXIS_DIRECTIONS = {
    "+x": (1, 0, 0),
    "+y": (0, 1, 0),
    "+z": (0, 0, 1),
    "-x": (-1, 0, 0),
    "-y": (0, -1, 0),
    "-z": (0, 0, -1),
}


class DirectionView(QWidget):
    """Base of the globe and of the flat maps.

    A subclass implements where a direction is drawn (`project`), which direction lies under a point (`direction_at`),
    and how the heat map is painted beneath everything else (`paint_heat`).
    """

    clicked = Signal(object)  # (3,) unit vector
    hides_far_side = False

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.scene: DirectionScene | None = None
        self._pressed: QPointF | None = None
        self._moved = False
        self._graticule = graticule()
        self.setCursor(Qt.CursorShape.CrossCursor)

    def show_scene(self, scene: DirectionScene | None) -> None:
        """Draw a scene; None: nothing."""
        self.scene = scene
        self.update()

    # For subclasses

    @property
    def clip(self) -> QRectF | None:
        """Rectangle in which markers and lines are painted, px; None: everywhere."""
        return None

    def project(self, directions: NDArray) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Project `(..., 3)` unit vectors to `(..., 2)` points of the widget, with whether each faces the user."""
        raise NotImplementedError

    def direction_at(self, point: QPointF) -> NDArray[np.float64] | None:
        """Return the `(3,)` unit vector under a point of the widget; None: there is none."""
        raise NotImplementedError

    def paint_heat(self, painter: QPainter, scene: DirectionScene) -> None:
        """Paint the heat map."""
        raise NotImplementedError

    def paint_frame(self, painter: QPainter) -> None:
        """Paint graticule and names of the axes, above the heat map and beneath the markers."""
        pen = QPen(QColor(255, 255, 255, 46), 0.8)
        self._stroke(painter, self._graticule, pen)
        painter.setFont(small_font(self.font()))
        for name, axis in AXIS_DIRECTIONS.items():
            places, facing = self.project(np.array([axis], dtype=float))
            if facing[0]:
                place = QPointF(*places[0])
                box = QRectF(place.x() - 32, place.y() - 16, 64, 32)
                for shade, colour in ((1.0, QColor(0, 0, 0, 150)), (0.0, QColor(255, 255, 255, 190))):
                    painter.setPen(colour)
                    painter.drawText(box.translated(shade, shade), Qt.AlignmentFlag.AlignCenter, name)

    # Painting

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        self.paint(painter)
        painter.end()

    def paint(self, painter: QPainter) -> None:
        """Paint the scene, on the screen or into a picture."""
        if self.scene is None:
            return
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        self.paint_heat(painter, self.scene)
        self.paint_frame(painter)
        painter.save()
        if self.clip is not None:
            painter.setClipRect(self.clip)
        self.paint_region(painter, self.scene)
        self._paint_path(painter, self.scene)
        self._paint_markers(painter, self.scene)
        painter.restore()

    def _paint_markers(self, painter: QPainter, scene: DirectionScene) -> None:
        markers = sorted(scene.markers, key=lambda marker: (marker.kind == "truth", marker.winner))
        for marker in markers:
            places, facing = self.project(marker.direction[None])
            if np.isfinite(places[0]).all() and (facing[0] or self.hides_far_side):
                painter.setOpacity(1.0 if facing[0] else FAR_SIDE_OPACITY)
                paint_marker(painter, QPointF(*places[0]), marker, self.font(), small=not facing[0])
        painter.setOpacity(1.0)

    def paint_region(self, painter: QPainter, scene: DirectionScene) -> None:
        """Outline the cells that hold 90 % of the probability."""
        lines = list(healpix_cells(8).outline(scene.region)) if len(scene.log_posterior) == 768 else []
        self._stroke(painter, lines, QPen(RIM_COLOUR, 2.6))
        self._stroke(painter, lines, QPen(QColor(255, 255, 255, 235), 1.2))

    def _paint_path(self, painter: QPainter, scene: DirectionScene) -> None:
        path = scene.path
        if len(path.directions) < 2:
            return
        line = great_arcs(path.directions)
        self._stroke(painter, [line], QPen(RIM_COLOUR, 2.6))
        self._stroke(painter, [line], QPen(QColor(255, 255, 255, 200), 1.1))
        places, facing = self.project(path.directions.astype(float))
        for number, (place, front) in enumerate(zip(places, facing, strict=True)):
            if front and np.isfinite(place).all():
                switch = number == path.switch
                painter.setPen(QPen(RIM_COLOUR, 1))
                painter.setBrush(QColor(SWITCH_COLOUR if switch else "#FFFFFF"))
                size = 4.6 if switch else 1.9
                if switch:
                    box = QRectF(place[0] - size, place[1] - size, 2 * size, 2 * size)
                    painter.drawRect(box)
                else:
                    painter.drawEllipse(QPointF(*place), size, size)

    def _stroke(self, painter: QPainter, lines: list[NDArray], pen: QPen) -> None:
        """Draw polylines of directions where they are visible."""
        if not lines:
            return
        from pyqtgraph.functions import arrayToQPath

        places, facing = self.project(np.concatenate(lines))
        joined = np.ones(len(places), dtype=bool)
        joined[np.cumsum([len(line) for line in lines]) - 1] = False
        step = np.abs(np.diff(places, axis=0, append=places[-1:])).max(-1)
        facing &= np.isfinite(places).all(-1)
        # A long step is that of a line which leaves the map on one side and enters it on the other.
        joined &= facing & np.roll(facing, -1) & (step < 0.4 * self.width())
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        places = np.nan_to_num(places)
        painter.drawPath(arrayToQPath(places[:, 0].copy(), places[:, 1].copy(), connect=joined))

    # Mouse

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            self._pressed, self._moved = event.position(), False

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        if event is None or self._pressed is None:
            return
        step = event.position() - self._pressed
        if self._moved or np.hypot(step.x(), step.y()) > CLICK_SLACK:
            self._moved = True
            self.drag(step)
            self._pressed = event.position()

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        if event is not None and self._pressed is not None and not self._moved:
            direction = self.direction_at(event.position())
            if direction is not None:
                self.clicked.emit(direction)
        self._pressed = None

    def drag(self, step: QPointF) -> None:
        """React to a drag of the mouse by `step` px."""

    def event(self, event: QEvent | None) -> bool:
        if event is not None and event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            QToolTip.showText(event.globalPos(), self.tip_at(QPointF(event.pos())), self)
            return True
        return super().event(event)

    def tip_at(self, point: QPointF) -> str:
        """Return the text of the tooltip at a point."""
        direction = self.direction_at(point)
        if direction is None or self.scene is None:
            return ""
        rot, tilt = rot_tilt_of(direction)
        lines = [marker.name for marker in self.markers_at(point)]
        lines.append(f"rot {rot:.1f}°, tilt {tilt:.1f}°")
        value = float(self.scene.log_posterior[pixel_of(direction, 8)])
        lines.append(f"{100 * np.exp(value):.2g} % of the probability lies in this cell")
        lines.append("Click: turn the map to this view")
        return "\n".join(lines)

    def markers_at(self, point: QPointF) -> list[Marker]:
        """Return the markers under a point."""
        if self.scene is None or not self.scene.markers:
            return []
        places, facing = self.project(np.array([marker.direction for marker in self.scene.markers], dtype=float))
        near = facing & (np.hypot(places[:, 0] - point.x(), places[:, 1] - point.y()) < MARKER_REACH)
        return [marker for marker, here in zip(self.scene.markers, near, strict=True) if here]


def great_arcs(directions: NDArray, pieces: int = 8) -> NDArray[np.float64]:
    """Return a polyline `(k, 3)` along the sphere through `(n, 3)` unit vectors."""
    share = np.arange(pieces)[:, None] / pieces
    between = directions[:-1, None] * (1 - share) + directions[1:, None] * share  # (n - 1, pieces, 3)
    line = np.concatenate([between.reshape(-1, 3), directions[-1:]]).astype(np.float64)
    return line / np.maximum(np.linalg.norm(line, axis=-1, keepdims=True), 1e-9)


def small_font(font: QFont) -> QFont:
    """Make the font for labels inside a picture: a little smaller than that of the texts beside it."""
    small = QFont(font)
    small.setPointSizeF(SMALL_SHARE * font.pointSizeF())
    return small


def paint_marker(painter: QPainter, place: QPointF, marker: Marker, font: QFont, small: bool = False) -> None:
    """Paint a marker, with a dark rim so that it stands out from every colour beneath."""
    {"head": _paint_head, "best": _paint_best, "pose": _paint_pose, "truth": _paint_truth}[marker.kind](
        painter, place, marker, font, small
    )


def _paint_head(painter: QPainter, place: QPointF, marker: Marker, font: QFont, small: bool) -> None:
    radius = 4.5 if small else 7.5
    colour = QColor(head_colour(marker.head))
    if marker.winner:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for pen in (QPen(RIM_COLOUR, 4.4), QPen(QColor("white"), 2.2)):
            painter.setPen(pen)
            painter.drawEllipse(place, radius + 2.6, radius + 2.6)
    painter.setPen(QPen(RIM_COLOUR, 1.2))
    painter.setBrush(QBrush(colour))
    painter.drawEllipse(place, radius, radius)
    if not small:
        bold = QFont(font)
        bold.setPixelSize(10)  # The circle has this room, whatever the size of texts is.
        bold.setBold(True)
        painter.setFont(bold)
        light = colour.lightnessF() > 0.42
        painter.setPen(QColor("black") if light else QColor("white"))
        box = QRectF(place.x() - 10, place.y() - 8, 20, 16)
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, str(marker.head + 1))


def _paint_best(painter: QPainter, place: QPointF, _marker: Marker, _font: QFont, _small: bool) -> None:
    path = QPainterPath()
    for number, (x, y) in enumerate(((0, -6), (6, 0), (0, 6), (-6, 0), (0, -6))):
        point = place + QPointF(x, y)
        path.lineTo(point) if number else path.moveTo(point)
    _outlined(painter, path, QColor(SAMPLE_COLOUR), 1.8)


def _paint_pose(painter: QPainter, place: QPointF, _marker: Marker, _font: QFont, _small: bool) -> None:
    path = QPainterPath()
    path.addEllipse(place, 12, 12)
    for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        path.moveTo(place + QPointF(12 * x, 12 * y))
        path.lineTo(place + QPointF(16 * x, 16 * y))
    _outlined(painter, path, QColor(POSE_COLOUR), 1.4)


def _paint_truth(painter: QPainter, place: QPointF, _marker: Marker, _font: QFont, _small: bool) -> None:
    path = QPainterPath()
    for x, y in ((1, 1), (1, -1)):
        path.moveTo(place - QPointF(5.5 * x, 5.5 * y))
        path.lineTo(place + QPointF(5.5 * x, 5.5 * y))
    _outlined(painter, path, QColor(TRUTH_COLOUR), 2.0)


def _outlined(painter: QPainter, path: QPainterPath, colour: QColor, width: float) -> None:
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for pen in (QPen(RIM_COLOUR, width + 2), QPen(colour, width)):
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        painter.drawPath(path)
