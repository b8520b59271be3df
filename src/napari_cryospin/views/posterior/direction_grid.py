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
"""HEALPix nside of the two grids, 3.7 and 0.9 degrees apart.

All directions of the coarse grid are compared; those of the fine grid only within the best coarse directions. Why the
coarse grid is fine enough: see `REFINED_WITHIN` in `views/posterior/sphere.py`.
"""


@lru_cache(maxsize=2)
def directions(nside: int) -> Tensor:
    """Return the rotations at a grid's directions, with in-plane angle 0, `(cells, k, 3, 3)`.

    They are grouped: those of the coarse grid by the cells that are shown, those of the fine grid by coarse directions.
    """
    rot, tilt = view_directions(nside).unbind(-1)
    cells = {COARSE_NSIDE: CELLS_NSIDE, FINE_NSIDE: COARSE_NSIDE}[nside]
    order = np.argsort(healpix.ang2pix(cells, tilt.numpy(), rot.numpy()), kind="stable")
    rotations = rotation_from_angles(rot[order], tilt[order], torch.zeros_like(rot)).float()
    if nside == FINE_NSIDE:  # The groups are put in the order in which the coarse directions are returned.
        rotations = rotations.reshape(12 * cells**2, -1, 3, 3)
        rot, tilt = view_directions(COARSE_NSIDE).unbind(-1)
        by_cell = np.argsort(healpix.ang2pix(CELLS_NSIDE, tilt.numpy(), rot.numpy()), kind="stable")
        return rotations[by_cell]
    return rotations.reshape(12 * cells**2, -1, 3, 3)
