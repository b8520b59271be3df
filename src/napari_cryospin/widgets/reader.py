"""napari's reader of MRC maps: Angstrom, contrast limits given, surface at the level at which ChimeraX starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mrcfile
import numpy as np

from napari_cryospin.io.mrc import read_map

if TYPE_CHECKING:
    from napari.types import LayerData
    from numpy.typing import NDArray

ENCLOSED = 0.01
"""Share of the grid points that the first contour encloses (ChimeraX's rule)."""


def map_reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """Function that reads the map or maps, or None where one of them is no map (an image stack, say)."""
    return read_maps if all(is_map(one) for one in as_paths(path)) else None


def read_maps(path: str | Sequence[str]) -> list[LayerData]:
    """One image layer for each map."""
    return [map_layer(*read_map(one), name=one.stem) for one in as_paths(path)]


def map_layer(density: NDArray[np.float32], pixel_size: float, name: str) -> LayerData:
    """Image layer of a map, drawn in Angstrom.

    Parameters
    ----------
    density
        `(z, y, x)` map.
    pixel_size
        Angstrom. 0, where the file does not say, is drawn as pixels.
    name
        The layer's name.
    """
    low, level, high = (float(one) for one in np.quantile(density, [0.5, 1 - ENCLOSED, 1]))
    keywords: dict[str, Any] = {
        "name": name,
        "colormap": "gray",
        "contrast_limits": (low, high if high > low else low + 1),
        "rendering": "iso",
        "iso_threshold": level,
    }
    if pixel_size > 0:
        keywords |= {"scale": (pixel_size,) * 3, "units": ("angstrom",) * 3}
    return density, keywords, "image"


def is_map(path: Path) -> bool:
    """Whether the header tells of a volume. A cube is taken for one even where it says "images", as old programs do."""
    try:
        with mrcfile.open(path, permissive=True, header_only=True) as file:
            shape = (int(file.header.nz), int(file.header.ny), int(file.header.nx))
            return min(shape) > 1 and (int(file.header.ispg) != 0 or len(set(shape)) == 1)
    except (OSError, ValueError):
        return False


def as_paths(path: str | Sequence[str]) -> list[Path]:
    return [Path(path)] if isinstance(path, str) else [Path(one) for one in path]
