"""Keys of the workspace while the focus is elsewhere in napari's window: on the canvas, or in napari's own docks."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari_cryospin.widgets.live_map.layers import find_live_map
from napari_cryospin.widgets.path.shortcuts import Shortcuts
from napari_cryospin.widgets.session.session import session_of

if TYPE_CHECKING:
    from napari.viewer import Viewer

Act = Callable[[Any], None]


class WindowKeys:
    """Keys that are bound to a viewer by napari's own means, so that those of the user's and of layers go first.

    A key that napari's viewer has a use of its own for is bound only where that use is none: while the map of the run
    is the active layer, or there is no active layer; and for arrows, while there are no sliders.

    Parameters
    ----------
    viewer
        The viewer.
    shortcuts
        The commands; while they live, the keys act.
    """

    def __init__(self, viewer: Viewer, shortcuts: Shortcuts) -> None:
        viewer = getattr(viewer, "__wrapped__", viewer)  # napari gives each widget a proxy of its own.
        self.viewer: Viewer = weakref.proxy(viewer)  # The workspace must not keep its viewer alive.
        self.session = session_of(viewer)
        self.commands = tuple(command for command in shortcuts.commands if command.key)
        self._acts = {command.key: _act_of(shortcuts, command.name) for command in self.commands}
        viewer.layers.selection.events.active.connect(self.refresh)
        viewer.dims.events.ndisplay.connect(self.refresh)
        viewer.dims.events.ndim.connect(self.refresh)
        shortcuts.destroyed.connect(self.unbind)
        self.refresh()

    def refresh(self, _: Any = None) -> None:
        """Bind the keys that have no other use now, and no others."""
        dims, map_is_active = self.viewer.dims, self._map_is_active
        free = {"": True, "layer": map_is_active, "sliders": map_is_active and dims.ndim <= dims.ndisplay}
        for command in self.commands:
            self._bind(command.key, self._acts[command.key] if free[command.shared] else None)

    def unbind(self, _: Any = None) -> None:
        """Leave all keys to napari."""
        for command in self.commands:
            self._bind(command.key, None)
        self.commands = ()

    def _bind(self, key: str, act: Act | None) -> None:
        try:
            self.viewer.bind_key(key, act, overwrite=True)
        except ReferenceError:  # The viewer is gone.
            return

    @property
    def _map_is_active(self) -> bool:
        active = self.viewer.layers.selection.active
        live = find_live_map(self.session)
        return active is None or (live is not None and active is live.layer.layer)


def _act_of(shortcuts: Shortcuts, name: str) -> Act:
    """Make the function that napari calls for a key; it refers weakly to the commands, because the viewer keeps it."""
    known = weakref.ref(shortcuts)

    def act(_: Any) -> None:
        alive = known()
        if alive is not None:
            alive.act(name)

    return act
