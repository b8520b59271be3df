"""Access to the docks of the workspace in a window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QDockWidget, QWidget

from napari_cryospin.widgets.kit.preferences import PLUGIN_NAME

if TYPE_CHECKING:
    from napari.viewer import Viewer

WORKSPACE = "cryoSPIN workspace"
"""Name of the workspace in the plugin's manifest."""


def dock_of(widget: QWidget) -> QDockWidget | None:
    """Return the dock around a widget; None: it is in no dock."""
    dock = widget.parentWidget()
    return dock if isinstance(dock, QDockWidget) else None


def reveal(viewer: Viewer, title: str) -> QWidget:
    """Bring a panel of the right column to the front, and return it; other docks stay as they are."""
    dock, workspace = viewer.window.add_plugin_dock_widget(PLUGIN_NAME, WORKSPACE)
    if not workspace.arranged:
        workspace.arrange()
    dock.show()
    dock.raise_()
    workspace.setCurrentIndex(workspace.index_of(title))
    return workspace.panel(title)  # type: ignore[no-any-return]
