"""Rotations under which a map looks nearly the same: peaks of its rotational self-correlation."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_cryospin.physics.so3 import rotation_distance
from napari_cryospin.physics.so3_grid import grid_rotations

SMALLEST_TURN = 40.0
"""Mates are further apart than this, degrees: nearer ones are in reach of local refinement."""
CORRELATION = 0.75
"""Self-correlation of the map from which a rotation counts as a near-symmetry."""
POINTS = 800
"""Points in Fourier space, drawn at random, at which a map is compared with itself."""


@torch.no_grad()
def near_symmetries(hartley: Tensor, padding: int, band: int, most: int = 3) -> Tensor:
    """Rotations under which a map looks nearly the same.

    Parameters
    ----------
    hartley : Tensor
        `(G, G, G)` lattice.
    padding : int
        Its oversampling.
    band : int
        Shells to compare.
    most : int
        Largest number of rotations to return.

    Returns
    -------
    Tensor
        `(m, 3, 3)` rotations `Q`, best first: the map at `Q x` is nearly the map at `x`.
    """
    device = hartley.device
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(POINTS, 3, generator=generator), dim=-1)
    radii = 3 + (band - 3) * torch.rand(POINTS, 1, generator=generator) ** (1 / 3)
    points = (directions * radii).to(device)
    rotations = grid_rotations(8, 48).reshape(-1, 3, 3).to(device)
    rotations = rotations[rotation_distance(rotations, torch.eye(3, device=device)) > SMALLEST_TURN]

    def values(where: Tensor) -> Tensor:
        grid = (where * (padding / (hartley.shape[-1] // 2))).reshape(1, 1, 1, -1, 3)
        read = torch.nn.functional.grid_sample(hartley[None, None], grid, align_corners=True)
        return torch.nn.functional.normalize(read.reshape(where.shape[:-1]), dim=-1)

    still = values(points)
    correlation = torch.cat([values(points @ part.mT) @ still for part in rotations.split(1000)])
    found: list[Tensor] = []
    while len(found) < most:
        best = int(correlation.argmax())
        if correlation[best] < CORRELATION:
            break
        found.append(rotations[best])
        correlation[rotation_distance(rotations, rotations[best]) < SMALLEST_TURN] = -1
    return torch.stack(found) if found else torch.zeros(0, 3, 3, device=device)
