"""The grids of view directions on which a particle's posterior is computed."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from napari_cryospin.geometry import healpix
from napari_cryospin.geometry.so3_grid import rotation_from_angles, view_directions
from napari_cryospin.views.sphere_pictures import CELLS_NSIDE

COARSE_NSIDE, FINE_NSIDE = 16, 64
"""HEALPix grids of the directions that are looked at: all of the first, and the second within the best of the first."""


@lru_cache(maxsize=2)
def directions(nside: int) -> Tensor:
    """Make rotations `(cells, k, 3, 3)` at a grid's directions, in-plane angle 0.

    The coarse grid is sorted by the cells that are shown, the fine grid by the directions of the coarse one.
    """
    rot, tilt = view_directions(nside).unbind(-1)
    cells = {COARSE_NSIDE: CELLS_NSIDE, FINE_NSIDE: COARSE_NSIDE}[nside]
    order = np.argsort(healpix.ang2pix(cells, tilt.numpy(), rot.numpy()), kind="stable")
    rotations = rotation_from_angles(rot[order], tilt[order], torch.zeros_like(rot)).float()
    if nside == FINE_NSIDE:  # in the order of the coarse directions
        rotations = rotations.reshape(12 * cells**2, -1, 3, 3)
        rot, tilt = view_directions(COARSE_NSIDE).unbind(-1)
        by_cell = np.argsort(healpix.ang2pix(CELLS_NSIDE, tilt.numpy(), rot.numpy()), kind="stable")
        return rotations[by_cell]
    return rotations.reshape(12 * cells**2, -1, 3, 3)
