"""Writer of MRC maps for napari: a 3D layer with its pixel size."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_cryospin.io.mrc import write_map

ANGSTROM_PER_UNIT = {"angstrom": 1.0, "nanometer": 10.0, "micrometer": 1e4, "millimeter": 1e7, "meter": 1e10}


def write_map_layer(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write an image layer to an .mrc file.

    Parameters
    ----------
    path
        File to write.
    data
        Values `(z, y, x)`; of a multiscale layer the finest level is written.
    attributes
        Attributes of the layer; its scale is the pixel size, in Angstrom unless its units are other lengths.

    Raises
    ------
    ValueError
        The layer is not 3D, or its voxels are not cubes.
    """
    values = np.asarray(data[0] if isinstance(data, list) else data)
    name = attributes.get("name", "layer")
    if values.ndim != 3 or attributes.get("rgb"):
        raise ValueError(f"{path}: layer {name!r} has shape {values.shape}; expected three dimensions, z, y, x")
    units = [str(unit) for unit in attributes.get("units") or ("angstrom",) * 3]
    scale = [
        float(size) * ANGSTROM_PER_UNIT.get(unit, 1.0) for size, unit in zip(attributes["scale"], units, strict=True)
    ]
    if not np.allclose(scale, scale[0], rtol=1e-3):
        raise ValueError(f"{path}: layer {name!r} has voxels of {scale} Å along z, y, x; expected cubes")
    write_map(path, values, scale[0])
    return [path]
