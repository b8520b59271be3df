"""Adam steps on poses: a step moves the batch and nothing else."""

import copy

import pytest
import torch
from torch import Tensor

from napari_cryospin.engine.particle_state import ParticleState
from napari_cryospin.engine.pose_steps import PoseMoments
from napari_cryospin.geometry.so3 import exponential_map, random_rotations, rotation_distance

RATES = torch.tensor([0.05, 0.05, 0.05, 0.3, 0.3])


class Table:
    """Poses with their moments; a step as `AdamPoses` makes it, with a gradient that is given."""

    def __init__(self, rotations: Tensor, shifts: Tensor, betas: tuple[float, float] = (0.9, 0.9)) -> None:
        count = len(rotations)
        self.particles = ParticleState.of(rotations, torch.zeros(count, dtype=torch.long), heads=0)
        self.particles.record_poses(torch.arange(count), rotations, shifts)
        self.moments = PoseMoments.none(count)
        self.moments.betas = betas

    def step(self, rows: Tensor, gradient: Tensor, rates: Tensor) -> None:
        move = self.moments.step(rows, gradient, rates)
        rotations, shifts = self.particles.rotations[rows], self.particles.shifts[rows]
        self.particles.record_poses(rows, exponential_map(move[:, :3]) @ rotations, shifts + move[:, 3:])

    def state_dict(self) -> dict[str, Tensor]:
        poses = {"rotations": self.particles.rotations, "shifts": self.particles.shifts}
        return poses | self.moments.state_dict()

    @property
    def rotations(self) -> Tensor:
        return self.particles.rotations

    @property
    def shifts(self) -> Tensor:
        return self.particles.shifts


def make_table(count: int = 10) -> Table:
    generator = torch.Generator().manual_seed(0)
    table = Table(random_rotations(count, generator), torch.randn(count, 2, generator=generator))
    table.step(torch.arange(count), torch.randn(count, 5, generator=generator), RATES)
    return table


def test_rows_outside_the_batch_stay_bit_for_bit():
    table = make_table()
    before = {name: value.clone() for name, value in table.state_dict().items()}
    rows = torch.tensor([7, 2, 4])
    for _ in range(3):
        table.step(rows, torch.randn(3, 5), RATES)
    others = torch.ones(10, dtype=torch.bool)
    others[rows] = False
    for name, value in table.state_dict().items():
        assert torch.equal(value[others], before[name][others]), name
        assert not bool((value[rows] == before[name][rows]).flatten(1).all(1).any() if value.dim() > 1 else False), name
    assert table.moments.visits[rows].tolist() == [4, 4, 4]


def test_the_table_does_not_write_to_what_it_was_given():
    rotations, shifts = random_rotations(3), torch.zeros(3, 2)
    kept = rotations.clone(), shifts.clone()
    table = Table(rotations, shifts)
    gradient = torch.ones(3, 5)
    table.step(torch.arange(3), gradient, RATES)
    assert torch.equal(rotations, kept[0])
    assert torch.equal(shifts, kept[1])
    assert torch.equal(gradient, torch.ones(3, 5))


def distance_gradient(rotations: Tensor, shifts: Tensor, goal: Tensor, place: Tensor) -> Tensor:
    """Derivative of the squared distance to a goal in the perturbation `R_delta(omega) R`, and in the shift."""
    omega = torch.zeros(len(rotations), 3, requires_grad=True)
    move = torch.zeros(len(rotations), 2, requires_grad=True)
    error = (exponential_map(omega) @ rotations - goal).square().sum() + (shifts + move - place).square().sum()
    return torch.cat(torch.autograd.grad(error, (omega, move)), 1)


def test_a_step_along_the_gradient_comes_nearer():
    generator = torch.Generator().manual_seed(1)
    goal, place = random_rotations(20, generator), torch.randn(20, 2, generator=generator)
    start = exponential_map(0.5 * torch.randn(20, 3, generator=generator)) @ goal
    table = Table(start, torch.zeros(20, 2))
    rows = torch.arange(20)
    # Adam's first step has the size of the rate along each axis, whatever the gradient's.
    table.step(rows, distance_gradient(start, table.shifts, goal, place), 0.01 * torch.ones(5))
    assert bool((rotation_distance(table.rotations, goal) < rotation_distance(start, goal)).all())
    assert bool(((table.shifts - place).norm(dim=1) < place.norm(dim=1)).all())
    for _ in range(300):
        table.step(rows, distance_gradient(table.rotations, table.shifts, goal, place), 0.01 * torch.ones(5))
    assert float(rotation_distance(table.rotations, goal).max()) < 2


def test_a_step_is_adams():
    """Against torch's Adam on the shift of one row, amid steps of others."""
    generator = torch.Generator().manual_seed(2)
    table = Table(random_rotations(4, generator), torch.zeros(4, 2), betas=(0.9, 0.95))
    oracle = torch.nn.Parameter(torch.zeros(2))
    adam = torch.optim.Adam([oracle], lr=0.3, betas=(0.9, 0.95), eps=1e-12)
    for index in range(6):
        gradient = torch.randn(4, 5, generator=generator)
        rows = torch.arange(4) if index % 2 else torch.tensor([2, 0])
        table.step(rows, gradient[rows], RATES)
        oracle.grad = gradient[2, 3:]
        adam.step()
    torch.testing.assert_close(table.shifts[2], oracle.detach())


def test_a_rotation_step_is_adams_in_omega():
    table = Table(torch.eye(3)[None], torch.zeros(1, 2))
    table.step(torch.tensor([0]), torch.tensor([[0.0, 0.0, 3.0, 0.0, 0.0]]), RATES)
    torch.testing.assert_close(table.rotations[0], exponential_map(torch.tensor([0.0, 0.0, -0.05])))
    assert float(torch.linalg.det(table.rotations[0])) == pytest.approx(1, abs=1e-6)


def test_poses_start_without_momentum():
    moments = PoseMoments.none(3)
    for values in (moments.mean, moments.square, moments.visits):
        assert not values.any()
    assert moments.mean.data_ptr() != moments.square.data_ptr()


def test_state_dict_round_trip():
    table, other = make_table(), Table(torch.eye(3).repeat(10, 1, 1), torch.zeros(10, 2))
    other.moments.load_state_dict(copy.deepcopy(table.moments.state_dict()))
    other.particles.load_state_dict(copy.deepcopy(table.particles.state_dict()))
    gradient = torch.randn(10, 5)
    for part in (table, other):
        part.step(torch.arange(10), gradient, RATES)
    assert torch.equal(table.rotations, other.rotations)
    assert torch.equal(table.shifts, other.shifts)
