"""Symmetric copies of a lattice, added up.

If a map is turned, so is its Fourier transform, and its Hartley lattice with it. Adding the copies of a lattice under
all rotations of a point group gives what inserting every image at all of its symmetric poses would give, for a small
part of the cost: rotations that take the lattice to itself only exchange and reverse its axes, and of the others one a
coset is interpolated.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cryospin.geometry.point_groups import group_matrices
from napari_cryospin.geometry.symmetry import PointGroup

_Matrix = NDArray[np.float64]


def symmetrised(lattice: Tensor, group: PointGroup) -> Tensor:
    """Add up the copies of lattices under all rotations of a group.

    Parameters
    ----------
    lattice : Tensor
        `(..., G, G, G)`, zero frequency in the middle. Corners outside of the inscribed sphere are lost.
    group : PointGroup

    Returns
    -------
    Tensor
        `(..., G, G, G)`: at `k` the sum over the group of the values at `S k`. Differentiable in the lattice.
    """
    exact, interpolated = _links(group.name)
    for link in exact:
        lattice = sum((_permuted(lattice, matrix) for matrix in link), start=lattice)
    if not len(interpolated):
        return lattice
    return lattice + _interpolated(lattice, torch.as_tensor(interpolated).to(lattice))


def interpolated_share(group: PointGroup) -> float:
    """Return the share of the copies that `symmetrised` interpolates, and so multiplies by the grid's envelope."""
    interpolated = len(_links(group.name)[1])
    return interpolated / (interpolated + 1)


@lru_cache(maxsize=32)
def _links(name: str) -> tuple[list[list[_Matrix]], _Matrix]:
    """Split a group into a chain of subgroups, each the sum of cosets of the one before.

    Returns
    -------
    exact, interpolated
        For each subgroup of the rotations that take the lattice to itself, the representatives of its cosets without
        the identity; and those of the cosets of the largest such subgroup, `(c, 3, 3)`.
    """
    matrices = group_matrices(name)
    ours = [matrix for matrix in matrices if np.array_equal(np.abs(matrix), np.abs(matrix).round())]
    exact, reached = [], [np.eye(3)]
    for matrix in ours:
        if not _among(matrix, reached):
            larger = _generated([*reached, matrix])
            exact.append(_cosets(reached, larger))
            reached = larger
    others = _cosets(reached, list(matrices))
    return exact, np.stack(others) if others else np.zeros((0, 3, 3))


def _among(matrix: _Matrix, others: list[_Matrix]) -> bool:
    return any(np.abs(matrix - other).max() < 1e-6 for other in others)


def _generated(matrices: list[_Matrix]) -> list[_Matrix]:
    """List the group that matrices generate."""
    found = [np.eye(3)]
    for matrix in found:  # The list grows while it is read.
        found.extend(product for factor in matrices if not _among(product := matrix @ factor, found))
    return found


def _cosets(part: list[_Matrix], whole: list[_Matrix]) -> list[_Matrix]:
    """List one representative of each coset `part c` in a group, without the identity's."""
    covered, found = list(part), []
    for matrix in whole:
        if not _among(matrix, covered):
            found.append(matrix)
            covered.extend(inner @ matrix for inner in part)
    return found


def _permuted(lattice: Tensor, matrix: _Matrix) -> Tensor:
    """Read a lattice at `S k`, where S exchanges and reverses axes."""
    count = lattice.dim() - 3
    order = [0, 0, 0]
    for axis in range(3):  # Coordinate `axis` of S k is, up to its sign, coordinate `source` of k.
        source = int(np.abs(matrix[axis]).argmax())
        order[2 - source] = 2 - axis
    reversed_axes = [count + 2 - axis for axis in range(3) if matrix[axis].sum() < 0]
    return lattice.flip(reversed_axes).permute(*range(count), *(count + axis for axis in order))


def _interpolated(lattice: Tensor, matrices: Tensor) -> Tensor:
    """Add up a lattice read trilinearly at `S k`, over matrices `(c, 3, 3)`."""
    size = lattice.shape[-1]
    line = torch.linspace(-1, 1, size, device=lattice.device, dtype=lattice.dtype)
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    # One cell more than the sphere, which slices read at the edge of the largest band.
    inside = (x.square() + y.square() + z.square()).sqrt().flatten() <= 1 + 2 * 3**0.5 / size
    points = torch.stack((x, y, z), dim=-1).reshape(-1, 3)[inside]
    flat = lattice.reshape(1, -1, size, size, size)
    total = flat.new_zeros(flat.shape[1], len(points))
    for matrix in matrices:
        where = (points @ matrix.T)[None, :, None, None]
        total = total + torch.nn.functional.grid_sample(flat, where, align_corners=True)[0, :, :, 0, 0]
    spread = flat.new_zeros(flat.shape[1], size**3)
    return spread.masked_scatter(inside.expand_as(spread), total).reshape(lattice.shape)
