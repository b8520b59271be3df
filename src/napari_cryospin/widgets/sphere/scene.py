"""What the maps of view directions draw, on the globe and on the flat ones alike: heat map, region, path, markers."""

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
"""Share of the probability inside the outline."""
SHALLOWEST, DEEPEST = 4.0, 30.0
"""Nats that the colours span, at the least and at the most."""

MarkerKind = Literal["head", "best", "pose", "truth"]


@dataclass(frozen=True, eq=False)
class Marker:
    """A direction with a meaning.

    Attributes
    ----------
    direction
        `(3,)` unit vector in the map's frame.
    kind
        Says the shape.
    name
        For the tooltip.
    head
        0-based, of a head.
    winner
        Whether it is ringed.
    """

    direction: NDArray
    kind: MarkerKind
    name: str
    head: int = -1
    winner: bool = False


@dataclass(frozen=True, eq=False)
class DirectionScene:
    """One particle's posterior of the view direction, and what lies on it."""

    log_posterior: NDArray  # (cells,) of a HEALPix grid in ring order; exp sums to 1
    markers: tuple[Marker, ...] = ()
    path: PosePath = field(default_factory=PosePath)

    @cached_property
    def depth(self) -> float:
        """Nats below the maximum at which the colours end."""
        return colour_depth(self.log_posterior)

    @cached_property
    def region(self) -> NDArray[np.bool_]:
        """`(cells,)` the fewest cells that hold 90 % of the probability."""
        return credible_cells(self.log_posterior, REGION_SHARE)


def colour_depth(log_posterior: NDArray) -> float:
    """Nats that the colours of a posterior span: all there are, within limits."""
    finite = log_posterior[np.isfinite(log_posterior)]
    return float(np.clip(np.ceil(np.ptp(finite)), SHALLOWEST, DEEPEST))


@cache
def colour_table() -> NDArray[np.uint8]:
    """`(256, 3)` colours from least to most probable: perceptually even, black and white left to lines and text."""
    import pyqtgraph

    magma = pyqtgraph.colormap.get("magma")
    return np.asarray(magma.getLookupTable(start=0.06, stop=0.98, nPts=256, alpha=False), dtype=np.uint8)


def colours_of(log_posterior: NDArray, depth: float) -> NDArray[np.uint8]:
    """`(..., 3)` colours of log probabilities."""
    below = np.nan_to_num(log_posterior - np.nanmax(log_posterior), neginf=-depth)
    levels = np.clip(255 * (1 + below / depth), 0, 255).astype(np.uint8)
    return colour_table()[levels]


def image_of(colours: NDArray[np.uint8], inside: NDArray[np.bool_] | None = None) -> QImage:
    """Picture of `(rows, columns, 3)` colours, the first row at the top; transparent where not `inside`."""
    rows, columns = colours.shape[:2]
    pixels = np.empty((rows, columns, 4), dtype=np.uint8)
    pixels[..., :3], pixels[..., 3] = colours, 255
    if inside is not None:
        pixels[~inside] = 0
    image = QImage(pixels.tobytes(), columns, rows, 4 * columns, QImage.Format.Format_RGBA8888_Premultiplied)
    return image.copy()  # the buffer above goes with this call
