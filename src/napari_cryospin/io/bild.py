"""Distribution of the view directions as BILD geometry, which ChimeraX draws around the map.

RELION writes its distribution of angles in the same format.

Directives: https://www.cgl.ucsf.edu/chimerax/docs/user/formats/bild.html
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.io.files import atomic_write

FEWEST_COLOUR, MOST_COLOUR = np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0])
"""Colours of the shortest and of the longest cylinder: red, green, blue, each 0 to 1. Chosen by hand."""
LONGEST_BAR = 0.5
"""Length of the longest cylinder, as a share of the sphere's radius. Chosen by hand."""
SPHERE = 0.55
"""Radius of the sphere on which the cylinders stand, as a share of the box's side.

Chosen by hand, above 0.5, so that the sphere lies outside of the map.
"""


def write_distribution(path: Path, directions: NDArray, counts: NDArray, *, box_size: int, pixel_size: float) -> None:
    """Write one cylinder for each view direction; the more particles it has, the longer and redder the cylinder is.

    Directions without particles have no cylinder.

    Parameters
    ----------
    path
        .bild file to write.
    directions
        `(k, 3)` unit vectors, view directions in the map's frame: centres of cells of equal area.
    counts
        `(k,)` number of particles in each cell.
    box_size, pixel_size
        Box (pixels) and pixel size (A) of the map, whose first voxel lies at 0, 0, 0.
    """
    centre = np.full(3, box_size // 2 * pixel_size)
    radius = SPHERE * box_size * pixel_size
    # The radius of a cylinder is 0.4 of the side of a cell, so that neighbours almost touch.
    width = 0.4 * radius * np.sqrt(4 * np.pi / len(directions))
    share = np.asarray(counts, dtype=np.float64) / max(1, np.max(counts))
    lines = [".comment view directions of the particles: longer and redder, the more there are"]
    for direction, part in zip(directions, share, strict=True):
        if part == 0:
            continue
        foot, top = centre + radius * direction, centre + radius * (1 + LONGEST_BAR * part) * direction
        lines.append(".color " + _numbers(FEWEST_COLOUR + part * (MOST_COLOUR - FEWEST_COLOUR)))
        lines.append(f".cylinder {_numbers(foot)} {_numbers(top)} {width:.3f}")
    with atomic_write(path) as part_file:
        part_file.write_text("\n".join(lines) + "\n")


def _numbers(values: NDArray) -> str:
    return " ".join(f"{value:.3f}" for value in values)
