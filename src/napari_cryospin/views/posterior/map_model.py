"""One map of a run, ready to be compared with images: its lattice, and its slices over the whole sphere."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_cryospin.engine.pose_posterior import Templates, make_templates
from napari_cryospin.physics import fourier
from napari_cryospin.physics.inner_lattice import inner_lattice
from napari_cryospin.runs.epoch_record import EpochRecord
from napari_cryospin.views.posterior.cancelling import raise_if_cancelled
from napari_cryospin.views.posterior.direction_grid import COARSE_NSIDE, directions

SPHERE_BAND, ZOOM_BAND, DETAIL_BAND = 18, 24, 32
"""Shells compared at most: on the whole sphere, in the zoom, and for candidates."""


@dataclass(frozen=True, kw_only=True)
class MapModel:
    """A map as its slices.

    Attributes
    ----------
    lattice : Tensor
        `(g, g, g)`, as far as `DETAIL_BAND` reads it, in units of the prepared images' transform.
    padding : int
        Oversampling of the lattice.
    points : Tensor
        `(p, 2)` half-plane points of the whole box.
    band : int
        Shells that the run looks at.
    sphere : Templates
        Slices at the coarse directions of the whole sphere, in-plane angle 0.
    """

    lattice: Tensor
    padding: int
    points: Tensor
    band: int
    sphere: Templates

    def slices(self, rotations: Tensor, band: int) -> Templates:
        """Slices at `(k, 3, 3)` rotations, as far as a band goes."""
        return make_templates(self.lattice, rotations.to(self.lattice.device), band_of(self.points, band), self.padding)


def band_of(points: Tensor, band: int) -> Tensor:
    """`(p, 2)` points up to a band."""
    return points[: fourier.band_size(points, band)]


def make_model(
    record: EpochRecord, half: int, points: Tensor, box: int, padding: int, cancelled: threading.Event | None
) -> MapModel:
    """Model of one of a record's maps.

    Raises
    ------
    ValueError
        The map's box is not the images'.
    CancelledError
        `cancelled` was set.
    """
    density = torch.from_numpy(np.array(record.maps[half], dtype=np.float32)).to(points.device)
    if len(density) != box:
        raise ValueError(f"map: box of {len(density)} px; expected {box} px, as these particles are prepared to")
    raise_if_cancelled(cancelled)
    lattice = inner_lattice(density / box, padding, min(record.band, DETAIL_BAND))
    raise_if_cancelled(cancelled)
    rotations = directions(COARSE_NSIDE).flatten(0, 1).to(points.device)
    sphere = make_templates(lattice, rotations, band_of(points, min(record.band, SPHERE_BAND)), padding)
    return MapModel(lattice=lattice, padding=padding, points=points, band=record.band, sphere=sphere)
