"""A run: what to do, and how it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_cryospin.widgets.panel import Panel

if TYPE_CHECKING:
    from napari.viewer import Viewer


class RunPanel(Panel):
    """A run: what to do, and how it stands.

    Parameters
    ----------
    napari_viewer
        Given by napari.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer, empty="Open particles first.")
