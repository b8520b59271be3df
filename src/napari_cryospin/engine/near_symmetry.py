"""Rotations under which a map looks nearly the same: peaks of its rotational self-correlation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from napari_cryospin.engine.kept_state import KeptState
from napari_cryospin.geometry.so3 import exponential_map, rotation_distance
from napari_cryospin.geometry.so3_grid import grid_rotations
from napari_cryospin.physics.slicing import read_hartley

SMALLEST_MATE_TURN = 40.0
"""Least turn of a near-symmetry, degrees; local refinement reaches nearer mates by itself."""
SELF_CORRELATION = 0.75
"""Least self-correlation of the map, without unit, for a rotation to be a near-symmetry."""
COMPARED_POINTS = 800
"""Number of random points in Fourier space at which a map is compared with itself."""
MOST_SYMMETRIES = 11
"""Largest number of rotations: as many as C12 and D6 have, apart from the identity."""
COARSE_SYMMETRY_BAND, MOST_PEAKS = 6, 16
"""Shells that are compared on the grid of 15 degrees, which cannot miss their peaks, and the largest number of peaks
that are refined."""
FAINTEST_PEAK = 0.3
"""Least self-correlation on the coarse grid, without unit, for a peak to be refined."""
PEAK_REACH, PEAK_STEP = 12.0, 3.0
"""Largest turn about each of three axes, and its step, in the refinement of a peak, degrees."""
SYMMETRY_BAND = 10
"""Largest number of shells that are compared: maps that only finer shells distinguish count as nearly the same."""


@dataclass(eq=False)
class NearSymmetries(KeptState):
    """Near-symmetries of a fit's map at the end of the last epoch.

    Attributes
    ----------
    rotations : Tensor
        `(m, 3, 3)`; empty until the band is at its largest before the switch.
    """

    rotations: Tensor

    @classmethod
    def none(cls, device: torch.device | str = "cpu") -> NearSymmetries:
        return cls(torch.zeros(0, 3, 3, device=device))


@torch.no_grad()
def near_symmetries(hartley: Tensor, padding: int, band: int, most: int = MOST_SYMMETRIES) -> Tensor:
    """Find the rotations under which a map looks nearly the same.

    Parameters
    ----------
    hartley : Tensor
        `(G, G, G)` lattice.
    padding : int
        Oversampling of the lattice.
    band : int
        Shells of the map; no more than `SYMMETRY_BAND` of them are compared.
    most : int
        Largest number of rotations to return.

    Returns
    -------
    Tensor
        `(m, 3, 3)` rotations `Q`, best first: the map at `Q x` is nearly the map at `x`.
    """
    band = min(band, SYMMETRY_BAND)
    grid = _large(grid_rotations(4, 24).reshape(-1, 3, 3).to(hartley.device))
    coarse = _self_correlation(hartley, padding, min(band, COARSE_SYMMETRY_BAND), grid)
    line = torch.arange(-PEAK_REACH, PEAK_REACH + PEAK_STEP / 2, PEAK_STEP).deg2rad()
    local = exponential_map(torch.cartesian_prod(line, line, line)).to(hartley.device)
    found: list[tuple[float, Tensor]] = []
    for peak in _peaks(grid, coarse, MOST_PEAKS):
        near = _large(peak @ local)
        correlation = _self_correlation(hartley, padding, band, near)
        if len(near) and float(correlation.max()) >= SELF_CORRELATION:
            found.append((float(correlation.max()), near[correlation.argmax()]))
    found.sort(key=lambda one: -one[0])
    kept: list[Tensor] = []
    for _, rotation in found:
        if len(kept) < most and all(float(rotation_distance(rotation, other)) > SMALLEST_MATE_TURN for other in kept):
            kept.append(rotation)
    return torch.stack(kept) if kept else torch.zeros(0, 3, 3, device=hartley.device)


def with_mates(rotations: Tensor, symmetries: Tensor) -> Tensor:
    """Add to poses `(..., 3, 3)` their mates under near-symmetries `(m, 3, 3)`: `(..., 1 + m, 3, 3)`."""
    identity = torch.eye(3, device=symmetries.device)[None]
    return rotations[..., None, :, :] @ torch.cat((identity, symmetries))


def _large(rotations: Tensor) -> Tensor:
    """Select the rotations of `(r, 3, 3)` that turn by more than `SMALLEST_MATE_TURN`."""
    return rotations[rotation_distance(rotations, torch.eye(3, device=rotations.device)) > SMALLEST_MATE_TURN]


def _peaks(rotations: Tensor, correlation: Tensor, most: int) -> list[Tensor]:
    """Find the rotations `(3, 3)` of largest correlation that lie apart from each other."""
    left = correlation.clone()
    peaks: list[Tensor] = []
    while len(peaks) < most and float(left.max()) > FAINTEST_PEAK:
        peaks.append(rotations[left.argmax()])
        left[rotation_distance(rotations, peaks[-1]) < SMALLEST_MATE_TURN] = -1
    return peaks


def _self_correlation(hartley: Tensor, padding: int, band: int, rotations: Tensor) -> Tensor:
    """Correlate the map with itself turned by rotations `(r, 3, 3)`, in the shells from the third on: `(r,)`."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(COMPARED_POINTS, 3, generator=generator), dim=-1)
    radii = 3 + (band - 3) * torch.rand(COMPARED_POINTS, 1, generator=generator) ** (1 / 3)
    points = (directions * radii).to(hartley.device)

    def values(where: Tensor) -> Tensor:
        places = where * (padding / (hartley.shape[-1] // 2))
        read = read_hartley(hartley, places.reshape(1, -1, 3)).reshape(where.shape[:-1])
        return torch.nn.functional.normalize(read, dim=-1)

    still = values(points)
    return torch.cat([values(points @ part.mT) @ still for part in rotations.split(1000)])
