"""Further maps beside the live one: translucent over it, or side by side under one camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Surface
from napari.utils import Colormap
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from napari_cryospin.geometry.hand import flip_hand
from napari_cryospin.views.isosurface import MapStatistics, Mesh, isosurface
from napari_cryospin.widgets.kit.worker import Worker
from napari_cryospin.widgets.live_map.layers import live_map_of

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_cryospin.widgets.live_map.layers import LiveMap

GHOST_OPACITY = 0.45
ZOOM_SIDE_BY_SIDE = 0.65
"""Factor of the camera's zoom where maps share the canvas; chosen by hand for two."""
GHOST_COLOURS = ("#E69F00", "#CC79A7", "#009E73", "#F0E442")
"""Colours of the maps, in the order in which they come."""


@dataclass(frozen=True, eq=False)
class GhostMap:
    """A map that is shown beside the live one, in its frame."""

    name: str
    density: NDArray[np.float32]  # (z, y, x)
    pixel_size: float  # A
    level: float | None = None  # contour; None: that which encloses 1 % of the voxels


class GhostMaps(QObject):
    """Maps beside a live map, each a layer of its own, which the user may delete.

    Parameters
    ----------
    live
        Live map; also the parent.
    """

    changed = Signal()

    def __init__(self, live: LiveMap) -> None:
        super().__init__(live)
        self.live, self.viewer = live, live.viewer
        self.maps: dict[str, GhostMap] = {}
        self.layers: dict[str, Surface] = {}
        self._worker = Worker("cryospin-ghosts", self)
        live.session.hand_changed.connect(self._redraw)
        live.session.run_changed.connect(self._new_run)
        live.session.closing.connect(self._worker.end)
        self._folder = live.session.folder
        self._waiting: dict[str, GhostMap] = {}

    def show(self, ghost: GhostMap) -> None:
        """Show a map, in place of an earlier one of the same name."""
        self.maps[ghost.name] = self._waiting[ghost.name] = ghost
        self._mesh_next()

    def shows(self, name: str) -> bool:
        """Return whether a map is shown, or will be as soon as its surface is computed."""
        return name in self._waiting or (name in self.layers and self.layers[name] in self.viewer.layers)

    def remove(self, name: str) -> None:
        """Take one of these maps away, if it is there."""
        self.maps.pop(name, None)
        self._waiting.pop(name, None)
        layer = self.layers.pop(name, None)
        if layer is not None and layer in self.viewer.layers:
            self.viewer.layers.remove(layer)
        self.changed.emit()

    def remove_all(self) -> None:
        """Take all of these maps away, and show the live map alone."""
        for layer in self.layers.values():
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
        self.maps, self.layers, self._waiting = {}, {}, {}
        self.set_side_by_side(False)
        self.changed.emit()

    @property
    def side_by_side(self) -> bool:
        """Whether every map has a part of the canvas, under the same camera."""
        return bool(self.viewer.grid.enabled)

    def set_side_by_side(self, apart: bool) -> None:
        """Show the maps side by side, opaque, or over each other, translucent."""
        if apart == self.side_by_side:
            return
        self.viewer.grid.enabled = apart
        self.viewer.camera.zoom *= ZOOM_SIDE_BY_SIDE if apart else 1 / ZOOM_SIDE_BY_SIDE
        for layer in self.layers.values():
            layer.opacity = 1.0 if apart else GHOST_OPACITY
        self.changed.emit()

    def _new_run(self) -> None:
        if self.live.session.folder is not self._folder:
            self._folder = self.live.session.folder
            self.remove_all()

    def _redraw(self, _: object = None) -> None:
        self._waiting |= self.maps
        self._mesh_next()

    def _mesh_next(self) -> None:
        if self._waiting:
            ghost, flipped = next(iter(self._waiting.values())), self.live.session.hand_flipped
            self._worker.ask(lambda: (ghost, mesh_of(ghost, flipped)), then=self._draw)

    def _draw(self, answer: tuple[GhostMap, Mesh]) -> None:
        ghost, mesh = answer
        if self._waiting.get(ghost.name) is ghost:
            del self._waiting[ghost.name]
        if self.maps.get(ghost.name) is ghost:
            layer = self.layers.get(ghost.name)
            if layer is None or layer not in self.viewer.layers:
                layer = self._add(ghost)
            layer.data = mesh.vertices, mesh.faces, mesh.brightness
            self.changed.emit()
        self._mesh_next()

    def _add(self, ghost: GhostMap) -> Surface:
        number = list(self.maps).index(ghost.name) % len(GHOST_COLOURS)
        camera, live = self.viewer.camera, self.live.layer.layer
        before = camera.center, camera.zoom, camera.angles
        unit = "pixel" if live is None else str(live.units[0])
        layer = Surface(
            (np.zeros((3, 3)), np.array([[0, 1, 2]]), np.zeros(3)),
            name=ghost.name,
            scale=(ghost.pixel_size,) * 3,
            units=(unit,) * 3,
            axis_labels=("z", "y", "x"),
            shading="none",
            contrast_limits=(0, 1),
            colormap=shaded(GHOST_COLOURS[number]),
            opacity=1.0 if self.side_by_side else GHOST_OPACITY,
            blending="translucent_no_depth",
        )
        self.viewer.add_layer(layer)
        if live is not None and live in self.viewer.layers:
            self.viewer.layers.selection.active = live
        camera.center, camera.zoom, camera.angles = before
        self.layers[ghost.name] = layer
        return layer


def mesh_of(ghost: GhostMap, flipped: bool) -> Mesh:
    """Compute the surface of a map, in either hand."""
    density = flip_hand(ghost.density) if flipped else ghost.density
    level = MapStatistics.of(density).start_level if ghost.level is None else ghost.level
    return isosurface(density, level)


def shaded(colour: str) -> Colormap:
    """Make a colormap from a dark shade of a colour to a light one."""
    rgb = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    shades = np.stack([0.3 * rgb, rgb, 0.4 + 0.6 * rgb])
    return Colormap(np.column_stack([shades, np.ones(3)]), name=f"cryoSPIN {colour}")


def ghosts_beside(live: LiveMap) -> GhostMaps:
    """Return the further maps of a live map, which the first call makes."""
    found = live.findChild(GhostMaps)
    return found if isinstance(found, GhostMaps) else GhostMaps(live)


def ghosts_of(viewer: Viewer) -> GhostMaps:
    """Return the further maps of a viewer's live map."""
    return ghosts_beside(live_map_of(viewer))
