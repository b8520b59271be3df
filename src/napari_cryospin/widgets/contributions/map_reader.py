"""napari's reader of MRC maps: Angstrom, contrast limits given, surface at the level at which ChimeraX starts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cryospin.io.mrc import mrc_header, read_map
from napari_cryospin.views.isosurface import CONTOUR_ENCLOSES

if TYPE_CHECKING:
    from napari.types import LayerData

log = logging.getLogger(__name__)


def map_reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """Function that reads the map or maps, or None where one of them is no map (an image stack, say)."""
    return read_map_layers if all(is_map(one) for one in as_paths(path)) else None


def read_map_layers(path: str | Sequence[str]) -> list[LayerData]:
    """One image layer for each map."""
    return [map_layer(one) for one in as_paths(path)]


def map_layer(path: Path) -> LayerData:
    """Image layer of a map, drawn in Angstrom; in pixels where the header does not say the pixel size (0)."""
    density, pixel_size = read_map(path)
    low, level, high = (float(one) for one in np.quantile(density, [0.5, 1 - CONTOUR_ENCLOSES, 1]))
    keywords: dict[str, Any] = {
        "name": path.stem,
        "colormap": "gray",
        "contrast_limits": (low, high if high > low else low + 1),
        "rendering": "iso",
        "iso_threshold": level,
    }
    if pixel_size > 0:
        keywords |= {"scale": (pixel_size,) * 3, "units": ("angstrom",) * 3}
    return density, keywords, "image"


def is_map(path: Path) -> bool:
    """Whether the header tells of a cube; image stacks and tomograms are other readers' part."""
    try:
        return len(set(mrc_header(path).shape)) == 1
    except (OSError, ValueError) as error:
        log.info("not opened as a map: %s", error)
        return False


def as_paths(path: str | Sequence[str]) -> list[Path]:
    return [Path(path)] if isinstance(path, str) else [Path(one) for one in path]
