"""Alignment of one map to another over rotation, translation and hand.

The maps are compared in Fourier space, at the points of a half-ball: first on a grid over SO(3) and translations in the
innermost shells, then the best candidates by gradient in a wider band, at last with each shell weighted by how well the
maps agree there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from torch import Tensor

from napari_cryospin.evaluation.fsc import fsc
from napari_cryospin.geometry import so3, so3_grid
from napari_cryospin.geometry.hand import flip_hand
from napari_cryospin.physics import fourier
from napari_cryospin.physics.map_crop import fourier_crop_map, fourier_pad_map
from napari_cryospin.physics.slicing import read_lattice

_SEARCH_BOX = 64  # pixels; larger maps are searched at this box
_COARSE_BAND, _MIDDLE_BAND = 6, 12  # shells
_REFINED_CANDIDATES = 16  # number of candidates of the coarse search that are refined


@dataclass(frozen=True)
class MapAlignment:
    """Transformation of a moving map into a fixed one: a point `p` from the centre goes to `rotation @ p + shift`."""

    rotation: NDArray[np.float64]
    """`(3, 3)`, applied after the flip of the hand."""
    shift: NDArray[np.float64]
    """`(3,)` Angstrom, `(x, y, z)` in the fixed map's frame."""
    hand_flipped: bool
    """The moving map was inverted through its centre."""
    correlation: float
    """Correlation of the aligned and the fixed map, over all grid points."""
    agreement: float
    """Area under the FSC up to where it first falls below 0.143, in shells: the hand is chosen by it."""
    other_hand: float
    """The same area in the other hand; nan where that was not tried."""
    density: NDArray[np.float32]
    """`(n, n, n)` the moving map, aligned."""


def align_maps(
    fixed: NDArray[Any],
    moving: NDArray[Any],
    pixel_size: float,
    *,
    either_hand: bool = True,
    start: MapAlignment | None = None,
) -> MapAlignment:
    """Align a map to another one.

    Parameters
    ----------
    fixed, moving : ndarray
        `(n, n, n)` maps `[z, y, x]` with the same pixel size; masked, or with an empty background. The search covers
        translations up to 0.15 of the box along each axis.
    pixel_size : float
        Angstrom.
    either_hand : bool
        Try the other hand too, and keep the one that agrees better.
    start : MapAlignment, optional
        Alignment to refine, in its hand, without a search: for maps that have changed a little since.
    """
    n = fixed.shape[-1]
    if fixed.shape != (n, n, n) or moving.shape != fixed.shape or n % 2:
        raise ValueError(f"maps: shapes {fixed.shape} and {moving.shape}; expected one even cube, twice")
    found = []
    for flipped in (start.hand_flipped,) if start else (False, True) if either_hand else (False,):
        near = None if start is None else (start.rotation, start.shift / pixel_size)
        rotation, shift = _search(fixed, flip_hand(moving) if flipped else moving, near)
        shift = shift * pixel_size
        density = apply_alignment(moving, rotation, shift, pixel_size, hand_flipped=flipped)
        correlation = float(np.corrcoef(density.ravel(), fixed.ravel())[0, 1])
        agreement = _agreement(fixed, density)
        found.append(MapAlignment(rotation, shift, flipped, correlation, agreement, np.nan, density))
    found.sort(key=lambda alignment: alignment.agreement)
    return replace(found[-1], other_hand=found[0].agreement) if len(found) > 1 else found[0]


def _agreement(fixed: NDArray[Any], moved: NDArray[Any]) -> float:
    """Measure the area under the FSC to its first fall below 0.143, without the zero frequency.

    It is more robust than the correlation over all grid points, in which strong noise prevails.
    """
    values = fsc(moved, fixed, 1).values[1:]
    below = np.flatnonzero(values < 0.143)
    return float(values[: below[0] if len(below) else None].sum())


def apply_alignment(
    density: NDArray[Any],
    rotation: NDArray[Any],
    shift: ArrayLike = (0.0, 0.0, 0.0),
    pixel_size: float = 1.0,
    *,
    hand_flipped: bool = False,
    oversampling: int = 1,
) -> NDArray[np.float32]:
    """Flip, rotate and shift a map by a `MapAlignment`, or by an alignment from `pose_error`.

    Cubic splines in real space; outside the box the map is taken as zero. They blur the last fifth of the shells, and
    mix them, unless the map is brought to finer pixels first (`oversampling` 2), for eight times the memory.
    """
    n = density.shape[-1]
    source = np.asarray(flip_hand(density) if hand_flipped else density, dtype=np.float32)
    if oversampling > 1:
        source = fourier_pad_map(torch.from_numpy(np.ascontiguousarray(source)), oversampling * n).numpy()
    back = oversampling * np.asarray(rotation, dtype=np.float64)[::-1, ::-1].T  # to the source, for (z, y, x)
    centre = np.full(3, n // 2)
    offset = oversampling * centre - back @ (centre + np.asarray(shift, dtype=np.float64)[::-1] / pixel_size)
    return ndimage.affine_transform(source, back, offset, output_shape=density.shape, order=3)


def _search(
    fixed: NDArray[Any], moving: NDArray[Any], near: tuple[NDArray[Any], NDArray[Any]] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Search rotation `(3, 3)` and shift `(3,)` in pixels from one map to the other, without a flip, `near` a guess."""
    n = fixed.shape[-1]
    box = min(n, _SEARCH_BOX)
    pair = (torch.from_numpy(np.array(density, dtype=np.float32)) for density in (fixed, moving))
    target, source = (fourier_crop_map(density, box) for density in pair)
    comparison = _Comparison(target, source)
    if near is None:
        with torch.no_grad():
            rotations, shifts = comparison.coarse()
        rotations, shifts = comparison.refine(rotations, shifts, _MIDDLE_BAND, steps=40, rate=0.03)
        rotations, shifts = rotations[:1], shifts[:1]
    else:
        rotations = torch.from_numpy(near[0])[None].float()
        shifts = torch.from_numpy(near[1])[None].float() * (box / n)
    for rate in (0.02, 0.005):
        moved = apply_alignment(source.numpy(), rotations[0].double().numpy(), shifts[0].double().numpy())
        agreement = torch.from_numpy(fsc(moved, target.numpy(), 1).values).float()
        agreement *= agreement > 0.143
        rotations, shifts = comparison.refine(rotations, shifts, box // 2 - 1, steps=25, rate=rate, agreement=agreement)
    return rotations[0].double().numpy(), shifts[0].double().numpy() * (n / box)


class _Comparison:
    """Fourier transforms of two maps, to score rotations and translations (pixels) of the second."""

    def __init__(self, target: Tensor, source: Tensor) -> None:
        self.box = target.shape[-1]
        self.target = _Lattice(target)
        self.source = _Lattice(source)

    def side(self, band: int, agreement: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Compute a half-ball `(points, 3)` and the target's conjugate there, with one weight for each shell.

        The spectra are flattened. Where the agreement of the maps is not known, they are flattened by half only,
        because a shell that one of the maps lacks must not be amplified.
        """
        points = _half_ball(band)
        shell = points.norm(dim=-1).round().long()
        values = self.target(points)
        amplitudes = (_shell_rms(values, shell) * _shell_rms(self.source(points), shell)).clamp(min=1e-20)
        weights = amplitudes.rsqrt() if agreement is None else agreement[: len(amplitudes)] / amplitudes
        return points, values.conj() * weights[shell]

    def coarse(self) -> tuple[Tensor, Tensor]:
        """Search a grid for the best candidates: `(kept, 3, 3)` rotations, each with its best shift `(kept, 3)`."""
        points, conjugate = self.side(_COARSE_BAND)
        rotations = so3_grid.grid_rotations(4, 24).flatten(0, 1)
        line = torch.arange(-3, 4) * (self.box / (3 * _COARSE_BAND))  # +- 0.17 of the box
        shifts = torch.cartesian_prod(line, line, line)
        sides = conjugate * self.phases(shifts, points)
        best = [(self.source(points @ part) @ sides.T).real.max(dim=-1) for part in rotations.split(512)]
        score, where = (torch.cat(column) for column in zip(*best, strict=True))
        kept = score.topk(_REFINED_CANDIDATES).indices
        return rotations[kept], shifts[where[kept]]

    def refine(
        self, rotations: Tensor, shifts: Tensor, band: int, *, steps: int, rate: float, agreement: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Refine `(k, 3, 3)` rotations and `(k, 3)` shifts by gradient, best first; `rate`: first step, radian."""
        points, conjugate = self.side(band, agreement)
        omega = torch.zeros(len(rotations), 3, requires_grad=True)
        move = torch.zeros(len(rotations), 3, requires_grad=True)
        optimizer = torch.optim.Adam([{"params": [omega], "lr": rate}, {"params": [move], "lr": rate * self.box / 6}])
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(steps):
            optimizer.zero_grad()
            turned = so3.exponential_map(omega) @ rotations
            scores = (self.source(points @ turned) * self.phases(shifts + move, points) * conjugate).real.mean(-1)
            (-scores.sum()).backward()
            optimizer.step()
            schedule.step()
        order = scores.detach().argsort(descending=True)
        turned = so3.exponential_map(omega.detach()) @ rotations
        return turned[order], (shifts + move.detach())[order]

    def phases(self, shifts: Tensor, points: Tensor) -> Tensor:
        """Compute `(k, points)` phase ramps that move the map by `(k, 3)` pixels."""
        angle = shifts @ points.T * (-2 * torch.pi / self.box)
        return torch.polar(torch.ones_like(angle), angle)


class _Lattice:
    """Transform of a map on an oversampled lattice, interpolated between its points."""

    padding = 2

    def __init__(self, density: Tensor) -> None:
        self.hartley = fourier.map_to_hartley(density, self.padding)

    def __call__(self, points: Tensor) -> Tensor:
        """Interpolate `(..., points)` complex values at `(..., points, 3)` frequencies `(x, y, z)`, Fourier pixels."""
        return read_lattice(self.hartley, points * (self.padding / (self.hartley.shape[-1] // 2)))


def _half_ball(band: int) -> Tensor:
    """List one of each pair of opposite lattice points up to a radius, without the centre: `(points, 3)`."""
    line = torch.arange(-band, band + 1)
    x, y, z = torch.cartesian_prod(line, line, line).unbind(-1)
    kept = (x * x + y * y + z * z <= band * band) & ((z > 0) | ((z == 0) & ((y > 0) | ((y == 0) & (x > 0)))))
    return torch.stack((x[kept], y[kept], z[kept]), dim=-1).float()


def _shell_rms(values: Tensor, shell: Tensor) -> Tensor:
    total = torch.zeros(int(shell.max()) + 1).index_add(0, shell, values.abs().square())
    return (total / torch.bincount(shell).clamp(min=1)).sqrt()
