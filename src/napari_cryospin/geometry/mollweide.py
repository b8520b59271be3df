"""Equal-area projection (Mollweide) of the sphere of view directions, for figures and panels.

The map spans x -2..2 and y -1..1. Its centre is rot 0, tilt 90; rot grows to the right: the sphere is seen from
outside, like a globe (healpy: flip="geo").
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_cryospin.geometry.sphere_cells import graticule


def mollweide(direction: ArrayLike) -> NDArray[np.float64]:
    """Compute the places `(..., 2)` of `(..., 3)` unit vectors in the flat map."""
    x, y, z = np.moveaxis(np.asarray(direction, dtype=np.float64), -1, 0)
    longitude = np.arctan2(y, x)
    theta = np.interp(z, *_heights())
    return np.stack([2 * longitude / np.pi * np.cos(theta), np.sin(theta)], axis=-1)


def mollweide_direction(place: ArrayLike) -> NDArray[np.float64]:
    """Compute the unit vectors `(..., 3)` at `(..., 2)` places in the flat map; nan outside the ellipse."""
    x, y = np.moveaxis(np.asarray(place, dtype=np.float64), -1, 0)
    inside = x**2 / 4 + y**2 <= 1
    theta = np.arcsin(np.clip(y, -1, 1))
    z = np.clip((2 * theta + np.sin(2 * theta)) / np.pi, -1, 1)
    longitude = np.pi * x / (2 * np.maximum(np.cos(theta), 1e-12))
    radius = np.sqrt(1 - z**2)
    direction = np.stack([radius * np.cos(longitude), radius * np.sin(longitude), z], axis=-1)
    return np.where(inside[..., None], direction, np.nan)


@cache
def mollweide_pixels(nside: int, height: int = 400) -> NDArray[np.int64]:
    """Tabulate the HEALPix pixel (ring order) under every point of the flat map.

    `(height, 2 height)`, rows from y = -1 upwards; -1 outside the ellipse.
    `values[mollweide_pixels(nside)]` is a picture. The table is cached, because the values change often.
    """
    from napari_cryospin.geometry import healpix  # Imported here, because healpy loads slowly.

    places = np.stack(np.meshgrid(np.linspace(-2, 2, 2 * height), np.linspace(-1, 1, height)), axis=-1)
    direction = mollweide_direction(places)
    inside = np.isfinite(direction[..., 0])
    x, y, z = direction[inside].T
    pixels = np.full(inside.shape, -1)
    pixels[inside] = healpix.ang2pix(nside, np.arccos(z), np.arctan2(y, x) % (2 * np.pi))
    pixels.flags.writeable = False
    return pixels


def mollweide_picture(values: NDArray[Any], height: int = 400) -> NDArray[Any]:
    """Draw `(height, 2 height)` values of a HEALPix grid in ring order; nan outside the ellipse."""
    pixels = mollweide_pixels(int(np.sqrt(len(values) / 12)), height)
    return np.where(pixels >= 0, np.asarray(values)[pixels], np.nan)


def flat_graticule() -> list[NDArray[np.float64]]:
    """Draw meridians every 60 degrees, the map's rim among them, and parallels every 30: lines `(points, 2)`."""
    return [mollweide(line) for line in graticule(every_rot=60, every_tilt=30)]


@cache
def _heights() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Tabulate z and the auxiliary angle theta, `2 theta + sin(2 theta) = pi z`; the height is sin(theta).

    The samples are denser towards the poles, where theta changes fast with z.
    """
    theta = np.pi / 2 * np.sin(np.linspace(-np.pi / 2, np.pi / 2, 4001))
    return (2 * theta + np.sin(2 * theta)) / np.pi, theta
