"""Symmetric copies of poses, and the one of them that stands for all.

A map has the symmetry of a group if it is the same after each rotation `S` of the group. The poses `A` and `A S` then
have the same projection, so that a pose is known only up to the group.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cryospin.geometry.point_groups import group_matrices
from napari_cryospin.symmetry_names import canonical_name

_INTERIOR = np.array([0.28, 0.17, 0.95])
"""Direction inside of the asymmetric unit, near z and on no axis and no mirror plane of any group."""


@dataclass(frozen=True, eq=False)
class PointGroup:
    """A point group of rotations.

    Attributes
    ----------
    name : str
        Canonical name, such as C1, D7 or I2.
    matrices : ndarray
        `(k, 3, 3)` rotations, the identity first.
    """

    name: str
    matrices: NDArray[np.float64]

    @property
    def order(self) -> int:
        """Number of rotations."""
        return len(self.matrices)

    @property
    def trivial(self) -> bool:
        return self.order == 1

    def rotations(self, like: Tensor) -> Tensor:
        """Return the rotations `(k, 3, 3)` in the type and on the device of a tensor."""
        return torch.as_tensor(self.matrices).to(like)

    def others(self, like: Tensor) -> Tensor:
        """Return the rotations `(k - 1, 3, 3)` without the identity."""
        return self.rotations(like)[1:]

    def in_unit(self, rotations: Tensor) -> Tensor:
        """Return whether poses `(n, 3, 3)` look from within the asymmetric unit, `(n,)`.

        The asymmetric unit is the part of the sphere of view directions that is nearer to one direction than to its
        copies; of the copies `A S` of a pose exactly one lies there.
        """
        return _heights(self, rotations).argmax(-1) == 0

    def to_unit(self, rotations: Tensor) -> Tensor:
        """Return the copies of poses `(n, 3, 3)` that look from within the asymmetric unit."""
        return rotations @ self.rotations(rotations)[_heights(self, rotations).argmax(-1)]

    def nearest_copy(self, rotations: Tensor, to: Tensor) -> Tensor:
        """Return, of the copies of poses `(n, 3, 3)`, those nearest to other poses `(n, 3, 3)`."""
        group = self.rotations(rotations)
        relative = (rotations.mT @ to).flatten(-2)
        return rotations @ group[(relative @ group.flatten(1).T).argmax(-1)]

    def free_directions(self, like: Tensor) -> Tensor:
        """Return the directions that the group leaves in place, `(m, 3)`: all three, one, or none."""
        free = np.diagonal(self.matrices.mean(0)) > 0.5
        return torch.as_tensor(np.eye(3)[free]).to(like)


def _heights(group: PointGroup, rotations: Tensor) -> Tensor:
    """Compute how near each copy's view direction is to the unit's middle, `(n, k)`."""
    turned = group.rotations(rotations) @ torch.as_tensor(_INTERIOR).to(rotations)  # (k, 3)
    return rotations[:, 2] @ turned.T


@lru_cache(maxsize=32)
def point_group(name: str) -> PointGroup:
    """Return a point group by its name.

    Raises
    ------
    ValueError
        There is no group of this name.
    """
    known = canonical_name(name)
    return PointGroup(known, group_matrices(known))


NO_SYMMETRY = point_group("C1")
"""The group of the identity alone."""
