"""Content of the maps of view directions, round and flat: heat map, region, path, markers."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from qtpy.QtGui import QImage

from napari_cryospin.geometry.sphere_cells import credible_cells
from napari_cryospin.views.pose_path import PosePath

REGION_SHARE = 0.9
"""Share of the posterior's probability inside the outlined region."""
REGION_SHARES = (0.5, 0.9, 0.99)
"""Shares of the probability, each of whose smallest region has a colour."""
REGION_COLOURS = np.array([[252, 243, 181], [246, 111, 92], [140, 41, 129], [9, 7, 32]], dtype=np.uint8)
"""`(4, 3)` colours, red, green, blue: of these regions, and of all other directions (from the colour map magma)."""

LOG_DECADES = 6
"""Powers of ten from the best direction to the end of the logarithmic scale, which is the same for every particle."""

MarkerKind = Literal["head", "best", "pose", "truth"]


@dataclass(frozen=True, eq=False)
class Marker:
    """Marker of a direction.

    Attributes
    ----------
    direction
        `(3,)` unit vector in the map's frame.
    kind
        Kind, which decides the shape.
    name
        Text of the tooltip.
    head
        Number of a head, from 0.
    winner
        Whether the head is the winner, whose marker has a ring.
    """

    direction: NDArray
    kind: MarkerKind
    name: str
    head: int = -1
    winner: bool = False


@dataclass(frozen=True, eq=False)
class DirectionScene:
    """Posterior of one particle's view direction, and the markers on it."""

    log_posterior: NDArray  # (cells,) of a HEALPix grid in ring order; exp sums to 1
    markers: tuple[Marker, ...] = ()
    path: PosePath = field(default_factory=PosePath)
    log_colours: bool = False  # instead of colours by credible region

    @cached_property
    def levels(self) -> NDArray[np.float64]:
        """Least log probability within each of the coloured regions, `(3,)`."""
        return credible_levels(self.log_posterior)

    @cached_property
    def region(self) -> NDArray[np.bool_]:
        """Whether each cell belongs to the smallest region that holds 90 % of the probability, `(cells,)`."""
        return credible_cells(self.log_posterior, REGION_SHARE)

    def colours(self) -> NDArray[np.uint8]:
        """Return the colours `(cells, 3)` of all cells."""
        return self.colours_of(self.log_posterior, self.levels)

    def colours_of(self, log_posterior: NDArray, levels: NDArray) -> NDArray[np.uint8]:
        """Return `(..., 3)` colours of log probabilities in the scale of this scene."""
        return log_colours_of(log_posterior) if self.log_colours else colours_of(log_posterior, levels)


def credible_levels(log_posterior: NDArray) -> NDArray[np.float64]:
    """Return the least log probability within each of the smallest regions that hold `REGION_SHARES`, `(3,)`."""
    return np.array([float(log_posterior[credible_cells(log_posterior, share)].min()) for share in REGION_SHARES])


def colours_of(log_posterior: NDArray, levels: NDArray) -> NDArray[np.uint8]:
    """Return `(..., 3)` colours of log probabilities by the smallest region that each belongs to.

    A colour means the same for every particle, of whatever run.
    """
    return REGION_COLOURS[(np.asarray(log_posterior)[..., None] < levels).sum(-1)]


def log_colours_of(log_posterior: NDArray) -> NDArray[np.uint8]:
    """Return `(..., 3)` colours by the logarithm of the probability, down to `LOG_DECADES` below the best direction."""
    below = (np.max(log_posterior) - np.asarray(log_posterior)) / np.log(10) / LOG_DECADES
    return log_palette()[np.rint(255 * np.clip(1 - below, 0, 1)).astype(np.intp)]


@lru_cache(maxsize=1)
def log_palette() -> NDArray[np.uint8]:
    """Return the colours `(256, 3)` of the logarithmic scale, from the least to the most probable."""
    from matplotlib import colormaps  # It loads slowly.

    return np.rint(255 * colormaps["magma"](np.arange(256))[:, :3]).astype(np.uint8)


def image_of(colours: NDArray[np.uint8], inside: NDArray[np.bool_] | None = None) -> QImage:
    """Make a picture of `(rows, columns, 3)` colours, the first row at the top; transparent where not `inside`."""
    rows, columns = colours.shape[:2]
    pixels = np.empty((rows, columns, 4), dtype=np.uint8)
    pixels[..., :3], pixels[..., 3] = colours, 255
    if inside is not None:
        pixels[~inside] = 0
    image = QImage(pixels.tobytes(), columns, rows, 4 * columns, QImage.Format.Format_RGBA8888_Premultiplied)
    return image.copy()  # The copy outlives the buffer of this call.
