"""Link between napari's camera and a particle's view of the map: turning one turns the other.

The frame is that of the conventions: `rotation` `(3, 3)` takes a vector `(x, y, z)` of the map's frame to the image's
frame. On the screen its rows are

* row 0: to the right;
* row 1: upwards, as MRC images are drawn by ChimeraX and IMOD (pictures beside the map must be drawn with y upwards);
* row 2: out of the screen, towards the user: the view direction. On a sphere that turns with the map, the point at the
  view direction faces the user.

Rotation = identity is the map's view as ChimeraX first shows it: x to the right, y upwards, z towards the user. Where
napari's scene is mirrored (its own default orientation) row 1 points downwards, and the picture is the image's mirror.

`rotation_of_view(direction)`, `camera_rotation(camera)` and `turn_camera(camera, rotation)` convert; `CameraLink`
connects them with the session: `session.view_turned` (the map was turned), and `session.turn_to(rotation)`,
`session.turn_to_pose(rotation)` (of a particle) and `session.choose_direction(direction)` (turn the map).
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from qtpy.QtCore import QObject

from napari_cryospin.geometry.angles import rotation_from_euler

if TYPE_CHECKING:
    from napari.components import Camera
    from napari.viewer import Viewer

    from napari_cryospin.widgets.session.session import Session

CHIMERAX_AXES = ("towards", "up", "right")
"""Orientation of napari's axes under which a map has the same hand as in ChimeraX."""


def rotation_of_view(direction: ArrayLike) -> NDArray[np.float64]:
    """Return the `(3, 3)` rotation with psi = 0 and a `(3,)` view direction of any length as its third row."""
    x, y, z = np.asarray(direction, dtype=np.float64)
    tilt = np.degrees(np.arctan2(np.hypot(x, y), z))
    rot = np.degrees(np.arctan2(y, x)) if np.hypot(x, y) > 0 else 0.0
    return rotation_from_euler((rot, tilt, 0.0))


def camera_rotation(camera: Camera) -> NDArray[np.float64]:
    """Return the `(3, 3)` rotation under which the camera shows the map in 3D."""
    towards = -np.asarray(camera.view_direction, dtype=np.float64)[::-1]  # napari's vectors are (z, y, x)
    up = _sign(camera) * np.asarray(camera.up_direction, dtype=np.float64)[::-1]
    return np.stack((np.cross(up, towards), up, towards))


def turn_camera(camera: Camera, rotation: ArrayLike) -> None:
    """Turn the camera so that it shows the map as an image with `(3, 3)` `rotation` does."""
    _, up, towards = np.asarray(rotation, dtype=np.float64)
    camera.set_view_direction(tuple(-towards[::-1]), tuple(_sign(camera) * up[::-1]))


def _sign(camera: Camera) -> int:
    """Return -1 where the scene is mirrored, so that an image's y axis points downwards on the screen; otherwise 1."""
    return 1 if str(camera.handedness) == "left" else -1


class CameraLink(QObject):
    """Link of a viewer's camera with the session, in both directions.

    Parameters
    ----------
    viewer
        Viewer with the camera.
    session
        Session; also the parent.
    """

    def __init__(self, viewer: Viewer, session: Session) -> None:
        super().__init__(session)
        self.viewer: Viewer = weakref.proxy(viewer)  # A session must not keep its viewer alive.
        self.session = session
        session.direction_chosen.connect(self._look_along)
        session.turn_requested.connect(self._turn)
        viewer.camera.events.angles.connect(self._turned)
        viewer.camera.events.orientation.connect(self._turned)
        self._turned()

    def _look_along(self, direction: np.ndarray) -> None:
        self._turn(rotation_of_view(direction))

    def _turn(self, rotation: np.ndarray) -> None:
        turn_camera(self.viewer.camera, rotation)

    def _turned(self) -> None:
        self.session.turn_view(camera_rotation(self.viewer.camera))
