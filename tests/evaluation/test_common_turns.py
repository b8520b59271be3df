"""Turns by which many particles differ: those of a point group, with any axes, and none where poses are just wrong."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_cryospin.evaluation.common_turns import find_common_turns
from napari_cryospin.geometry.angles import angle_between
from napari_cryospin.geometry.point_groups import group_matrices

COUNT = 3000


def poses_with_turns(symmetry, wrong):
    """Return known poses, and those of another run that chose a copy for each, some wrong; axes lie anywhere."""
    rng = np.random.default_rng(3)
    known = Rotation.random(COUNT, random_state=1).as_matrix()
    frame = Rotation.random(random_state=2).as_matrix()
    turns = frame @ group_matrices(symmetry) @ frame.T
    noise = Rotation.from_rotvec(rng.normal(0, np.radians(1.5), (COUNT, 3))).as_matrix()
    found = known @ turns[rng.integers(len(turns), size=COUNT)] @ noise
    found[: int(wrong * COUNT)] = Rotation.random(int(wrong * COUNT), random_state=4).as_matrix()
    return known, found, turns


@pytest.mark.parametrize(
    ("symmetry", "angles"),
    [("C3", [120]), ("C2", [180]), ("D2", [180]), ("O", [90, 120, 180]), ("I", [72, 120, 144, 180])],
)
def test_the_turns_of_a_group_are_found(symmetry, angles):
    known, found, turns = poses_with_turns(symmetry, wrong=0.05)
    common = find_common_turns(found, known, angle_between(found, known) <= 10)
    assert len(common.turns) == len(turns) - 1
    for turn in common.turns:
        assert angle_between(turns, turn).min() < 1
    np.testing.assert_allclose(common.angles, angles, atol=1)
    alike = angle_between(found, known) <= 10
    assert (alike | common.explained).mean() == pytest.approx(0.95, abs=0.02)


def test_wrong_poses_have_no_turn_in_common():
    known, found, _ = poses_with_turns("C1", wrong=0.9)
    common = find_common_turns(found, known, angle_between(found, known) <= 10)
    assert common.turns.shape == (0, 3, 3)
    assert common.angles == []
    assert not common.explained.any()


def test_all_alike_is_no_turn():
    known, found, _ = poses_with_turns("C1", wrong=0)
    assert find_common_turns(found, known, np.ones(COUNT, bool)).angles == []
