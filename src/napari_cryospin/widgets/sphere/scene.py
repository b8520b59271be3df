"""Content of the maps of view directions, round and flat: heat map, region, path, markers."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from qtpy.QtGui import QImage

from napari_cryospin.geometry.sphere_cells import credible_cells
from napari_cryospin.views.pose_path import PosePath

REGION_SHARE = 0.9
"""Share of the posterior's probability inside the outlined region."""
SHALLOWEST, DEEPEST = 4.0, 30.0
"""Smallest and largest range of the colours, nats."""

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

    @cached_property
    def depth(self) -> float:
        """Range of the colours below the maximum, nats."""
        return colour_depth(self.log_posterior)

    @cached_property
    def region(self) -> NDArray[np.bool_]:
        """Whether each cell belongs to the smallest region that holds 90 % of the probability, `(cells,)`."""
        return credible_cells(self.log_posterior, REGION_SHARE)


def colour_depth(log_posterior: NDArray) -> float:
    """Return the range of the colours of a posterior, nats: the range of its values, within limits."""
    finite = log_posterior[np.isfinite(log_posterior)]
    return float(np.clip(np.ceil(np.ptp(finite)), SHALLOWEST, DEEPEST))


@cache
def colour_table() -> NDArray[np.uint8]:
    """Make `(256, 3)` colours from least to most probable: perceptually even, without black and white."""
    import pyqtgraph

    magma = pyqtgraph.colormap.get("magma")
    return np.asarray(magma.getLookupTable(start=0.06, stop=0.98, nPts=256, alpha=False), dtype=np.uint8)


def colours_of(log_posterior: NDArray, depth: float) -> NDArray[np.uint8]:
    """Return `(..., 3)` colours of log probabilities."""
    below = np.nan_to_num(log_posterior - np.nanmax(log_posterior), neginf=-depth)
    levels = np.clip(255 * (1 + below / depth), 0, 255).astype(np.uint8)
    return colour_table()[levels]


def image_of(colours: NDArray[np.uint8], inside: NDArray[np.bool_] | None = None) -> QImage:
    """Make a picture of `(rows, columns, 3)` colours, the first row at the top; transparent where not `inside`."""
    rows, columns = colours.shape[:2]
    pixels = np.empty((rows, columns, 4), dtype=np.uint8)
    pixels[..., :3], pixels[..., 3] = colours, 255
    if inside is not None:
        pixels[~inside] = 0
    image = QImage(pixels.tobytes(), columns, rows, 4 * columns, QImage.Format.Format_RGBA8888_Premultiplied)
    return image.copy()  # The copy outlives the buffer of this call.
