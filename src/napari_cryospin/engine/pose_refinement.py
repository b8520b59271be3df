"""Local refinement of poses by damped Gauss-Newton steps on rotation and shift, all five parameters of a particle.

The derivative of a slice with respect to the place where it is read is itself a slice, of the map times a coordinate
(`physics.gradient_lattices`). In the image's frame, with `G` those three slices times -2 pi i,

    dF/d omega = (-ky G_z, kx G_z, ky G_x - kx G_y)      for R <- R_delta(omega) R (paper, Eq. 9).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from napari_cryospin.engine.batch import Batch
from napari_cryospin.geometry.so3 import exponential_map
from napari_cryospin.physics.slicing import central_slices, shift_phases

LARGEST_STEP_TURN = 0.15
"""Largest rotation in one step, radian: 8.6 degrees, about half of the spacing of the 15 degree grid of poses."""
LEAST_PROMISE = 0.01
"""Smallest gain that a step must promise, nats. A pose with less to gain is nearer to its optimum than 0.14 of its
uncertainty, and stays (docs/method.md, why it is fast)."""
FIRST_DAMPING = 2e-2
"""Damping of the first step, as a share of the normal matrix's diagonal (Levenberg and Marquardt); chosen by hand."""
LINEAR_TURN = 0.1
"""Largest movement of a step that need not be judged, in waves of the outermost coefficient at the edge of the box: the
model is nearly linear in it, and what another step would add is far below a pose's uncertainty (docs/method.md, why it
is fast)."""
CPU_REFINED_COEFFICIENTS, REFINED_COEFFICIENTS = 2**19, 2**25
"""Coefficients of images that are refined at a time, on a CPU and on a GPU. Derivatives and their products take
some twenty times as many numbers. Chosen by hand."""


class _Options(NamedTuple):
    """How poses are refined (`refine_poses`)."""

    padding: int
    steps: int
    judge_all: bool


def _model(
    lattices: Tensor, rotations: Tensor, shifts: Tensor | None, ctf: Tensor, points: Tensor, padding: int, extent: float
) -> tuple[Tensor, Tensor]:
    """Compute noise-free images `(b, p)` and their derivatives `(b, 3 or 5, p)`."""
    slices = central_slices(lattices, rotations, points, padding)
    moments = torch.einsum("bil,lbp->ibp", rotations.to(slices.dtype), slices[1:]) * (-2j * torch.pi)
    kx, ky = points.to(ctf.dtype).unbind(-1)
    derivatives = torch.stack((-ky * moments[2], kx * moments[2], ky * moments[0] - kx * moments[1]), dim=1)
    image, factor = slices[0], ctf.to(slices.dtype)
    if shifts is not None:
        factor = factor * shift_phases(shifts, points, extent)
        ramps = (2j * torch.pi / extent) * points.T.to(ctf.dtype)
        derivatives = torch.cat((derivatives, image[:, None] * ramps), dim=1)
    return image * factor, derivatives * factor[:, None]


def _normal_equations(residual: Tensor, derivatives: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compute matrix `(b, q, q)` and right side `(b, q)` of a step in q = 3 or 5 parameters, and the error `(b,)`."""
    root = weights.sqrt()
    jacobian = torch.view_as_real(derivatives * root[:, None]).flatten(-2)
    difference = torch.view_as_real(residual * root).flatten(-2)
    return jacobian @ jacobian.mT, (jacobian @ difference[..., None])[..., 0], difference.square().sum(-1)


def _damped_step(normal: Tensor, slope: Tensor, damping: Tensor) -> Tensor:
    """Compute a Gauss-Newton step `(b, q)`, damped as by Levenberg and Marquardt."""
    diagonal = normal.diagonal(dim1=-2, dim2=-1)
    return torch.linalg.solve(normal + torch.diag_embed(damping[:, None] * diagonal + 1e-6), slope)


@torch.no_grad()
def refine_poses(
    lattices: Tensor,
    batch: Batch,
    rotations: Tensor,
    shifts: Tensor | None,
    *,
    padding: int,
    steps: int,
    judge_all: bool = True,
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Refine poses with the volume held fixed.

    Parameters
    ----------
    lattices : Tensor
        `(4, G, G, G)` lattices of `physics.gradient_lattices`.
    batch : Batch
        The `b` images.
    rotations, shifts
        `(b, 3, 3)`, and `(b, 2)` Angstrom: where the refinement begins; shifts None: particles are centred, and only
        rotations are refined.
    padding : int
        Oversampling of the lattices.
    steps : int
        Largest number of evaluations of the model; the last one only judges the step before it. A particle whose next
        step promises too little (`LEAST_PROMISE`) has fewer.
    judge_all : bool
        Whether each step is judged by the error after it. If not, a short step (`LINEAR_TURN`) is a particle's last
        one, and its error is not known: that of the pose before it is returned.

    Returns
    -------
    rotations, shifts, errors
        The best pose that was evaluated for each particle, after its last step if that was not judged, and the squared
        error `(b,)`, nats, of the pose that was evaluated.
    """
    held = CPU_REFINED_COEFFICIENTS if batch.images.device.type == "cpu" else REFINED_COEFFICIENTS
    size = max(1, held // len(batch.points))
    options, found = _Options(padding, steps, judge_all), []
    for first in range(0, max(1, len(batch)), size):
        part = slice(first, first + size)
        start = rotations[part], None if shifts is None else shifts[part]
        found.append(_refine_part(options, lattices, batch.part(part), *start))
    turned, moved, errors = zip(*found, strict=True)
    return torch.cat(turned), None if shifts is None else torch.cat(moved), torch.cat(errors)


def _refine_part(
    options: _Options, lattices: Tensor, batch: Batch, rotations: Tensor, shifts: Tensor | None
) -> tuple[Tensor, Tensor | None, Tensor]:
    padding, steps, judge_all = options
    best, best_shifts = rotations.clone(), None if shifts is None else shifts.clone()
    error = torch.full((len(rotations),), torch.inf, device=rotations.device)
    damping = torch.full_like(error, FIRST_DAMPING)
    normal = slope = None
    active = torch.arange(len(rotations), device=rotations.device)
    for index in range(steps):
        seen = (batch.ctf[active], batch.points, padding, batch.extent)
        model, derivatives = _model(lattices, rotations, shifts, *seen)
        matrix, side, now = _normal_equations(batch.images[active] - model, derivatives, batch.weights[active])
        if normal is None or slope is None:
            normal, slope = torch.zeros_like(matrix), torch.zeros_like(side)
        improved = now < error[active]
        damping[active] *= torch.where(improved, 0.5, 10.0)
        better = improved.nonzero()[:, 0]  # With a mask, the host would wait for a device at each use.
        # A step that raises the error is undone; the next one starts from the best pose too, and is shorter.
        kept = active[better]
        best[kept], error[kept] = rotations[better], now[better]
        normal[kept], slope[kept] = matrix[better], side[better]
        if shifts is not None and best_shifts is not None:
            best_shifts[kept] = shifts[better]
        if index + 1 == steps:
            break
        step = _damped_step(normal[active], slope[active], damping[active])
        going = (step * slope[active]).sum(-1) > LEAST_PROMISE
        rotations = exponential_map(_short_turn(step[:, :3])) @ best[active]
        shifts = None if best_shifts is None else best_shifts[active] + step[:, 3:]
        if not judge_all:
            last = going & (_movement(step, batch) <= LINEAR_TURN)
            best[active] = torch.where(last[:, None, None], rotations, best[active])
            if shifts is not None and best_shifts is not None:
                best_shifts[active] = torch.where(last[:, None], shifts, best_shifts[active])
            going &= ~last
        left = going.nonzero()[:, 0]
        active, rotations, shifts = active[left], rotations[left], None if shifts is None else shifts[left]
        if not len(active):
            break
    return best, best_shifts, error


def _movement(step: Tensor, batch: Batch) -> Tensor:
    """Bound how far steps `(b, 3 or 5)` move an image at its outermost coefficient, in waves `(b,)`."""
    outermost = batch.points[-1].to(step.dtype).norm().ceil()
    moved = step[:, :3].norm(dim=-1) / 2  # At the edge, half a box away from the centre.
    if step.shape[-1] > 3:
        moved = moved + step[:, 3:].norm(dim=-1) / batch.extent
    return moved * outermost


def _short_turn(turn: Tensor) -> Tensor:
    """Shorten turns `(b, 3)`, radian, to the largest turn of one step."""
    return turn * (LARGEST_STEP_TURN / turn.norm(dim=-1, keepdim=True).clamp(min=1e-12)).clamp(max=1)


@torch.no_grad()
def pose_information(
    lattices: Tensor, batch: Batch, rotations: Tensor, shifts: Tensor | None, *, padding: int
) -> Tensor:
    """Compute the Fisher information of poses; parameters as in `refine_poses`.

    The likelihood of a half-plane of coefficients falls as `exp(-sum |difference|^2 weight)`: twice the normal matrix.

    Returns
    -------
    Tensor
        `(b, 3, 3)` in 1/radian^2, or `(b, 5, 5)` with the rows and columns of the shifts, per Angstrom, last.
    """
    _, derivatives = _model(lattices, rotations, shifts, batch.ctf, batch.points, padding, batch.extent)
    jacobian = torch.view_as_real(derivatives * batch.weights.sqrt()[:, None]).flatten(-2)
    return 2 * jacobian @ jacobian.mT
