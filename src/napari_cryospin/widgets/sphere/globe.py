"""The globe of view directions: a mesh of HEALPix cells in an OpenGL canvas, with markers painted above it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from qtpy.QtCore import QPointF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QImage, QPainter, QPen, QRadialGradient, QResizeEvent
from qtpy.QtWidgets import QSizePolicy, QWidget
from vispy import scene as vispy_scene
from vispy.visuals.transforms import MatrixTransform

from napari_cryospin.geometry.sphere_cells import healpix_cells
from napari_cryospin.widgets.sphere.scene import DirectionScene
from napari_cryospin.widgets.sphere.view import DirectionView

GLOBE_NSIDE = 8
GLOBE_SHARE = 0.93  # diameter of the globe, as a share of the widget's shorter side
TURN_SPEED = 0.4  # degrees for each px of dragging, on a globe of 300 px


class Sphere(QWidget):
    """Globe that the mouse turns.

    The mesh is made once and recoloured. Floating a dock destroys the OpenGL context, after which it is made again.
    """

    turned = Signal(object)  # (3, 3) rotation: the user turned the globe
    clicked = Signal(object)  # (3,) unit vector

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rotation = np.eye(3)
        self.canvas = vispy_scene.SceneCanvas(show=False, bgcolor="black", create_native=True)
        self.canvas.native.setParent(self)
        self.overlay = SphereOverlay(self)
        self.overlay.clicked.connect(self.clicked)
        self._mesh: vispy_scene.visuals.Mesh | None = None
        self._transform = MatrixTransform()
        self.canvas.events.initialize.connect(self._rebuild)
        self.setMinimumSize(160, 160)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        return QSize(320, 320)

    def set_background(self, colour: str) -> None:
        """Set the colour around the globe, #rrggbb."""
        self.canvas.bgcolor = colour
        self.overlay.background = QColor(colour)
        self.canvas.update()

    def show_scene(self, scene: DirectionScene | None) -> None:
        """Draw a scene; None: nothing."""
        self.overlay.show_scene(scene)
        self._recolour()

    def turn(self, rotation: ArrayLike) -> None:
        """Turn the globe to a `(3, 3)` rotation, whose rows point to the right, upwards and towards the user."""
        self.rotation = np.asarray(rotation, dtype=np.float64)
        self._place()

    def face(self, direction: ArrayLike, upright: bool = False) -> None:
        """Turn the globe so that a `(3,)` direction faces the user, by the shortest way or with north upwards."""
        target, now = np.asarray(direction, dtype=np.float64), self.rotation[2]
        if upright:
            east = np.cross((0.0, 0.0, 1.0), target)
            east = np.array([0.0, 1.0, 0.0]) if np.linalg.norm(east) < 1e-6 else east / np.linalg.norm(east)
            self.turn(np.stack([east, np.cross(target, east), target]))
            return
        axis, angle = np.cross(target, now), float(np.arccos(np.clip(target @ now, -1, 1)))
        self.turn(self.rotation @ turn_about(axis if np.linalg.norm(axis) > 1e-9 else self.rotation[1], angle))

    def turn_by(self, step: QPointF) -> None:
        """Turn the globe as a drag of the mouse by `step` px does."""
        angle = np.radians(TURN_SPEED) * 300 / max(2 * self.radius, 1)
        self.turn(turn_about((1, 0, 0), step.y() * angle) @ turn_about((0, 1, 0), step.x() * angle) @ self.rotation)
        self.turned.emit(self.rotation)

    @property
    def radius(self) -> float:
        """Radius of the globe, px."""
        return GLOBE_SHARE / 2 * max(1, min(self.width(), self.height()))

    def picture(self) -> QImage:
        """Draw the globe as it is seen into a picture."""
        pixels = np.asarray(self.canvas.render(), dtype=np.uint8)
        rows, columns = pixels.shape[:2]
        image = QImage(pixels.tobytes(), columns, rows, 4 * columns, QImage.Format.Format_RGBA8888).copy()
        image.setDevicePixelRatio(columns / max(1, self.width()))
        painter = QPainter(image)
        self.overlay.paint(painter)
        painter.end()
        return image

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        self.canvas.native.setGeometry(self.rect())
        self.overlay.setGeometry(self.rect())
        self._place()

    # OpenGL

    def _rebuild(self, _: object = None) -> None:
        """Make the mesh again in a new OpenGL context."""
        if self._mesh is not None:
            self._mesh.parent = None
        self._mesh = None
        self._recolour()

    def _recolour(self) -> None:
        scene = self.overlay.scene
        if self._mesh is not None:
            self._mesh.visible = scene is not None
        if scene is None:
            return
        cells = healpix_cells(GLOBE_NSIDE)
        colours = np.ones((len(cells.vertices), 4), dtype=np.float32)
        colours[:, :3] = scene.colours()[cells.cell_of_vertex] / 255
        if self._mesh is None:
            self._mesh = vispy_scene.visuals.Mesh(
                cells.vertices, cells.faces, vertex_colors=colours, shading=None, parent=self.canvas.scene
            )
            # The globe is convex, so hiding the faces that point away replaces a depth buffer.
            self._mesh.set_gl_state("opaque", depth_test=False, cull_face="back")
            self._mesh.transform = self._transform
            self._place()
        else:
            self._mesh.mesh_data.set_vertex_colors(colours)
            self._mesh.mesh_data_changed()
        self.canvas.update()

    def _place(self) -> None:
        """Set rotation, size and place of the globe in the canvas, whose y axis points downwards, for row vectors."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.rotation.T * (self.radius, -self.radius, 0.5)  # This z stays between the clipping planes.
        matrix[3, :2] = self.width() / 2, self.height() / 2
        self._transform.matrix = matrix
        self.overlay.update()
        self.canvas.update()


class SphereOverlay(DirectionView):
    """Transparent widget above the globe that paints the markers and receives the mouse."""

    hides_far_side = True

    def __init__(self, globe: Sphere) -> None:
        super().__init__(globe)
        self.globe = globe
        self.background = QColor("black")
        self.setAttribute(Qt.WidgetAttribute.WA_TranslucentBackground)

    def project(self, directions: NDArray) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        seen = np.asarray(directions, dtype=np.float64) @ self.globe.rotation.T
        points = seen[..., :2] * (self.globe.radius, -self.globe.radius) + (self.width() / 2, self.height() / 2)
        return points, seen[..., 2] > 0

    def direction_at(self, point: QPointF) -> NDArray[np.float64] | None:
        x = (point.x() - self.width() / 2) / self.globe.radius
        y = (self.height() / 2 - point.y()) / self.globe.radius
        if x * x + y * y > 1:
            return None
        return np.array([x, y, np.sqrt(1 - x * x - y * y)]) @ self.globe.rotation

    def paint_heat(self, painter: QPainter, scene: DirectionScene) -> None:
        """Paint the shade towards the rim; the canvas below draws the cells."""
        centre, radius = QPointF(self.width() / 2, self.height() / 2), self.globe.radius
        shade = QRadialGradient(centre, radius)
        for share, alpha in ((0.0, 0), (0.75, 0), (0.92, 40), (1.0, 120)):
            shade.setColorAt(share, QColor(0, 0, 0, alpha))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(shade)
        painter.drawEllipse(centre, radius, radius)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(128, 128, 128, 220), 1.6))  # A smooth line covers the steps of the mesh's rim.
        painter.drawEllipse(centre, radius, radius)

    def drag(self, step: QPointF) -> None:
        self.globe.turn_by(step)


def turn_about(axis: ArrayLike, angle: float) -> NDArray[np.float64]:
    """Return the `(3, 3)` rotation about `(3,)` `axis` by an angle in radian."""
    from scipy.spatial.transform import Rotation

    axis = np.asarray(axis, dtype=np.float64)
    length = np.linalg.norm(axis)
    return np.eye(3) if length < 1e-12 else Rotation.from_rotvec(axis / length * angle).as_matrix()
