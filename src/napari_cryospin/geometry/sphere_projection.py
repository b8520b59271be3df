"""Pictures of the sphere of view directions: as a flat map that shows all of it, or as a globe seen from outside."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_cryospin.geometry.globe_cells import globe_cells, globe_frame
from napari_cryospin.geometry.mollweide import flat_graticule, mollweide, mollweide_direction, mollweide_pixels
from napari_cryospin.geometry.sphere_cells import graticule


class SphereProjection(Protocol):
    """How the sphere is drawn on a plane.

    Attributes
    ----------
    half_width : float
        Half the width of the picture; half its height is 1.
    """

    half_width: float

    def place(self, directions: ArrayLike) -> NDArray[np.float64]:
        """Compute the places `(..., 2)` of `(..., 3)` unit vectors; nan where a direction is not seen."""

    def direction(self, places: ArrayLike) -> NDArray[np.float64]:
        """Compute the unit vectors `(..., 3)` at `(..., 2)` places; nan beside the picture."""

    def pixels(self, nside: int, rows: int) -> NDArray[np.int64]:
        """Return the HEALPix cell at each pixel, from the lowest row upwards; -1 beside the picture."""

    def lines(self) -> list[NDArray[np.float64]]:
        """Draw meridians and parallels: lines of `(k, 2)` places, nan where they are not seen."""


class FlatProjection:
    """The whole sphere (Mollweide)."""

    half_width = 2.0

    def place(self, directions: ArrayLike) -> NDArray[np.float64]:
        return mollweide(directions)

    def direction(self, places: ArrayLike) -> NDArray[np.float64]:
        return mollweide_direction(places)

    def pixels(self, nside: int, rows: int) -> NDArray[np.int64]:
        return mollweide_pixels(nside, rows)

    def lines(self) -> list[NDArray[np.float64]]:
        return flat_graticule()


class GlobeProjection:
    """The half of the sphere that faces the user (orthographic), north upwards.

    Parameters
    ----------
    facing
        `(3,)` unit vector, in the middle.
    """

    half_width = 1.0

    def __init__(self, facing: ArrayLike) -> None:
        self.frame = globe_frame(facing)

    @property
    def facing(self) -> NDArray[np.float64]:
        return self.frame[2]

    def place(self, directions: ArrayLike) -> NDArray[np.float64]:
        seen = np.asarray(directions, dtype=np.float64) @ self.frame.T
        return np.where(seen[..., 2:] > 0, seen[..., :2], np.nan)

    def direction(self, places: ArrayLike) -> NDArray[np.float64]:
        x, y = np.moveaxis(np.asarray(places, dtype=np.float64), -1, 0)
        ahead = 1 - x**2 - y**2
        seen = np.stack([x, y, np.sqrt(np.maximum(ahead, 0))], axis=-1)
        return np.where((ahead >= 0)[..., None], seen @ self.frame, np.nan)

    def pixels(self, nside: int, rows: int) -> NDArray[np.int64]:
        return globe_cells(self.facing, nside, rows)[::-1]

    def lines(self) -> list[NDArray[np.float64]]:
        return [self.place(line) for line in graticule(every_rot=60, every_tilt=30)]

    def turned(self, right: float, up: float) -> GlobeProjection:
        """Return the globe after a drag of its surface by shares of its radius; the poles stay on their sides."""
        x, y, z = self.facing
        rot, tilt = np.arctan2(y, x) - right, np.arccos(np.clip(z, -1, 1)) + up
        tilt = np.clip(tilt, 0.001, np.pi - 0.001)  # At a pole itself rot would be lost.
        return GlobeProjection([np.sin(tilt) * np.cos(rot), np.sin(tilt) * np.sin(rot), np.cos(tilt)])
