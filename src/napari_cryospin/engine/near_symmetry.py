"""Rotations under which a map looks nearly the same: peaks of its rotational self-correlation."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_cryospin.geometry.so3 import exponential_map, rotation_distance
from napari_cryospin.geometry.so3_grid import grid_rotations

SMALLEST_TURN = 40.0
"""Mates are further apart than this, degrees: nearer ones are in reach of local refinement."""
CORRELATION = 0.75
"""Self-correlation of the map from which a rotation counts as a near-symmetry."""
POINTS = 800
"""Points in Fourier space, drawn at random, at which a map is compared with itself."""
MOST = 11
"""Largest number of rotations: as many as C12 and D6 have."""
COARSE_BAND, CANDIDATES = 6, 16
"""Shells whose peaks a grid of 15 degrees cannot miss, and how many of these peaks are looked at closely."""
FAINT = 0.3
"""Self-correlation on the coarse grid below which there is no peak to look at."""
REACH, STEP = 12.0, 3.0
"""A peak is looked at closely within this turn about each of three axes, in such steps, degrees."""
BAND = 10
"""Shells that are compared, at most: what only finer detail tells apart is near."""


@torch.no_grad()
def near_symmetries(hartley: Tensor, padding: int, band: int, most: int = MOST) -> Tensor:
    """Rotations under which a map looks nearly the same.

    Parameters
    ----------
    hartley : Tensor
        `(G, G, G)` lattice.
    padding : int
        Its oversampling.
    band : int
        Shells that the map has; no more than `BAND` are compared.
    most : int
        Largest number of rotations to return.

    Returns
    -------
    Tensor
        `(m, 3, 3)` rotations `Q`, best first: the map at `Q x` is nearly the map at `x`.
    """
    band = min(band, BAND)
    grid = _large(grid_rotations(4, 24).reshape(-1, 3, 3).to(hartley.device))
    coarse = _self_correlation(hartley, padding, min(band, COARSE_BAND), grid)
    line = torch.arange(-REACH, REACH + STEP / 2, STEP).deg2rad()
    local = exponential_map(torch.cartesian_prod(line, line, line)).to(hartley.device)
    found: list[tuple[float, Tensor]] = []
    for peak in _peaks(grid, coarse, CANDIDATES):
        near = _large(peak @ local)
        correlation = _self_correlation(hartley, padding, band, near)
        if len(near) and float(correlation.max()) >= CORRELATION:
            found.append((float(correlation.max()), near[correlation.argmax()]))
    found.sort(key=lambda one: -one[0])
    kept: list[Tensor] = []
    for _, rotation in found:
        if len(kept) < most and all(float(rotation_distance(rotation, other)) > SMALLEST_TURN for other in kept):
            kept.append(rotation)
    return torch.stack(kept) if kept else torch.zeros(0, 3, 3, device=hartley.device)


def with_mates(rotations: Tensor, symmetries: Tensor) -> Tensor:
    """`(..., 3, 3)` poses to `(..., 1 + m, 3, 3)`: each with its mates under `(m, 3, 3)` near-symmetries."""
    identity = torch.eye(3, device=symmetries.device)[None]
    return rotations[..., None, :, :] @ torch.cat((identity, symmetries))


def _large(rotations: Tensor) -> Tensor:
    """Those of `(r, 3, 3)` rotations that turn far enough."""
    return rotations[rotation_distance(rotations, torch.eye(3, device=rotations.device)) > SMALLEST_TURN]


def _peaks(rotations: Tensor, correlation: Tensor, most: int) -> list[Tensor]:
    """Best rotations `(3, 3)`, apart from each other."""
    left = correlation.clone()
    peaks: list[Tensor] = []
    while len(peaks) < most and float(left.max()) > FAINT:
        peaks.append(rotations[left.argmax()])
        left[rotation_distance(rotations, peaks[-1]) < SMALLEST_TURN] = -1
    return peaks


def _self_correlation(hartley: Tensor, padding: int, band: int, rotations: Tensor) -> Tensor:
    """`(r,)` correlation of the map with itself as turned by `(r, 3, 3)` rotations, shells from the third on."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(POINTS, 3, generator=generator), dim=-1)
    radii = 3 + (band - 3) * torch.rand(POINTS, 1, generator=generator) ** (1 / 3)
    points = (directions * radii).to(hartley.device)

    def values(where: Tensor) -> Tensor:
        grid = (where * (padding / (hartley.shape[-1] // 2))).reshape(1, 1, 1, -1, 3)
        read = torch.nn.functional.grid_sample(hartley[None, None], grid, align_corners=True)
        return torch.nn.functional.normalize(read.reshape(where.shape[:-1]), dim=-1)

    still = values(points)
    return torch.cat([values(points @ part.mT) @ still for part in rotations.split(1000)])
