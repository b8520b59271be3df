"""Point groups: RELION's axes, one copy of each pose in the asymmetric unit, the nearest copy, the free directions."""

import numpy as np
import pytest
import torch

from napari_cryospin.geometry.point_groups import group_matrices
from napari_cryospin.geometry.so3 import random_rotations, rotation_distance
from napari_cryospin.geometry.so3_grid import grid_rotations
from napari_cryospin.geometry.symmetry import point_group

ORDERS = {"C1": 1, "C3": 3, "C13": 13, "D1": 2, "D2": 4, "D7": 14, "T": 12, "O": 24}
ORDERS |= dict.fromkeys(("I1", "I2", "I3", "I4"), 60)
FROM_RELION = [
    ("C3", [-0.5, 0.8660254, 0.0, -0.8660254, -0.5, 0.0, 0.0, 0.0, 1.0]),
    ("D2", [-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0]),
    ("D2", [1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, -1.0]),
    ("D7", [0.6234898, 0.7818315, 0.0, -0.7818315, 0.6234898, 0.0, 0.0, 0.0, 1.0]),
    ("D7", [1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, -1.0]),
    ("T", [-0.5, 0.8660254, 0.0, -0.8660254, -0.5, 0.0, 0.0, 0.0, 1.0]),
    ("T", [0.5, 0.86603, 0.0, 0.28867, -0.16667, 0.94281, 0.8165, -0.4714, -0.33333]),
    ("O", [0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]),
    ("O", [0.0, 0.0, -1.0, -1.0, 0.0, 0.0, 0.0, 1.0, 0.0]),
    ("I1", [1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, -1.0]),
    ("I1", [0.30902, -0.80902, 0.5, -0.80902, -0.5, -0.30902, 0.5, -0.30902, -0.80902]),
    ("I2", [-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0]),
    ("I2", [-0.80902, 0.30902, -0.5, 0.30902, -0.5, -0.80902, -0.5, -0.80902, 0.30902]),
    ("I3", [-0.44721, 0.0, -0.89443, 0.0, -1.0, 0.0, -0.89443, 0.0, 0.44721]),
    ("I3", [-0.052786, 0.68819, -0.72361, 0.68819, -0.5, -0.52573, -0.72361, -0.52573, -0.44721]),
    ("I4", [-0.44721, 0.0, 0.89443, 0.0, -1.0, 0.0, 0.89443, 0.0, 0.44721]),
    ("I4", [-0.94721, -0.16246, 0.27639, -0.16246, -0.5, -0.85065, 0.27639, -0.85065, 0.44721]),
]
"""Operators that RELION 3.1.3 prints (`relion_refine --sym G --print_symmetry_ops`), row by row."""


@pytest.mark.parametrize(("name", "order"), ORDERS.items())
def test_groups_are_closed_and_of_their_order(name, order):
    group = group_matrices(name)
    assert len(group) == order
    np.testing.assert_array_equal(group[0], np.eye(3))
    products = group[:, None] @ group
    apart = np.abs(products[:, :, None] - group).max((-2, -1))
    assert apart.min(-1).max() < 1e-9
    np.testing.assert_allclose(np.linalg.det(group), 1)


@pytest.mark.parametrize(("name", "entries"), FROM_RELION)
def test_axes_are_those_of_relion(name, entries):
    operator = np.reshape(entries, (3, 3))
    assert np.abs(group_matrices(name) - operator).max((1, 2)).min() < 1e-5


@pytest.mark.parametrize(("name", "known"), [("c3", "C3"), (" d7 ", "D7"), ("I", "I2"), ("o", "O")])
def test_names_have_one_form(name, known):
    assert point_group(name).name == known


@pytest.mark.parametrize("name", ["", "C0", "C100", "D", "O2", "I5", "E8", "C-1", "C3v"])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match=r"expected a point group: Cn, Dn, T, O, I, I1"):
        point_group(name)


@pytest.mark.parametrize("name", ORDERS)
def test_of_all_copies_of_a_pose_one_lies_in_the_asymmetric_unit(name):
    group = point_group(name)
    rotations = random_rotations(200, torch.Generator().manual_seed(0)).double()
    copies = rotations[:, None] @ group.rotations(rotations)
    inside = group.in_unit(copies.flatten(0, 1)).unflatten(0, copies.shape[:2])
    assert bool((inside.sum(1) == 1).all())
    found = group.to_unit(rotations)
    assert bool(group.in_unit(found).all())
    torch.testing.assert_close(found, copies[inside])


@pytest.mark.parametrize(("name", "order"), ORDERS.items())
def test_the_unit_has_its_share_of_the_grid(name, order):
    grid = grid_rotations(32, 1).reshape(-1, 3, 3)
    assert int(point_group(name).in_unit(grid).sum()) == pytest.approx(len(grid) / order, rel=0.06)


@pytest.mark.parametrize("name", ["C3", "D7", "O", "I2"])
def test_the_nearest_copy_is_found(name):
    group, generator = point_group(name), torch.Generator().manual_seed(0)
    rotations, others = (random_rotations(50, generator).double() for _ in range(2))
    nearest = group.nearest_copy(rotations, others)
    distances = rotation_distance(rotations[:, None] @ group.rotations(rotations), others[:, None])
    torch.testing.assert_close(rotation_distance(nearest, others), distances.min(1).values)


@pytest.mark.parametrize(("name", "free"), [("C1", 3), ("C2", 1), ("C5", 1), ("D1", 1), ("D3", 0), ("T", 0), ("I2", 0)])
def test_a_map_may_move_where_its_symmetry_lets_it(name, free):
    group, like = point_group(name), torch.zeros(1)
    found = group.free_directions(like)
    assert len(found) == free
    torch.testing.assert_close(found @ group.rotations(like).mean(0), found)
