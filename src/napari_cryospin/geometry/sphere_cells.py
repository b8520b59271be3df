"""HEALPix cells of the sphere of view directions as surfaces and outlines, and angles of a direction; no torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def direction_of(rot: ArrayLike, tilt: ArrayLike) -> NDArray[np.float64]:
    """Compute `(..., 3)` unit view directions from rot and tilt, degrees."""
    rot, tilt = np.broadcast_arrays(np.radians(rot), np.radians(tilt))
    return np.stack([np.sin(tilt) * np.cos(rot), np.sin(tilt) * np.sin(rot), np.cos(tilt)], axis=-1)


def rot_tilt_of(direction: ArrayLike) -> NDArray[np.float64]:
    """Compute rot (-180..180) and tilt (0..180), degrees `(..., 2)`, of `(..., 3)` unit vectors."""
    x, y, z = np.moveaxis(np.asarray(direction, dtype=np.float64), -1, 0)
    return np.degrees(np.stack([np.arctan2(y, x), np.arctan2(np.hypot(x, y), z)], axis=-1))


def pixel_of(direction: ArrayLike, nside: int) -> NDArray[np.int64]:
    """Compute the HEALPix cell `(...,)` (ring order) of `(..., 3)` unit vectors."""
    from napari_cryospin.geometry import healpix  # Imported here, because healpy loads slowly.

    rot, tilt = np.moveaxis(np.radians(rot_tilt_of(direction)), -1, 0)
    return np.asarray(healpix.ang2pix(nside, tilt, rot % (2 * np.pi)), dtype=np.int64)


def graticule(every_rot: float = 30, every_tilt: float = 30) -> list[NDArray[np.float64]]:
    """Compute meridians and parallels at these distances in degrees: lines of `(k, 3)` unit vectors.

    They end just short of rot +-180, so that a flat map has both of its edges and no line across it.
    """
    rim = 180 * (1 - 1e-9)
    meridians = [direction_of(rot, np.linspace(0, 180, 91)) for rot in np.arange(-180 + every_rot, 180, every_rot)]
    edges = [direction_of(rot, np.linspace(0, 180, 91)) for rot in (-rim, rim)]
    parallels = [direction_of(np.linspace(-rim, rim, 181), tilt) for tilt in np.arange(every_tilt, 180, every_tilt)]
    return meridians + edges + parallels


def credible_cells(log_posterior: NDArray[Any], share: float = 0.9) -> NDArray[np.bool_]:
    """Compute the smallest set of cells that hold a share of the probability: a mask of the shape of the input."""
    flat = log_posterior.ravel()
    order = np.argsort(-flat, kind="stable")
    probability = np.exp(flat[order] - flat[order[0]], dtype=np.float64)
    count = int(np.searchsorted(probability.cumsum(), share * probability.sum())) + 1
    inside = np.zeros(flat.shape, dtype=bool)
    inside[order[:count]] = True
    return inside.reshape(log_posterior.shape)


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells of a HEALPix grid.

    Attributes
    ----------
    centres
        `(cells, 3)` unit vectors.
    vertices
        `(v, 3)` unit vectors; cells share no vertices, so that each cell can have one flat colour.
    faces
        `(f, 3)` vertices of the triangles, counter-clockwise seen from outside.
    cell_of_vertex
        `(v,)` cell that a vertex belongs to.
    edges
        `(e, points, 3)` polylines between neighbouring cells.
    sides
        `(e, 2)` the two cells of each edge.
    """

    centres: NDArray[np.float64]
    vertices: NDArray[np.float32]
    faces: NDArray[np.uint32]
    cell_of_vertex: NDArray[np.int64]
    edges: NDArray[np.float64]
    sides: NDArray[np.int64]

    def outline(self, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Select the edges `(k, points, 3)` around the cells that are marked in `(cells,)` `inside`."""
        return self.edges[inside[self.sides[:, 0]] != inside[self.sides[:, 1]]]


@lru_cache(maxsize=4)
def healpix_cells(nside: int, step: int = 4) -> Cells:
    """Make the cells of a grid in ring order, each side divided into `step` pieces."""
    from napari_cryospin.geometry import healpix

    count = healpix.nside2npix(nside)
    theta, phi = healpix.pix2ang(nside, np.arange(count))
    centres = direction_of(np.degrees(phi), np.degrees(theta))
    rim = np.asarray(healpix.boundaries(nside, np.arange(count), step=step)).transpose(0, 2, 1)  # (cells, 4 step, 3)
    around = np.arange(4 * step)
    fan = np.stack([np.zeros_like(around), 1 + around, 1 + (around + 1) % (4 * step)], axis=-1)
    faces = fan + np.arange(count)[:, None, None] * (1 + 4 * step)
    edges, sides = _edges(rim, step)
    return Cells(
        centres=centres,
        vertices=np.concatenate([centres[:, None], rim], axis=1).reshape(-1, 3).astype(np.float32),
        faces=faces.reshape(-1, 3).astype(np.uint32),
        cell_of_vertex=np.repeat(np.arange(count), 1 + 4 * step),
        edges=edges,
        sides=sides,
    )


def _edges(rim: NDArray[Any], step: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """List each edge once, with its two cells, which share the edge's ends exactly."""
    count = len(rim)
    closed = np.concatenate([rim, rim[:, :1]], axis=1)
    edges = np.stack([closed[:, side * step : (side + 1) * step + 1] for side in range(4)], axis=1)
    edges = edges.reshape(4 * count, step + 1, 3)
    middles = np.round(edges[:, [0, -1]].sum(1) * 1e6).astype(np.int64)
    _, first, which = np.unique(middles, axis=0, return_index=True, return_inverse=True)
    pairs = np.argsort(which.ravel(), kind="stable").reshape(-1, 2)
    return edges[first], pairs // 4
