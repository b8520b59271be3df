"""Rotations: parametrisations, distances, sampling. A rotation is RELION's matrix `A` (map frame to image frame)."""

from __future__ import annotations

import torch
from torch import Tensor


def rotation_from_6d(vectors: Tensor) -> Tensor:
    """Compute a rotation from two 3-vectors, the S2S2 form (paper, appendix A).

    Parameters
    ----------
    vectors : Tensor
        `(..., 6)` two vectors, of any length but not parallel.

    Returns
    -------
    Tensor
        `(..., 3, 3)` with columns `v1`, `v3 x v1` and `v3 = v1 x v2`, each normalised.
    """
    v1 = torch.nn.functional.normalize(vectors[..., :3], dim=-1)
    v3 = torch.nn.functional.normalize(torch.linalg.cross(v1, vectors[..., 3:], dim=-1), dim=-1)
    return torch.stack((v1, torch.linalg.cross(v3, v1, dim=-1), v3), dim=-1)


def cross_matrix(vector: Tensor) -> Tensor:
    """Make the `(..., 3, 3)` matrix `[v]x` of the cross product with a `(..., 3)` vector."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), dim=-1).unflatten(-1, (3, 3))


def exponential_map(omega: Tensor) -> Tensor:
    """Compute the rotation about `omega` by `|omega|`: Rodrigues' formula (paper, Eq. 9 and appendix A).

    Near 0 the two quotients are replaced by their Taylor expansions. Only the square of the angle is used, and the
    unused branch is computed from a safe value, so that value and derivative stay finite and right at 0.

    Parameters
    ----------
    omega : Tensor
        `(..., 3)` axis times angle, radian.

    Returns
    -------
    Tensor
        `(..., 3, 3)` rotations.
    """
    square = omega.square().sum(-1)[..., None, None]
    small = square < 1e-3
    safe = torch.where(small, torch.ones_like(square), square)
    angle = safe.sqrt()
    sine = torch.where(small, 1 - square / 6 * (1 - square / 20 * (1 - square / 42)), angle.sin() / angle)
    versine = torch.where(small, 0.5 - square / 24 * (1 - square / 30 * (1 - square / 56)), (1 - angle.cos()) / safe)
    cross = cross_matrix(omega)
    return torch.eye(3, dtype=omega.dtype, device=omega.device) + sine * cross + versine * (cross @ cross)


def rotation_distance(a: Tensor, b: Tensor) -> Tensor:
    """Measure the angle of the rotation between `(..., 3, 3)` rotations, degrees.

    It is computed from the chord `|a - b|`, which is precise for small angles, where the trace is not.
    """
    chord = (a - b).square().sum((-2, -1)).sqrt() / (2 * 2**0.5)
    return torch.rad2deg(2 * torch.asin(chord.clamp(max=1)))


def random_rotations(
    count: int, generator: torch.Generator | None = None, device: str | torch.device = "cpu"
) -> Tensor:
    """Draw `(count, 3, 3)` rotations uniformly from SO(3): QR of a normal matrix, signs fixed."""
    normal = torch.randn(count, 3, 3, generator=generator, device=generator.device if generator else device)
    q, r = torch.linalg.qr(normal)
    q = q * r.diagonal(dim1=-2, dim2=-1).sign()[:, None, :]
    q[:, :, 0] *= torch.linalg.det(q)[:, None]
    return q.to(device)
