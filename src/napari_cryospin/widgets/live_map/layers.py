"""The live map of a viewer, which follows the run or shows an earlier epoch.

It lives as long as the session; docks with its controls come and go.
"""

from __future__ import annotations

import weakref
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_cryospin.views.map_pictures import MapDisplay, MapPicture, MapReader, MapSource
from napari_cryospin.widgets.kit.worker import Worker
from napari_cryospin.widgets.live_map.camera_link import CameraLink
from napari_cryospin.widgets.live_map.map_layer import MapLayer, as_chimerax
from napari_cryospin.widgets.session.session import session_of

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_cryospin.widgets.session.session import Session


LEVEL_OF_A_CLICK = 0.02
"""Share of the range of levels by which a click of the wheel moves the contour; chosen by hand."""


class WheelLevel:
    """Callback of napari's canvas: the wheel with Ctrl moves the contour in 3D, as in ChimeraX.

    It refers weakly to the live map, because the viewer keeps it.
    """

    def __init__(self, live: LiveMap) -> None:
        self.live = weakref.ref(live)

    def __call__(self, viewer: Viewer, event: Any) -> None:
        live = self.live()
        if live is not None and "Control" in event.modifiers and viewer.dims.ndisplay == 3:
            live.raise_level(float(np.sign(event.delta[1])))
            event.handled = True


class LiveMap(QObject):
    """The map that is drawn in a viewer; a thread computes what is drawn.

    Parameters
    ----------
    viewer
        Viewer in which the map is drawn.
    session
        Session whose run is shown; also the parent.

    Attributes
    ----------
    display
        Choices of the user on how the map is drawn.
    picture
        Picture that is drawn; None: none yet.
    slices_shown, slices_at
        Whether slices are shown beside the map, and the voxel `(x, y, z)` in which they meet; None: the centre.
    """

    drawn = Signal(object)  # MapPicture; None: the map was taken away
    display_changed = Signal(object)  # MapDisplay
    failed = Signal(str)  # why a map could not be shown

    def __init__(self, viewer: Viewer, session: Session) -> None:
        super().__init__(session)
        self.viewer: Viewer = weakref.proxy(viewer)  # A session must not keep its viewer alive.
        self.session = session
        self.display = MapDisplay(flipped=session.hand_flipped)
        self.picture: MapPicture | None = None
        self.slices_shown = False
        self.slices_at: np.ndarray | None = None
        self.layer = MapLayer(viewer, self._threshold_moved)
        self.link = CameraLink(viewer, session)
        self._folder = self._path()
        self._reader = MapReader()
        self._requested = self._again = self._turned = self._closed = False
        self._worker = Worker("cryospin-map", self)
        session.run_changed.connect(self._new_run)
        session.snapshot_arrived.connect(self._follow)
        session.epoch_shown.connect(self._request)
        session.hand_changed.connect(self._flip)
        session.closing.connect(self._close)
        viewer.dims.events.ndisplay.connect(self._request)
        viewer.camera.events.orientation.connect(self._request)
        viewer.mouse_wheel_callbacks.append(WheelLevel(self))
        self._request()

    # Choices of the user

    def set_display(self, **changes: Any) -> None:
        """Change fields of the display."""
        display = replace(self.display, **changes)
        if display != self.display:
            self.display = display
            self.display_changed.emit(display)
            self._request()

    def raise_level(self, clicks: float) -> None:
        """Raise the contour by so many clicks of the wheel, or lower it."""
        picture = self.picture
        if picture is not None:
            statistics = picture.statistics
            top, low = statistics.sigma(statistics.highest), statistics.sigma(statistics.low_level)
            wanted = statistics.sigma(picture.level) + clicks * LEVEL_OF_A_CLICK * (top - low)
            self.set_display(level=float(np.clip(wanted, low, top)))

    def _threshold_moved(self, value: float) -> None:
        if self.picture is not None:
            self.set_display(level=self.picture.statistics.sigma(value))

    def _flip(self, flipped: bool) -> None:
        self.set_display(flipped=flipped)

    # Maps of the run

    def _new_run(self) -> None:
        if self._path() != self._folder:  # Another run, not the same one that began anew.
            self.layer.remove()
            self._reader = MapReader()
            self.picture = None
            self.display = replace(self.display, level=None, half=1, class_number=1)
            self.display_changed.emit(self.display)
            self.drawn.emit(None)
        self._folder = self._path()
        self.set_display(flipped=self.session.hand_flipped)

    def _path(self) -> Path | None:
        return None if self.session.folder is None else self.session.folder.path

    def _follow(self) -> None:
        if self.session.shown_epoch is None:
            self._request()

    def _source(self) -> MapSource | None:
        session, epoch = self.session, self.session.shown_epoch
        if epoch is None or session.folder is None:
            return None if session.snapshot is None else MapSource(snapshot=session.snapshot, folder=session.folder)
        return MapSource(epoch=epoch, folder=session.folder)

    @property
    def _surface(self) -> bool:
        return self.display.rendering == "surface" and self.viewer.dims.ndisplay == 3

    # Drawing

    def _request(self, _: object = None) -> None:
        """Let the thread make the picture; one at a time, so that no outdated picture waits."""
        source = None if self._closed else self._source()
        if source is None:
            return
        if not self._turned:
            self._turned = True
            as_chimerax(self.viewer)
        if self._requested:
            self._again = True
            return
        self._requested, self._again = True, False
        reader, folder, display, surface = self._reader, self._folder, self.display, self._surface
        self._worker.ask(
            lambda: (folder, reader.picture(source, display, surface)), then=self._draw, failed=self._drawing_failed
        )

    def _draw(self, answer: tuple[object, MapPicture]) -> None:
        folder, picture = answer
        self._requested = False
        wanted = folder == self._folder and picture.source.epoch == self.session.shown_epoch
        if wanted and (picture.mesh is not None) == self._surface and not self._closed:
            self.layer.show(picture)
            self.picture = picture
            self.drawn.emit(picture)
        if self._again:
            self._request()

    def _drawing_failed(self, error: Exception) -> None:
        self._requested = False
        self.failed.emit(f"this map cannot be shown: {error}")
        if self._again:
            self._request()

    def _close(self) -> None:
        self._closed = True
        self._worker.end()


def live_map_of(viewer: Viewer) -> LiveMap:
    """Return the live map of a viewer, which the first call makes."""
    session = session_of(viewer)
    return find_live_map(session) or LiveMap(viewer, session)


def find_live_map(session: Session) -> LiveMap | None:
    """Return the live map of a session; None: no panel needed it yet."""
    found = session.findChild(LiveMap)
    return found if isinstance(found, LiveMap) else None
