"""Local refinement of poses by damped Gauss-Newton steps on rotation and shift, all five parameters of a particle.

The derivative of a slice with respect to the place where it is read is itself a slice, of the map times a coordinate
(`WienerVolume.gradient_lattices`). In the image's frame, with `G` those three slices times -2 pi i,

    dF/d omega = (-ky G_z, kx G_z, ky G_x - kx G_y)      for R <- R_delta(omega) R (paper, Eq. 9).
"""

from __future__ import annotations

import torch
from torch import Tensor

from napari_cryospin.physics.slicing import central_slices, shift_phases
from napari_cryospin.physics.so3 import exponential_map

LARGEST_TURN = 0.15
"""Largest rotation in one step, radian: about the spacing of the coarsest grid that a pose comes from."""


def _model(
    lattices: Tensor, rotations: Tensor, shifts: Tensor | None, ctf: Tensor, points: Tensor, padding: int, extent: float
) -> tuple[Tensor, Tensor]:
    """`(b, p)` noise-free images and their `(b, 3 or 5, p)` derivatives."""
    # One lattice after the other: all four at once would not fit into a CPU's cache.
    slices = torch.stack([central_slices(lattice, rotations, points, padding) for lattice in lattices])
    moments = torch.einsum("bil,lbp->ibp", rotations.to(slices.dtype), slices[1:]) * (-2j * torch.pi)
    kx, ky = points.to(ctf.dtype).unbind(-1)
    derivatives = torch.stack((-ky * moments[2], kx * moments[2], ky * moments[0] - kx * moments[1]), dim=1)
    image, factor = slices[0], ctf.to(slices.dtype)
    if shifts is not None:
        factor = factor * shift_phases(shifts, points, extent)
        ramps = (2j * torch.pi / extent) * points.T.to(ctf.dtype)
        derivatives = torch.cat((derivatives, image[:, None] * ramps), dim=1)
    return image * factor, derivatives * factor[:, None]


def _gauss_newton(residual: Tensor, derivatives: Tensor, weights: Tensor, damping: Tensor) -> tuple[Tensor, Tensor]:
    """Step `(b, 3 or 5)` and error `(b,)`: normal equations of the weighted residual, damped as Levenberg-Marquardt."""
    root = weights.sqrt()
    jacobian = torch.view_as_real(derivatives * root).flatten(-2)
    difference = torch.view_as_real(residual * root).flatten(-2)
    normal = jacobian @ jacobian.mT
    diagonal = normal.diagonal(dim1=-2, dim2=-1)
    normal = normal + torch.diag_embed(damping[:, None] * diagonal + 1e-6)
    step = torch.linalg.solve(normal, jacobian @ difference[..., None])[..., 0]
    return step, difference.square().sum(-1)


@torch.no_grad()
def refine_poses(
    lattices: Tensor,
    padding: int,
    rotations: Tensor,
    shifts: Tensor | None,
    images: Tensor,
    ctf: Tensor,
    weights: Tensor,
    points: Tensor,
    extent: float,
    steps: int,
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Refine poses with the volume held fixed.

    Parameters
    ----------
    lattices : Tensor
        `(4, G, G, G)` of `WienerVolume.gradient_lattices`.
    padding : int
        Oversampling of the lattices.
    rotations, shifts
        `(b, 3, 3)`, and `(b, 2)` Angstrom; shifts None: centred, not refined.
    images, ctf : Tensor
        `(b, p)`.
    weights : Tensor
        `(p,)` inverse noise variance.
    points : Tensor
        `(p, 2)`.
    extent : float
        Side of the box, Angstrom.
    steps : int
        Evaluations of the model: the last one only judges the step before it.

    Returns
    -------
    rotations, shifts, errors
        The best pose met by each particle, and its squared error. A step that makes it worse is taken back, and the
        next is damped more.
    """
    best = best_shifts = error = None
    damping = torch.full((len(rotations),), 1e-2, device=rotations.device)
    moved = torch.ones(len(rotations), dtype=torch.bool, device=rotations.device)
    for index in range(steps):
        model, derivatives = _model(lattices, rotations, shifts, ctf, points, padding, extent)
        step, now = _gauss_newton(images - model, derivatives, weights, damping)
        if best is None or error is None:
            best, best_shifts, error = rotations, shifts, now
            home = moved
        else:
            better = moved & (now < error)
            best = torch.where(better[:, None, None], rotations, best)
            if shifts is not None and best_shifts is not None:
                best_shifts = torch.where(better[:, None], shifts, best_shifts)
            error = torch.where(better, now, error)
            damping = torch.where(better, damping / 2, torch.where(moved, damping * 10, damping))
            home = better | ~moved
        if index + 1 == steps:
            break
        # A particle whose step failed is looked at once more at its best pose; its next step starts there, shorter.
        moved = home
        step = step * moved[:, None]
        turn = step[:, :3]
        turn = turn * (LARGEST_TURN / turn.norm(dim=-1, keepdim=True).clamp(min=1e-12)).clamp(max=1)
        rotations = exponential_map(turn) @ best
        shifts = None if best_shifts is None else best_shifts + step[:, 3:]
    assert best is not None
    assert error is not None
    return best, best_shifts, error


@torch.no_grad()
def pose_information(
    lattices: Tensor,
    padding: int,
    rotations: Tensor,
    shifts: Tensor | None,
    ctf: Tensor,
    weights: Tensor,
    points: Tensor,
    extent: float,
) -> Tensor:
    """Fisher information of poses, parameters as of `refine_poses`.

    The likelihood of a half-plane of coefficients falls as `exp(-sum |difference|^2 weight)`: twice the normal matrix.

    Returns
    -------
    Tensor
        `(b, 3, 3)` per radian^2, or `(b, 5, 5)` with the shifts' rows and columns, per A, last.
    """
    _, derivatives = _model(lattices, rotations, shifts, ctf, points, padding, extent)
    jacobian = torch.view_as_real(derivatives * weights.sqrt()).flatten(-2)
    return 2 * jacobian @ jacobian.mT
