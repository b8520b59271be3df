"""napari's reader of MRC maps: Angstrom, contrast limits given, surface at the level at which ChimeraX starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE

from napari_cryospin.io.mrc import read_map

if TYPE_CHECKING:
    from napari.types import LayerData

ENCLOSED = 0.01
"""Share of the grid points that the first contour encloses (ChimeraX's rule)."""

MODES = (0, 1, 2, 6, 12)
"""MRC modes of real numbers; any other value is complex, or no MRC file at all."""


def map_reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """Function that reads the map or maps, or None where one of them is no map (an image stack, say)."""
    return read_maps if all(is_map(one) for one in as_paths(path)) else None


def read_maps(path: str | Sequence[str]) -> list[LayerData]:
    """One image layer for each map."""
    return [map_layer(one) for one in as_paths(path)]


def map_layer(path: Path) -> LayerData:
    """Image layer of a map, drawn in Angstrom; in pixels where the header does not say the pixel size (0)."""
    density, pixel_size = read_map(path)
    low, level, high = (float(one) for one in np.quantile(density, [0.5, 1 - ENCLOSED, 1]))
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
    """Whether the header tells of a volume. A cube is taken for one even where it says "images", as old programs do.

    Only the header's fixed part is read: a file that is none could promise gigabytes behind it.
    """
    try:
        header = np.fromfile(path, HEADER_DTYPE, count=1)
    except OSError:
        return False
    if not np.isin(header["mode"], MODES).all():  # written on a machine of the other byte order, if it is a map
        header = header.view(header.dtype.newbyteorder())
    if header.size == 0 or header["mode"][0] not in MODES:
        return False
    shape = [int(header[axis][0]) for axis in ("nx", "ny", "nz")]
    return min(shape) > 1 and (header["ispg"][0] != 0 or len(set(shape)) == 1)


def as_paths(path: str | Sequence[str]) -> list[Path]:
    return [Path(path)] if isinstance(path, str) else [Path(one) for one in path]
