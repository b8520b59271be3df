"""Turning the sphere of a posterior: by the map that it is linked to, or towards the best mode."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QCheckBox, QPushButton

from napari_cryospin.views.posterior.particle_posterior import ParticlePosterior
from napari_cryospin.views.posterior.shown_pose import ShownPose
from napari_cryospin.widgets.session.session import Session
from napari_cryospin.widgets.sphere.globe import Sphere

IN_SIGHT = 0.3
"""Least cosine of the angle between a mode and the viewer at which the sphere stays as it is, chosen by hand."""


class MapLink(QObject):
    """Turns of a sphere, and of the map where the two are linked.

    Parameters
    ----------
    session
        Session whose map is turned.
    sphere
        Sphere that is turned.
    parent
        Parent of this object.

    Attributes
    ----------
    linked
        Box that links the two.
    face
        Button that turns the best mode to the user.
    """

    def __init__(self, session: Session, sphere: Sphere, parent: QObject) -> None:
        super().__init__(parent)
        self.session, self.sphere = session, sphere
        self._posterior: ParticlePosterior | None = None
        self._faced = -1  # Particle whose best mode was turned to the user; -1: none of this run.
        self.linked = QCheckBox("Link to map")
        self.linked.setToolTip("Turning the map turns the sphere, and the other way round")
        self.face = QPushButton("Face best view")
        self.face.setToolTip("Turn the sphere until the most probable direction faces you")
        self.linked.toggled.connect(self._link)
        self.face.clicked.connect(self._face)
        sphere.turned.connect(self._sphere_turned)
        session.view_turned.connect(self._map_turned)

    def forget(self) -> None:
        """Forget the posterior, because another run is shown."""
        self._posterior, self._faced = None, -1

    def show_posterior(self, posterior: ParticlePosterior) -> None:
        """Turn the best mode of a particle that was not shown before to the side that is seen, unless linked."""
        self._posterior = posterior
        if posterior.particle == self._faced or self.linked.isChecked():
            return
        if self._faced < 0 or self.sphere.rotation[2] @ posterior.mode < IN_SIGHT:
            self.sphere.face(posterior.mode, upright=True)
        self._faced = posterior.particle

    def show_pose(self, pose: ShownPose) -> None:
        """Turn the map, and the sphere, to a pose."""
        self.session.turn_to_pose(pose.rotation)
        if not self.linked.isChecked():
            self.sphere.face(pose.rotation[2])

    def _face(self) -> None:
        if self._posterior is not None:
            self.sphere.face(self._posterior.mode, upright=True)
            self._sphere_turned(self.sphere.rotation)

    def _link(self, linked: bool) -> None:
        if linked:
            self.sphere.turn(self.session.view)

    def _map_turned(self, rotation: NDArray[np.floating]) -> None:
        if self.linked.isChecked():
            self.sphere.turn(rotation)

    def _sphere_turned(self, rotation: NDArray[np.floating]) -> None:
        if self.linked.isChecked():
            self.session.turn_to(rotation)
