"""Reader of MRC maps for napari: in Angstrom, with contrast limits, as a surface at ChimeraX's first contour."""

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
    """Return the function that reads maps, or None where a file is no map (an image stack, say)."""
    return read_map_layers if all(is_map(one) for one in as_paths(path)) else None


def read_map_layers(path: str | Sequence[str]) -> list[LayerData]:
    """Read maps, each as an image layer."""
    return [map_layer(one) for one in as_paths(path)]


def map_layer(path: Path) -> LayerData:
    """Read a map as an image layer in Angstrom, or in pixels where the pixel size of the header is 0."""
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
    """Return whether a file holds a cube; image stacks and tomograms are left to other readers."""
    try:
        return len(set(mrc_header(path).shape)) == 1
    except (OSError, ValueError) as error:
        log.info("not opened as a map: %s", error)
        return False


def as_paths(path: str | Sequence[str]) -> list[Path]:
    """Return the paths that napari gives, one or several."""
    return [Path(path)] if isinstance(path, str) else [Path(one) for one in path]
