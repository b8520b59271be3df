"""The rotations of point groups, with the axes that RELION and cryoSPARC use (docs/symmetry.md)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.symmetry_names import canonical_name

GOLDEN = (1 + math.sqrt(5)) / 2
_Axis = tuple[float, float, float]
_X, _Z = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)
_POLYHEDRAL: dict[str, tuple[tuple[int, _Axis], ...]] = {
    "T": ((3, _Z), (2, (0.0, math.sqrt(2), 1.0))),
    "O": ((4, _Z), (3, (1.0, 1.0, 1.0))),
    "I1": ((2, _X), (5, (GOLDEN, 0.0, -1.0))),
    "I2": ((2, _Z), (5, (1.0, 0.0, GOLDEN))),
    "I3": ((5, _Z), (2, (-1.0, 0.0, GOLDEN))),
    "I4": ((5, _Z), (2, (1.0, 0.0, GOLDEN))),
}
"""Name -> fold and axis of two generators."""


@lru_cache(maxsize=32)
def group_matrices(name: str) -> NDArray[np.float64]:
    """List the rotations of a point group, `(k, 3, 3)`, the identity first.

    Raises
    ------
    ValueError
        There is no group of this name.
    """
    return _closure(_generators(name))


def main_axis(name: str) -> tuple[int, NDArray[np.float64]]:
    """Return the fold of a group's highest axis, and that axis as a unit vector, `(3,)`.

    Raises
    ------
    ValueError
        There is no group of this name.
    """
    fold, axis = max(_generators(name), key=lambda generator: generator[0])
    return fold, np.asarray(axis) / np.linalg.norm(axis)


def _generators(name: str) -> Sequence[tuple[int, _Axis]]:
    known = canonical_name(name)
    if known in _POLYHEDRAL:
        return _POLYHEDRAL[known]
    return [(int(known[1:]), _Z), *([(2, _X)] if known[0] == "D" else [])]


def _closure(generators: Sequence[tuple[int, _Axis]]) -> NDArray[np.float64]:
    """Multiply generators, each a fold and an axis, until no new rotation comes, `(k, 3, 3)`."""
    factors = [_turn(fold, axis) for fold, axis in generators]
    found = [np.eye(3)]
    for rotation in found:  # The list grows while it is read.
        for factor in factors:
            product = _clean(rotation @ factor)
            if not any(np.abs(product - other).max() < 1e-6 for other in found):
                found.append(product)
    return np.stack(found)


def _turn(fold: int, axis: _Axis) -> NDArray[np.float64]:
    from scipy.spatial.transform import Rotation  # A window that opens need not wait for it.

    direction = np.asarray(axis) / np.linalg.norm(axis)
    matrix = Rotation.from_rotvec(direction * (2 * np.pi / fold)).as_matrix()
    return _clean(matrix)


def _clean(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make entries that are nearly 0 or 1 exactly so: a rotation that takes a lattice to itself is then known to."""
    return np.where(np.abs(matrix - matrix.round()) < 1e-12, matrix.round(), matrix) + 0.0
