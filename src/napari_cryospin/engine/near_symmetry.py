"""Rotations under which a map looks nearly the same: peaks of its rotational self-correlation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from napari_cryospin.engine.kept_state import KeptState
from napari_cryospin.geometry.so3 import exponential_map, rotation_distance
from napari_cryospin.geometry.so3_grid import grid_rotations
from napari_cryospin.geometry.symmetry import NO_SYMMETRY, PointGroup
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
    """Symmetries of a fit's map, and its near-symmetries at the end of the last epoch.

    Attributes
    ----------
    rotations : Tensor
        `(m, 3, 3)`, those of the point group first, without the identity. Near-symmetries are not known until the band
        is at its largest before the switch.
    """

    rotations: Tensor

    @classmethod
    def of(cls, group: PointGroup, device: torch.device | str = "cpu") -> NearSymmetries:
        """Begin with the symmetries of a point group."""
        return cls(group.others(torch.zeros(1, device=device)))

    def find(self, hartley: Tensor, padding: int, band: int, group: PointGroup) -> None:
        """Find the near-symmetries of a map `(G, G, G)` anew."""
        found = near_symmetries(hartley, padding, band, group=group)
        self.rotations = torch.cat((group.others(found), found))


@torch.no_grad()
def near_symmetries(
    hartley: Tensor, padding: int, band: int, most: int = MOST_SYMMETRIES, group: PointGroup = NO_SYMMETRY
) -> Tensor:
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
    group : PointGroup
        Exact symmetry of the map. Nothing near a rotation of the group is found, and of the symmetric copies of a
        near-symmetry only one.

    Returns
    -------
    Tensor
        `(m, 3, 3)` rotations `Q`, best first: the map at `Q x` is nearly the map at `x`.
    """
    band = min(band, SYMMETRY_BAND)
    grid = _large(grid_rotations(4, 24).reshape(-1, 3, 3).to(hartley.device), group)
    coarse = _self_correlation(hartley, padding, min(band, COARSE_SYMMETRY_BAND), grid)
    line = torch.arange(-PEAK_REACH, PEAK_REACH + PEAK_STEP / 2, PEAK_STEP).deg2rad()
    local = exponential_map(torch.cartesian_prod(line, line, line)).to(hartley.device)
    found: list[tuple[float, Tensor]] = []
    for peak in _peaks(grid, coarse, MOST_PEAKS):
        near = _large(peak @ local, group)
        correlation = _self_correlation(hartley, padding, band, near)
        if len(near) and float(correlation.max()) >= SELF_CORRELATION:
            found.append((float(correlation.max()), near[correlation.argmax()]))
    found.sort(key=lambda one: -one[0])
    kept: list[Tensor] = []

    def apart(rotation: Tensor, other: Tensor) -> bool:
        return float(_distance(rotation, other @ group.rotations(other))) > SMALLEST_MATE_TURN

    for _, rotation in found:
        if len(kept) < most and all(apart(rotation, other) for other in kept):
            kept.append(rotation)
    return torch.stack(kept) if kept else torch.zeros(0, 3, 3, device=hartley.device)


def with_mates(rotations: Tensor, symmetries: Tensor) -> Tensor:
    """Add to poses `(..., 3, 3)` their mates under near-symmetries `(m, 3, 3)`: `(..., 1 + m, 3, 3)`."""
    identity = torch.eye(3, device=symmetries.device)[None]
    return rotations[..., None, :, :] @ torch.cat((identity, symmetries))


def _large(rotations: Tensor, group: PointGroup) -> Tensor:
    """Select the rotations of `(r, 3, 3)` that lie farther than `SMALLEST_MATE_TURN` from all of the group."""
    return rotations[_distance(rotations[:, None], group.rotations(rotations)) > SMALLEST_MATE_TURN]


def _distance(rotations: Tensor, others: Tensor) -> Tensor:
    """Compute the angles `(...)`, degrees, from rotations `(..., k or 1, 3, 3)` to the nearest of `(k, 3, 3)`."""
    return rotation_distance(rotations, others).amin(-1)


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
        read = read_hartley(hartley[None], places.reshape(1, -1, 3)).reshape(where.shape[:-1])
        return torch.nn.functional.normalize(read, dim=-1)

    still = values(points)
    return torch.cat([values(points @ part.mT) @ still for part in rotations.split(1000)])
