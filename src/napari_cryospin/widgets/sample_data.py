"""napari's File > Open Sample: what the package ships."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import napari_cryospin
from napari_cryospin.widgets.reader import map_layer

if TYPE_CHECKING:
    from napari.types import LayerData

SPLICEOSOME = Path(napari_cryospin.__file__).parent / "data" / "spliceosome_64.mrc"


def spliceosome_map() -> list[LayerData]:
    """Pre-catalytic spliceosome (PDB 5NRL), 64 px of 8.66 A."""
    return [map_layer(SPLICEOSOME)]
