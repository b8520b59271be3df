"""Point groups that a map may have: axes from peaks of its self-correlation, and the groups that have such an axis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_cryospin.evaluation.self_correlation import SelfCorrelation
from napari_cryospin.geometry.point_groups import group_matrices, main_axis
from napari_cryospin.geometry.so3 import exponential_map
from napari_cryospin.geometry.so3_grid import view_directions

MOST_FOLDS = 12
"""Largest fold of an axis that is looked for."""
AXIS_BAND = 7
"""Shells in which axes are looked for: an axis may lie off the grid by 4 degrees, which they do not tell."""
AXIS_NSIDE = 8
"""HEALPix nside of the grid of axes, 7 degrees apart."""
TURNS_ABOUT_AXIS = 48
"""Turns about each axis of the grid, so that parts of up to 24 folds are told apart."""
FAINTEST_AXIS, FAINTEST = 0.25, 0.5
"""Least correlation of an axis on the grid, and of a group whose axes are refined in few shells, for it to be looked at
further; chosen by hand."""
AXES_A_FOLD = 2
"""Axes of the grid that are refined for each fold; chosen by hand."""
AXES_APART = 20.0
"""Least angle between two of them, degrees; chosen by hand."""
SCAN_STEP = 4.0
"""Step of the turn about the main axis at which a group's other axes are looked for, degrees."""
REFINEMENT_STEPS = 20
"""Steps in which axes and centre are refined."""
CENTRE_SCALE = 0.1
"""Fractions of the box that a step moves the centre for each radian that it turns the axes; chosen by hand."""


@dataclass(frozen=True, eq=False)
class PlacedGroup:
    """A point group, as its axes lie in a map.

    Attributes
    ----------
    name : str
        Canonical name.
    axes : Tensor
        `(3, 3)` rotation from the convention's axes to those in the map.
    centre : Tensor
        `(3,)` where they meet, from the middle of the box, as a fraction of it.
    score : float
        Mean correlation of the map with its copies under the group, the identity aside.
    baseline : float
        The same halfway between these turns, about the same axes; of two-folds the correlation with the inverted map,
        if that is larger.
    """

    name: str
    axes: Tensor
    centre: Tensor
    score: float
    baseline: float


def placed_groups(correlation: SelfCorrelation) -> Iterator[PlacedGroup]:
    """Place every group on the best axis of its highest fold: Cn and Dn up to `MOST_FOLDS`, T, O and I2."""
    best = {}
    spectra = axis_spectra(correlation)
    for fold in range(2, MOST_FOLDS + 1):
        placed = _best_axis(correlation, spectra, fold)
        if placed.score >= FAINTEST:
            best[fold] = placed
            yield refined(correlation, placed)
    names = [*((fold, f"D{fold}") for fold in best), (3, "T"), (4, "O"), (5, "I2")]
    for fold, name in names:
        if fold in best and (placed := place_about(correlation, name, best[fold])).score >= FAINTEST:
            yield refined(correlation, placed)


def place_group(correlation: SelfCorrelation, name: str) -> PlacedGroup:
    """Place one group as well as the map allows."""
    fold, _ = main_axis(name)
    placed = _best_axis(correlation, axis_spectra(correlation), fold)
    if name[0] != "C":
        placed = place_about(correlation, name, placed)
    return refined(correlation, placed)


def _best_axis(correlation: SelfCorrelation, spectra: AxisSpectra, fold: int) -> PlacedGroup:
    """Place `Cn` on the best of the grid's best axes, in few shells."""
    axes = spectra.best(fold)
    placed = [refined(correlation, _placed(f"C{fold}", each, correlation.centre), AXIS_BAND) for each in axes]
    return max(placed, key=lambda one: one.score, default=_placed(f"C{fold}", torch.eye(3), correlation.centre))


def _placed(name: str, axes: Tensor, centre: Tensor) -> PlacedGroup:
    return PlacedGroup(name, axes, centre, score=-1.0, baseline=0.0)


@dataclass(frozen=True, eq=False)
class AxisSpectra:
    """How the map varies about each axis of a grid.

    Attributes
    ----------
    directions : Tensor
        `(a, 3)` unit vectors of half the sphere.
    power : Tensor
        `(a, m)` share of the map that has the fold 0, 1, 2, ... about each.
    """

    directions: Tensor
    power: Tensor

    def score(self, fold: int) -> Tensor:
        """Return the mean correlation after turns by multiples of 360 / fold degrees, `(a,)`."""
        return (fold * self.power[:, ::fold].sum(1) - 1) / (fold - 1)

    def contrast(self, fold: int) -> Tensor:
        """Return the share of what differs about each axis that has the fold, `(a,)`."""
        multiples = self.power[:, ::fold]
        halfway = multiples[:, ::2].sum(1) - multiples[:, 1::2].sum(1)
        return (self.score(fold) - halfway) / (1 - halfway).clamp(min=1e-6)

    def best(self, fold: int) -> list[Tensor]:
        """List rotations `(3, 3)` that take z to the best axes of a fold, at most `AXES_A_FOLD`."""
        left = self.score(fold).minimum(self.contrast(fold))
        found: list[Tensor] = []
        while len(found) < AXES_A_FOLD and float(left.max()) > FAINTEST_AXIS:
            axis = self.directions[left.argmax()]
            found.append(turn_to_axis(axis))
            left[(self.directions @ axis).abs() > np.cos(np.deg2rad(AXES_APART))] = -1
        return found


@torch.no_grad()
def axis_spectra(correlation: SelfCorrelation) -> AxisSpectra:
    """Correlate the map with itself after turns about each axis of a grid."""
    tilt, rot = (view_directions(AXIS_NSIDE).float().flip(-1)).unbind(-1)
    directions = torch.stack((tilt.sin() * rot.cos(), tilt.sin() * rot.sin(), tilt.cos()), dim=-1)
    z, y, x = directions[:, 2].round(decimals=5), directions[:, 1], directions[:, 0]
    directions = directions[(z > 0) | ((z == 0) & ((y > 0) | ((y == 0) & (x > 0))))]
    half = TURNS_ABOUT_AXIS // 2
    angles = torch.arange(half + 1) * (torch.pi / half)
    turns = exponential_map(directions[:, None] * angles[:, None]).reshape(-1, 3, 3)
    values = correlation(turns, correlation.centre, AXIS_BAND).reshape(len(directions), half + 1)
    whole = torch.cat((values, values[:, 1:-1].flip(1)), dim=1)
    power = torch.fft.rfft(whole, dim=1).real / TURNS_ABOUT_AXIS
    power[:, 1:half] *= 2
    return AxisSpectra(directions, power)


def turn_to_axis(axis: Tensor, from_axis: Tensor | None = None) -> Tensor:
    """Return the smallest rotation `(3, 3)` that takes a unit vector, z by default, to another or to its opposite."""
    start = torch.tensor([0.0, 0.0, 1.0]) if from_axis is None else from_axis
    axis = axis if float(axis @ start) >= 0 else -axis
    normal = torch.linalg.cross(start, axis)
    angle = torch.atan2(normal.norm(), axis @ start)
    return exponential_map(normal * (angle / normal.norm().clamp(min=1e-9)))


def place_about(correlation: SelfCorrelation, name: str, main: PlacedGroup) -> PlacedGroup:
    """Place a group with its highest axis on that of a placed `Cn`, at the best turn about it."""
    fold, axis = main_axis(name)
    along = turn_to_axis(torch.from_numpy(axis).float()).mT  # the group's highest axis to z
    count = round(360 / fold / SCAN_STEP)
    angles = torch.arange(count) * (2 * torch.pi / fold / count)
    starts = main.axes @ exponential_map(angles[:, None] * torch.tensor([0.0, 0.0, 1.0])) @ along
    with torch.no_grad():
        found = [correlation(group_turns(name, axes), main.centre, AXIS_BAND).mean() for axes in starts]
    best = starts[torch.stack(found).argmax()]
    return refined(correlation, _placed(name, best, main.centre), AXIS_BAND)


def refined(correlation: SelfCorrelation, placed: PlacedGroup, band: int | None = None) -> PlacedGroup:
    """Refine the axes and the centre of a group, in all shells or in few, and score it there."""
    name = placed.name
    axes, centre = _climbed(correlation, placed, band)
    with torch.no_grad():
        score = correlation(group_turns(name, axes), centre, band).mean()
        between = correlation(_turns_between(name, axes), centre, band).mean()
        if name in ("C2", "D2"):  # Any elongated blob has these.
            between = between.maximum(correlation.mirrored(centre))
    return PlacedGroup(name, _nearest_to_identity(axes, name), centre, float(score), float(between))


def _climbed(correlation: SelfCorrelation, placed: PlacedGroup, band: int | None) -> tuple[Tensor, Tensor]:
    step = torch.zeros(6, requires_grad=True)
    optimiser = torch.optim.LBFGS([step], max_iter=REFINEMENT_STEPS, line_search_fn="strong_wolfe")

    def moved() -> tuple[Tensor, Tensor]:
        return exponential_map(step[:3]) @ placed.axes, placed.centre + CENTRE_SCALE * step[3:]

    def loss() -> Tensor:
        optimiser.zero_grad()
        turned, there = moved()
        value = -correlation(group_turns(placed.name, turned), there, band).mean()
        value.backward()
        return value

    with torch.enable_grad():
        optimiser.step(loss)
    with torch.no_grad():
        return moved()


def group_turns(name: str, axes: Tensor) -> Tensor:
    """List the rotations of a group but the identity, as its axes lie in the map, `(k - 1, 3, 3)`."""
    return axes @ torch.from_numpy(group_matrices(name)[1:]).float() @ axes.mT


def _turns_between(name: str, axes: Tensor) -> Tensor:
    """List the rotations halfway between those of a group about each of its axes, `(r, 3, 3)`."""
    halfway = []
    for axis, fold in group_axes(name):
        angles = (torch.arange(fold) + 0.5) * (2 * torch.pi / fold)
        halfway.append(exponential_map(angles[:, None] * torch.from_numpy(axis).float()))
    return axes @ torch.cat(halfway) @ axes.mT


def group_axes(name: str) -> list[tuple[np.ndarray, int]]:
    """List the axes of a group, each a unit vector `(3,)` with its fold."""
    found: list[tuple[np.ndarray, int]] = []
    for matrix in group_matrices(name)[1:]:
        values, vectors = np.linalg.eig(matrix)
        axis = vectors[:, np.abs(values - 1).argmin()].real
        same = [k for k, (other, _) in enumerate(found) if abs(other @ axis) > 1 - 1e-6]
        if same:
            found[same[0]] = (found[same[0]][0], found[same[0]][1] + 1)
        else:
            found.append((axis, 2))
    return found


def _nearest_to_identity(axes: Tensor, name: str) -> Tensor:
    """Choose, of the rotations that place a group the same way, the one with the smallest turn."""
    copies = axes @ torch.from_numpy(group_matrices(_with_the_same_axes(name))).float()
    return copies[copies.diagonal(dim1=-2, dim2=-1).sum(-1).argmax()]


def _with_the_same_axes(name: str) -> str:
    """Name a larger group whose rotations bring the axes of a group to each other's places, or the group itself."""
    if name == "D2":
        return "O"
    doubled = f"D{2 * int(name[1:])}" if name[0] == "D" else name
    return doubled if len(doubled) <= 3 else name
