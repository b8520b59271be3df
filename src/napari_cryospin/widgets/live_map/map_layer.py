"""The layer that shows a run's map: updated in place, and made again where the user deleted it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Surface
from napari.utils import Colormap
from napari.utils.notifications import show_info

from napari_cryospin.widgets.kit.opengl import make_canvas_current
from napari_cryospin.widgets.kit.preferences import preferences
from napari_cryospin.widgets.live_map.camera_link import CHIMERAX_AXES

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_cryospin.views.map_pictures import MapPicture

MAP_LAYER_NAME = "cryoSPIN map"
SURFACE_COLOURMAP = Colormap(["#16263a", "#587fa8", "#c3d9ef"], name="cryoSPIN map")
"""Colormap of the surface: a calm blue, legible on dark and on light."""
UNCERTAINTY_COLOURMAP = Colormap(["#2c6fb3", "#e8e6dc", "#d95f02"], name="cryoSPIN uncertainty")
"""Colormap of the local uncertainty, 0 to 1: blue where maps agree, orange where they differ as much as they show."""
SHADE_OF_COLOURS = (0.35, 1.15)
"""Factors of a colour where a surface is dark, and where it is bright; chosen by hand."""
_BOTH = ("opacity", "blending", "visible", "gamma", "colormap")
_USER_SETTINGS = {Surface: _BOTH, Image: (*_BOTH, "interpolation2d", "interpolation3d", "attenuation", "rendering")}
"""Layer class -> attributes that the user may set in napari's own controls of the layer."""
_SHARED = ("opacity", "visible")
_LIT_PLACE = 0.75
"""Place in the colormap of a surface that faces the light, 0 to 1."""
_FRAMED_PART = 0.75
"""Share of the box that the camera shows when the first map appears."""


class MapLayer:
    """Layer of a map: a surface, or a volume for other renderings and for slices in 2D.

    Parameters
    ----------
    viewer
        Viewer with the layer.
    on_level
        Called with the contour (in the map's units) that the user set in napari's own controls.
    """

    def __init__(self, viewer: Viewer, on_level: Callable[[float], None]) -> None:
        self.viewer: Viewer = weakref.proxy(viewer)  # The session holds this, and must not keep its viewer alive.
        self.on_level = on_level
        self.layer: Surface | Image | None = None
        self._styles: dict[type, dict[str, Any]] = {
            Surface: {"colormap": SURFACE_COLOURMAP},
            Image: {"colormap": "gray"},
        }
        self._shown: MapPicture | None = None
        self._limits = (0.0, 1.0)  # contrast limits that this class set
        self._contrast: tuple[float, ...] | None = None  # contrast limits of the user, in standard deviations
        self._busy = False
        self._framed = False
        for change in (viewer.layers.events.inserted, viewer.layers.events.removed):
            change.connect(self._agree_on_units)
        viewer.layers.events.removing.connect(self._before_removal)

    def show(self, picture: MapPicture) -> None:
        """Draw a picture in the present layer, or in a new one."""
        kind = Image if picture.mesh is None else Surface
        self._learn()
        self._busy = True
        try:
            layer = self.layer
            if layer is None or layer not in self.viewer.layers:
                self._first(picture, kind)
            elif not isinstance(layer, kind):
                self._replace(layer, self._make(picture, kind))
            self._fill(picture)
        finally:
            self._busy = False
        self._shown = picture

    def remove(self) -> None:
        """Remove the layer, and keep the user's settings for the next one."""
        self._learn()
        if self.layer is not None and self.layer in self.viewer.layers:
            self.viewer.layers.remove(self.layer)
        self.layer = self._shown = self._contrast = None
        self._framed = False

    @property
    def colour(self) -> str:
        """Colour of the map where it is well lit, #rrggbb."""
        style = self._styles[Surface]["colormap"] if self.layer is None else self.layer.colormap
        red, green, blue = (round(255 * float(part)) for part in style.map(np.array([_LIT_PLACE]))[0, :3])
        return f"#{red:02x}{green:02x}{blue:02x}"

    # Settings of the user

    def _learn(self) -> None:
        """Store the settings that the user changed in napari's controls, also those of a deleted layer."""
        layer = self.layer
        if layer is None:
            return
        kept = {name: getattr(layer, name) for name in _USER_SETTINGS[type(layer)]}
        if layer not in self.viewer.layers:  # A layer that was hidden, and then deleted, comes back to be seen.
            kept["visible"] = True
        self._styles[type(layer)] |= kept
        for style in self._styles.values():
            style |= {name: kept[name] for name in _SHARED}
        limits = tuple(float(limit) for limit in layer.contrast_limits)
        if isinstance(layer, Image) and self._shown is not None and not np.allclose(limits, self._limits):
            self._contrast = tuple(self._shown.statistics.sigma(limit) for limit in limits)

    def _threshold_moved(self) -> None:
        if not self._busy and isinstance(self.layer, Image):
            self.on_level(float(self.layer.iso_threshold))

    # Making and filling the layer

    @property
    def _unit(self) -> str:
        """Unit of the layer: Angstrom, or none while the user has layers without a unit beside it.

        napari 0.9.2 warns where units differ, and dies in OpenGL when points are then removed in 2D.
        """
        others = (layer for layer in self.viewer.layers if layer is not self.layer)
        return "pixel" if any("pixel" in map(str, layer.units) for layer in others) else "angstrom"

    def _agree_on_units(self, _: object = None) -> None:
        layer, unit = self.layer, self._unit
        if layer is not None and layer in self.viewer.layers and str(layer.units[0]) != unit:
            layer.units = (unit,) * 3

    def _before_removal(self, _: object = None) -> None:
        """Keep OpenGL in order while a layer is removed, whether ours or the user's."""
        make_canvas_current(self.viewer)

    def _make(self, picture: MapPicture, kind: type[Surface | Image]) -> Surface | Image:
        place = {
            "name": MAP_LAYER_NAME,
            "scale": (picture.pixel_size,) * 3,
            "units": (self._unit,) * 3,
            "axis_labels": ("z", "y", "x"),
        }
        if kind is Surface:
            return Surface(_cube(picture.density.shape[0]), shading="none", contrast_limits=(0, 1), **place)
        layer = Image(picture.density, contrast_limits=self._limits_of(picture), **place)
        layer.events.iso_threshold.connect(self._threshold_moved)
        return layer

    def _first(self, picture: MapPicture, kind: type[Surface | Image]) -> None:
        first, self._framed = not self._framed, True
        self.layer = self._make(picture, kind)
        self._dress(self.layer)
        camera = self.viewer.camera
        before = camera.center, camera.zoom, camera.angles
        self.viewer.add_layer(self.layer)
        if not first:  # napari resets the view for a single layer, and the user chose this view.
            camera.center, camera.zoom, camera.angles = before
        elif len(self.viewer.layers) > 1 and hasattr(self.viewer, "fit_to_view"):
            self.viewer.fit_to_view(layers=[self.layer])

    def _replace(self, old: Surface | Image, new: Surface | Image) -> None:
        layers = self.viewer.layers
        name, selected = old.name, old in layers.selection
        self._dress(new)
        self.layer = new
        # The new layer comes before the old one goes, because napari resets the view for a single layer.
        layers.insert(layers.index(old), new)
        layers.remove(old)
        new.name = name
        if selected:
            layers.selection.add(new)
        else:
            layers.selection.discard(new)

    def _dress(self, layer: Surface | Image) -> None:
        for name, value in self._styles[type(layer)].items():
            setattr(layer, name, value)

    def _fill(self, picture: MapPicture) -> None:
        layer, mesh = self.layer, picture.mesh
        assert layer is not None
        if not np.allclose(layer.scale, picture.pixel_size):
            layer.scale = (picture.pixel_size,) * 3
        if isinstance(layer, Surface):
            assert mesh is not None
            if layer.vertex_colors is not None:
                layer.vertex_colors = None  # Those of another surface would not fit.
            layer.data = mesh.vertices, mesh.faces, mesh.brightness
            if picture.uncertainty is not None:
                layer.vertex_colors = uncertain_colours(picture.uncertainty, mesh.brightness)
            return
        layer.data = picture.density
        layer.contrast_limits = self._limits_of(picture)
        low, high = layer.contrast_limits
        self._limits = float(low), float(high)
        layer.iso_threshold = picture.level
        rendering = picture.display.rendering
        if rendering != "surface" and (self._shown is None or self._shown.display.rendering != rendering):
            layer.rendering = rendering

    def _limits_of(self, picture: MapPicture) -> tuple[float, float]:
        """Return the contrast limits: those of the user, or from the mean to the highest voxel."""
        statistics = picture.statistics
        low, high = statistics.mean, statistics.highest
        if self._contrast is not None:
            low, high = (statistics.value(sigma) for sigma in self._contrast)
        return low, high if high > low else low + 1


def uncertain_colours(uncertainty: np.ndarray, brightness: np.ndarray) -> np.ndarray:
    """Return `(n, 4)` colours from sure to uncertain of a surface with `(n,)` brightness, 0 to 1."""
    colours = UNCERTAINTY_COLOURMAP.map(np.clip(uncertainty, 0, 1))
    shade = SHADE_OF_COLOURS[0] + (SHADE_OF_COLOURS[1] - SHADE_OF_COLOURS[0]) * brightness
    return np.concatenate([np.clip(colours[:, :3] * shade[:, None], 0, 1), colours[:, 3:]], axis=1).astype(np.float32)


def as_chimerax(viewer: Viewer) -> None:
    """Show maps in 3D and in the hand of ChimeraX, unless the user prefers napari's axes; notify the user."""
    viewer.dims.ndisplay = 3
    camera = viewer.camera
    if not preferences().orientation_as_chimerax or tuple(map(str, camera.orientation)) == CHIMERAX_AXES:
        return
    camera.orientation = CHIMERAX_AXES
    show_info("Maps are shown in ChimeraX's hand: the 3D axes were turned (Preferences > napari-cryospin).")


def _cube(box: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make a cube about the box's centre, to which the camera is set before the first map."""
    corners = np.indices((2, 2, 2)).reshape(3, -1).T - 0.5
    return box // 2 + _FRAMED_PART * box * corners, np.array([[0, 1, 2], [5, 6, 7]]), np.zeros(8)
