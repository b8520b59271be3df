"""Precision of the poses, from the curvature of the likelihood at the pose that was found."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.pose_refinement import pose_information
from napari_cryospin.engine.used_rows import evenly_spread

PRECISION_PARTICLES = 1000
"""Largest number of particles whose precision is computed, evenly spread over the fit: enough for one figure for each
direction. Chosen by hand."""
PRECISION_BATCH = 100
"""Number of particles at a time; chosen by hand."""


@torch.no_grad()
def angular_precision(fit: Fit) -> Tensor:
    """Estimate the error of the rotations from the likelihood's curvature, with the shifts unknown too.

    It holds for a pose in the right mode: for a particle far from its true pose, it is as small as for any other.

    Returns
    -------
    Tensor
        `(n,)` degrees, root mean square of the angle; nan for particles for which it was not computed, among them those
        of other classes where the fit is a view.
    """
    if fit.views:
        return torch.stack([angular_precision(view) for view in fit.views]).nanmean(0)  # Each is known in one class.
    volume = fit.volume
    lattices = volume.gradient_lattices()
    members = fit.members
    chosen = members[evenly_spread(len(members), PRECISION_PARTICLES)]
    precision = torch.full((len(fit),), torch.nan)
    for rows in chosen.split(PRECISION_BATCH):
        batch = fit.batch(rows)
        rotations, shifts = fit.poses(batch)
        used = fit.shift_range.used(shifts)
        information = pose_information(lattices, batch, rotations, used, padding=volume.padding)
        covariance, failed = torch.linalg.inv_ex(information)
        angle = covariance[:, :3, :3].diagonal(dim1=-2, dim2=-1).sum(-1).sqrt().rad2deg()
        known = (failed == 0) & angle.isfinite()
        precision[rows] = torch.where(known, angle.clamp(max=180), torch.full_like(angle, torch.nan)).cpu()
    return precision
