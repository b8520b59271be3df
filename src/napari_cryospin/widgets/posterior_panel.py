"""Pose posterior of one particle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_cryospin.widgets.panel import Panel

if TYPE_CHECKING:
    from napari.viewer import Viewer


class PosteriorPanel(Panel):
    """Pose posterior of one particle.

    Parameters
    ----------
    napari_viewer
        Given by napari.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(
            napari_viewer, empty="Start a run and choose a particle: the posterior of its pose appears here."
        )
