"""A model of one of a run's maps for the comparison with images: its lattice, and its slices over the whole sphere."""

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
"""Largest numbers of shells that are compared: on the whole sphere, in the zoom, and at the candidates.

The first goes with the spacing of the coarse grid (see `REFINED_WITHIN` in `views/posterior/sphere.py`); the others are
chosen by hand.
"""


@dataclass(frozen=True, kw_only=True)
class MapModel:
    """A map that can be sliced at any rotation.

    Attributes
    ----------
    lattice : Tensor
        `(g, g, g)` Hartley lattice out to the shells that are read (`DETAIL_BAND` at most), in units of the prepared
        images' transform.
    padding : int
        Oversampling of the lattice.
    points : Tensor
        `(p, 2)` half-plane points of the whole box, innermost first.
    band : int
        Shells that the run compares with the images.
    sphere : Templates
        Slices at the coarse directions of the whole sphere, in-plane angle 0.
    """

    lattice: Tensor
    padding: int
    points: Tensor
    band: int
    sphere: Templates

    def slices(self, rotations: Tensor, band: int) -> Templates:
        """Slice the map at `(k, 3, 3)` rotations, up to a band (shells)."""
        return make_templates(self.lattice, rotations.to(self.lattice.device), band_of(self.points, band), self.padding)


def band_of(points: Tensor, band: int) -> Tensor:
    """Return those of `(p, 2)` half-plane points that lie within a band (shells)."""
    return points[: fourier.band_size(points, band)]


def make_model(
    record: EpochRecord, half: int, points: Tensor, box: int, padding: int, cancelled: threading.Event | None
) -> MapModel:
    """Make the model of one of a record's maps.

    Parameters
    ----------
    record : EpochRecord
        The run's record that holds the map.
    half : int
        Index of the map, from 0.
    points : Tensor
        `(p, 2)` half-plane points of the whole box, innermost first; the model is made on their device.
    box : int
        Box of the prepared images, px.
    padding : int
        Oversampling of the lattice.
    cancelled : threading.Event, optional
        Setting it makes the call raise `CancelledError` soon.

    Raises
    ------
    ValueError
        The map's box is not that of the images.
    CancelledError
        `cancelled` was set.
    """
    density = torch.from_numpy(np.array(record.all_maps[half], dtype=np.float32)).to(points.device)
    if len(density) != box:
        raise ValueError(f"map: box of {len(density)} px; expected {box} px, as these particles are prepared to")
    raise_if_cancelled(cancelled)
    lattice = inner_lattice(density / box, padding, min(record.band, DETAIL_BAND))
    raise_if_cancelled(cancelled)
    rotations = directions(COARSE_NSIDE).flatten(0, 1).to(points.device)
    sphere = make_templates(lattice, rotations, band_of(points, min(record.band, SPHERE_BAND)), padding)
    return MapModel(lattice=lattice, padding=padding, points=points, band=record.band, sphere=sphere)
