"""The symmetry of a map: which point group it looks like, how well, and how its axes come to where they belong."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from napari_cryospin.evaluation.map_alignment import apply_alignment
from napari_cryospin.evaluation.self_correlation import LATTICE_OVERSAMPLING, SelfCorrelation
from napari_cryospin.evaluation.symmetry_search import PlacedGroup, group_turns, place_group, placed_groups
from napari_cryospin.geometry.symmetry import point_group
from napari_cryospin.physics.fourier import grid_envelope, hartley_to_map, map_to_hartley
from napari_cryospin.physics.symmetrise import interpolated_share, symmetrised
from napari_cryospin.symmetry_names import LOOKS_SYMMETRIC, canonical_name

EXACT_SCORE, NEAR_SCORE = 0.95, 0.7
"""Least scores of a symmetry and of a near-symmetry. C3 of the spike has 1.00 at all shells, C2 of Hsp90 0.98 at 10
shells and 0.86 at 30 (docs/symmetry.md, Symmetry found); the spliceosome has nothing above 0.5."""
LEAST_CONTRAST = 0.5
"""Least share that a group explains of what differs about its axes, so that no blob looks symmetric."""
LEAST_DIFFERENCE = 0.1
"""Least that a map has to differ about its axes: where it differs less, it is round about them; chosen by hand."""
LEAST_DIRECTIONAL = 0.05
"""Least share of a map that differs from one direction to another: below it, a map is a ball, or hollow."""
LEAST_COMMON = 0.3
"""Least correlation of two half maps for their symmetry to be told."""
FEWEST_TELLING_SHELLS = 6
"""Least number of shells in which a symmetry is looked for: in fewer, all maps are alike."""
SAME_SCORE = 0.04
"""Difference of scores up to which the larger of two groups is taken; chosen by hand."""


@dataclass(frozen=True, kw_only=True)
class FoundSymmetry:
    """A point group and how a map has it.

    Attributes
    ----------
    name : str
        Canonical name.
    score : float
        Mean correlation of the map with its copies under the group, of what differs from one direction to another.
    baseline : float
        The same halfway between the group's turns.
    rotation, shift : ndarray
        `(3, 3)` and `(3,)` Angstrom: a point `p` of the map, from the middle of the box, goes to `rotation @ p + shift`
        where the group's axes lie as the convention wants.
    """

    name: str
    score: float
    baseline: float
    rotation: NDArray[np.float64]
    shift: NDArray[np.float64]

    @property
    def contrast(self) -> float:
        """Share of what differs about the axes that the group explains."""
        return (self.score - self.baseline) / max(1 - self.baseline, LEAST_DIFFERENCE)

    @property
    def exact(self) -> bool:
        """Whether the map has the symmetry as well as can be told."""
        return self.near and self.score >= EXACT_SCORE

    @property
    def near(self) -> bool:
        """Whether the map has the symmetry, or nearly so."""
        return self.score >= NEAR_SCORE and self.contrast >= LEAST_CONTRAST

    @property
    def text(self) -> str:
        """What is said of it: "looks like C3 (0.98)"."""
        if self.exact:
            return f"{LOOKS_SYMMETRIC} {self.name} ({min(self.score, 1):.2f})"
        known = "looks nearly like" if self.near else "does not look like"
        return f"{known} {self.name} ({self.score:.2f})"


@dataclass(frozen=True, kw_only=True)
class SymmetryReport:
    """What was found in a map.

    Attributes
    ----------
    candidates : tuple of FoundSymmetry
        Groups that were looked at, the one that is advised first.
    resolution : float
        Of the shells that were compared, Angstrom.
    obstacle : str
        Why no symmetry can be told; empty: it can.
    """

    candidates: tuple[FoundSymmetry, ...] = ()
    resolution: float
    obstacle: str = ""

    @property
    def best(self) -> FoundSymmetry | None:
        """The largest group that the map has or, if it has none, nearly has; None: there is no such group."""
        return self.candidates[0] if self.candidates and self.candidates[0].near else None

    @property
    def text(self) -> str:
        """What was found, in one line."""
        if self.obstacle:
            return f"no symmetry can be told: {self.obstacle}"
        return self.best.text if self.best is not None else "no symmetry found"


@torch.no_grad()
def symmetry_of_map(
    density: NDArray[np.floating],
    pixel_size: float,
    group: str | None = None,
    *,
    second: NDArray[np.floating] | None = None,
    resolution: float | None = None,
) -> SymmetryReport:
    """Find which point groups a map has, or how well it has one of them.

    Parameters
    ----------
    density : ndarray
        `(n, n, n)` map `[z, y, x]`, or the first of two half maps in one frame.
    pixel_size : float
        Angstrom.
    group : str, optional
        The one group to look at. Default: Cn and Dn up to 12 folds, T, O and I.
    second : ndarray, optional
        Second half map. Noise then does not lower the scores.
    resolution : float, optional
        Down to which the map is compared, Angstrom. Default: four pixels.

    Raises
    ------
    ValueError
        The maps are no even cubes of one size, or there is no such group with an axis.
    """
    known = None if group is None else canonical_name(group)
    if known is not None and point_group(known).trivial:
        raise ValueError(f"symmetry: found {group}; expected a group with an axis, such as C3")
    n = density.shape[-1]
    other = density if second is None else second
    if density.shape != (n, n, n) or other.shape != density.shape or n % 2:
        raise ValueError(f"map: shapes {density.shape} and {other.shape}; expected even cubes of one size")
    extent = n * pixel_size
    band = min(n // 4 if resolution is None else round(extent / resolution), n // 2 - 1)
    if band < FEWEST_TELLING_SHELLS:
        finest = extent / band if band else resolution or math.inf
        obstacle = f"{finest:.3g} A are {band} shells of the box; expected at least {FEWEST_TELLING_SHELLS}"
        return SymmetryReport(resolution=finest, obstacle=obstacle)
    first, last = (torch.from_numpy(np.array(each, dtype=np.float32)) for each in (density, other))
    correlation = SelfCorrelation(first, last, band)
    if obstacle := _obstacle(correlation):
        return SymmetryReport(resolution=extent / band, obstacle=obstacle)
    placed = placed_groups(correlation) if known is None else [place_group(correlation, known)]
    return SymmetryReport(candidates=_ranked([_found(one, extent) for one in placed]), resolution=extent / band)


@torch.no_grad()
def score_about(
    first: NDArray[np.floating], second: NDArray[np.floating], pixel_size: float, found: FoundSymmetry, band: int
) -> float:
    """Return the score of a symmetry about axes that were found in another map of the same frame.

    Parameters
    ----------
    first, second : ndarray
        `(n, n, n)` half maps `[z, y, x]`.
    pixel_size : float
        Angstrom.
    found : FoundSymmetry
    band : int
        Shells that are compared.

    Returns
    -------
    float
        nan: the half maps agree too little, or are the same in all directions.
    """
    one, other = (torch.from_numpy(np.array(each, dtype=np.float32)) for each in (first, second))
    correlation = SelfCorrelation(one, other, band)
    if _obstacle(correlation):
        return math.nan
    axes = torch.from_numpy(found.rotation.T).float()
    centre = torch.from_numpy(-found.rotation.T @ found.shift / (len(first) * pixel_size)).float()
    return float(correlation(group_turns(found.name, axes), centre).mean())


def aligned_map(density: NDArray[np.floating], pixel_size: float, found: FoundSymmetry) -> NDArray[np.float32]:
    """Turn an `(n, n, n)` map so that the axes of its symmetry lie where the convention wants them."""
    return apply_alignment(density, found.rotation, found.shift, pixel_size, oversampling=2)


def symmetric_map(density: NDArray[np.floating], name: str) -> NDArray[np.float32]:
    """Average an `(n, n, n)` map over a group whose axes lie where the convention wants them."""
    group = point_group(name)
    lattice = map_to_hartley(torch.from_numpy(np.array(density, dtype=np.float32)), LATTICE_OVERSAMPLING)
    averaged = hartley_to_map(symmetrised(lattice, group) / group.order, len(density))
    share = interpolated_share(group)
    return (averaged / (1 - share + share * grid_envelope(len(density), LATTICE_OVERSAMPLING))).numpy()


def _obstacle(correlation: SelfCorrelation) -> str:
    if correlation.agreement < LEAST_COMMON:
        return f"the half maps agree too little (correlation {correlation.agreement:.2f})"
    if correlation.directional < LEAST_DIRECTIONAL:
        return "the map is nearly the same in all directions"
    return ""


def _found(placed: PlacedGroup, extent: float) -> FoundSymmetry:
    rotation = placed.axes.mT.double().numpy()
    shift = -extent * (rotation @ placed.centre.double().numpy())
    return FoundSymmetry(name=placed.name, score=placed.score, baseline=placed.baseline, rotation=rotation, shift=shift)


def _ranked(found: list[FoundSymmetry]) -> tuple[FoundSymmetry, ...]:
    """Order groups: of those that are about as good as the best one, the largest first; then by their score."""
    told = [one for one in found if one.contrast >= LEAST_CONTRAST]
    highest = max((min(one.score, 1) for one in told), default=0.0)
    least = highest - SAME_SCORE
    good = [one for one in told if one.score >= (max(least, EXACT_SCORE) if highest >= EXACT_SCORE else least)]
    good.sort(key=lambda one: -point_group(one.name).order)
    return (*good, *sorted((one for one in found if one not in good), key=lambda one: -one.score))
