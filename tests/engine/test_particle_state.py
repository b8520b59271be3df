"""What is known of each particle: what a record changes, and what it leaves alone."""

import copy
import dataclasses

import pytest
import torch

from napari_cryospin.engine.particle_state import ParticleState
from napari_cryospin.geometry.so3 import random_rotations

COUNT, HEADS = 6, 2
ROWS = torch.tensor([4, 1])


def make_state() -> ParticleState:
    state = ParticleState.of(random_rotations(COUNT), torch.arange(COUNT) % 2, HEADS)
    state.record_winners(torch.arange(COUNT), torch.arange(COUNT), torch.zeros(COUNT))
    return state


def changed(before: ParticleState, after: ParticleState) -> dict[str, list[int]]:
    """Rows that differ, by field."""
    found = {}
    for field in dataclasses.fields(before):
        a, b = getattr(before, field.name), getattr(after, field.name)
        if a.is_floating_point():
            a, b = a.nan_to_num(-7.0), b.nan_to_num(-7.0)
        rows = (a != b).flatten(1).any(1) if a.dim() > 1 else a != b
        if bool(rows.any()):
            found[field.name] = rows.nonzero()[:, 0].tolist()
    return found


@pytest.mark.parametrize(
    ("record", "fields"),
    [
        (lambda state: state.record_poses(ROWS, random_rotations(2), torch.ones(2, 2)), {"rotations", "shifts"}),
        (lambda state: state.record_winners(ROWS, torch.tensor([9, 9]), torch.tensor([1, 1])), {"winner", "best_head"}),
        (lambda state: state.record_errors(ROWS, torch.ones(2)), {"error"}),
        (lambda state: state.record_entropy(ROWS, torch.ones(2)), {"entropy"}),
        (
            lambda state: state.record_candidates(ROWS, random_rotations(4).reshape(2, 2, 3, 3), torch.ones(2, 2, 2)),
            {"candidates", "candidate_shifts"},
        ),
    ],
)
def test_a_record_changes_its_fields_of_its_rows_and_no_more(record, fields):
    state = make_state()
    before = copy.deepcopy(state)
    record(state)
    assert changed(before, state) == {name: [1, 4] for name in fields}


def test_candidates_are_recorded_bit_for_bit_and_without_their_graph():
    state = make_state()
    rotations = random_rotations(4).reshape(2, 2, 3, 3).requires_grad_()
    shifts = torch.randn(2, 2, 2).requires_grad_()
    state.record_candidates(ROWS, rotations, shifts)
    assert torch.equal(state.candidates[ROWS], rotations.detach())
    assert torch.equal(state.candidate_shifts[ROWS], shifts.detach())
    assert not state.candidates.requires_grad


def test_where_the_stored_pose_wins_the_winner_stays_what_it_was():
    state = make_state()
    state.record_winners(ROWS, torch.tensor([3, 2]), torch.tensor([1, 0]), stored=3)
    assert state.winner.tolist() == [0, 1 + 1, 2, 3, 4, 5]  # row 4 keeps its winner, row 1 has a new one
    assert state.best_head[ROWS].tolist() == [1, 0]


def test_without_heads_there_is_no_best_head():
    state = make_state()
    state.record_winners(ROWS, torch.tensor([0, 0]), None)
    assert state.best_head.tolist() == [0] * COUNT


def test_nothing_is_shared_with_what_it_was_made_of():
    rotations = random_rotations(COUNT)
    kept = rotations.clone()
    state = ParticleState.of(rotations, torch.zeros(COUNT), HEADS)
    state.record_poses(ROWS, torch.eye(3).repeat(2, 1, 1), torch.ones(2, 2))
    assert torch.equal(rotations, kept)


def test_all_shifts_move_with_the_map():
    state = make_state()
    state.record_candidates(
        torch.arange(COUNT), state.rotations[:, None].repeat(1, HEADS, 1, 1), torch.zeros(COUNT, 2, 2)
    )
    offset = torch.tensor([1.0, 2.0, 3.0])
    state.recentre(offset)
    expected = -(state.rotations @ offset)[:, :2]
    torch.testing.assert_close(state.shifts, expected)
    torch.testing.assert_close(state.candidate_shifts[:, 1], expected)


@pytest.mark.parametrize("other", [ParticleState.of(torch.rand(9, 3, 3), torch.zeros(9), HEADS), None])
def test_a_state_of_other_particles_or_heads_is_refused(other):
    state = make_state()
    other = other or ParticleState.of(torch.rand(COUNT, 3, 3), torch.zeros(COUNT), HEADS + 1)
    with pytest.raises(RuntimeError, match=r"(rotations|candidates): found shape .*expected"):
        state.load_state_dict(other.state_dict())
