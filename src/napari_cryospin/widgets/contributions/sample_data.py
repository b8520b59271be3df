"""Entries of File > Open Sample in napari: particles simulated from three molecules, and their true maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_cryospin.widgets.contributions.map_reader import map_layer
from napari_cryospin.widgets.particles.samples import SAMPLES

if TYPE_CHECKING:
    from napari.types import LayerData


def spliceosome() -> list[LayerData]:
    """Open the pre-catalytic spliceosome (PDB 5NRL)."""
    return _open("spliceosome")


def spike() -> list[LayerData]:
    """Open the closed SARS-CoV-2 spike (PDB 6VXX)."""
    return _open("spike")


def hsp90() -> list[LayerData]:
    """Open Hsp90-Sba1 (PDB 2CG9)."""
    return _open("hsp90")


def _open(key: str) -> list[LayerData]:
    """Return the true map as a hidden layer; the particles are simulated meanwhile, and open in the workspace."""
    from napari import current_viewer

    from napari_cryospin.widgets.session.docks import reveal

    density, keywords, kind = map_layer(SAMPLES[key].map)
    viewer = current_viewer()
    if viewer is not None:
        panel: Any = reveal(viewer, "Particles")
        panel.opener.open_sample(key)
    hidden = {"name": f"{SAMPLES[key].title} (true map)", "visible": viewer is None}
    return [(density, keywords | hidden, kind)]
