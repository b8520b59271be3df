"""Tables from which pictures of the sphere are drawn; they are made before the window needs them."""

from __future__ import annotations

from napari_cryospin.geometry.mollweide import mollweide_pixels
from napari_cryospin.geometry.sphere_cells import healpix_cells

CELLS_NSIDE = 8
"""HEALPix nside of the cells in which a particle's posterior is shown: 768 cells, 7.3 degrees wide."""
FLAT_MAP_ROWS = 400
"""Rows of the picture of a posterior's flat map, which is scaled to its widget."""
SPHERE_MAP_ROWS = 200
"""Rows of the picture of one of several small maps of the sphere."""


def prepare_flat_map() -> None:
    """Make the tables of a posterior's flat map. The first time takes a while, so that a worker's thread calls this."""
    healpix_cells(CELLS_NSIDE)
    mollweide_pixels(CELLS_NSIDE, FLAT_MAP_ROWS)


def prepare_sphere_map(nside: int) -> None:
    """Make the tables of a small map of `12 nside^2` cells, in a worker's thread like `prepare_flat_map`."""
    mollweide_pixels(nside, SPHERE_MAP_ROWS)
    healpix_cells(nside)
