"""The pretend device of the tests: what it computes, what it refuses as CUDA does, and what it counts."""

import copy
import io

import numpy as np
import pytest
import torch

from support.pretend_device import PretendTensor, counted


@pytest.fixture
def numbers(pretend_device) -> torch.Tensor:
    return torch.tensor([3.0, 0.0, 5.0], device=pretend_device)


def test_it_computes_what_the_cpu_computes(pretend_device):
    values = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))

    def computed(device: str) -> tuple[torch.Tensor, torch.Tensor]:
        matrix = values.to(device, copy=True).requires_grad_()
        spectrum = torch.fft.rfft(matrix).conj()  # torch marks it as conjugate, and computes that later
        result = (spectrum * spectrum.imag.exp()).abs().square().sum() + torch.linalg.qr(matrix)[1].norm()
        result.backward()
        return result.detach(), matrix.grad

    for expected, found in zip(computed("cpu"), computed("pretend:1"), strict=True):
        assert found.device == torch.device("pretend:1")
        assert torch.equal(found.cpu(), expected)


def test_tensors_are_made_on_it_in_all_ways(pretend_device):
    made = [
        torch.zeros(2, device=pretend_device),
        torch.full((2,), 3.0, device="pretend"),
        torch.arange(3, device=pretend_device),
        torch.eye(3, device=pretend_device),
        torch.linspace(0, 1, 3, device=pretend_device),
        torch.tensor([1.0], device=pretend_device),
        torch.as_tensor(np.ones(2), device=pretend_device),
        torch.ones(2).to(pretend_device),
        torch.ones(2, device=pretend_device).new_zeros(2),
        torch.zeros_like(torch.ones(2), device=pretend_device),
        torch.nn.Linear(2, 2).to(pretend_device).weight,
    ]
    for tensor in made:
        assert isinstance(tensor, PretendTensor)
        assert tensor.device == torch.device(pretend_device)


def test_what_is_changed_in_place_is_changed_in_its_views(numbers):
    last = numbers[1:]
    assert last.add_(1) is last
    numbers[0] = 7
    assert numbers.tolist() == [7, 1, 6]


def test_tensors_of_two_devices_are_refused_but_not_numbers(numbers):
    with pytest.raises(RuntimeError, match="same device"):
        numbers + torch.ones(3)
    with pytest.raises(RuntimeError, match="same device"):
        numbers + torch.ones(3, device="pretend:1")
    with pytest.raises(RuntimeError, match="same device"):
        torch.ones(3) + numbers[0]  # a number is one only where it lies on the CPU
    with pytest.raises(RuntimeError, match="same device"):
        torch.stack([numbers[0], torch.tensor(1.0)])
    with pytest.raises(RuntimeError, match="same device"):
        numbers.add_(torch.ones(3))
    assert (numbers + torch.tensor(1.0)).tolist() == [4, 1, 6]
    assert numbers.to("pretend:1").device == torch.device("pretend:1")


def test_numpy_arrays_of_it_are_refused(numbers):
    for make in (lambda: numbers.numpy(), lambda: np.asarray(numbers), lambda: np.array(numbers)):
        with pytest.raises(TypeError, match="numpy"):
            make()
    np.testing.assert_array_equal(numbers.cpu().numpy(), [3, 0, 5])


def test_random_numbers_from_a_generator_of_the_cpu_are_refused(numbers, pretend_device):
    generator = torch.Generator()
    with pytest.raises(RuntimeError, match="generator"):
        torch.rand(3, generator=generator, device=pretend_device)
    with pytest.raises(RuntimeError, match="generator"):
        torch.randperm(3, generator=generator, device=pretend_device)
    with pytest.raises(RuntimeError, match="generator"):
        numbers.normal_(generator=generator)
    assert torch.rand(3, generator=generator).to(pretend_device).device.type == "pretend"


def test_indices_may_come_from_the_cpu_but_not_go_there(numbers):
    rows = torch.tensor([0, 2])
    assert numbers[rows].tolist() == [3, 5]
    numbers[rows] = numbers[rows] + 1
    assert numbers.tolist() == [4, 0, 6]
    with pytest.raises(RuntimeError, match="indices should be"):
        torch.ones(3)[rows.to(numbers.device)]
    with pytest.raises(RuntimeError, match="indices should be"):
        torch.ones(3)[rows.to(numbers.device)] = 0
    with pytest.raises(RuntimeError, match="same device"):
        numbers[rows] = torch.ones(2)
    with pytest.raises(RuntimeError, match="same device"):
        torch.ones(3)[rows] = numbers[rows]


@pytest.mark.parametrize(
    ("wait", "kind"),
    [
        (lambda x: x[0].item(), "item"),
        (lambda x: float(x[0]), "item"),
        (lambda x: bool(x.any()), "item"),
        (lambda x: x.cpu(), "to host"),
        (lambda x: x.tolist(), "to host"),
        (lambda x: torch.zeros(3).copy_(x), "to host"),
        (lambda x: x.nonzero(), "nonzero"),
        (lambda x: x[x > 1], "mask"),
        (lambda x: x.__setitem__(x > 1, x[:2] * 2), "mask"),
        (lambda x: x.long().bincount(), "bincount"),
        (lambda x: torch.linalg.solve(torch.eye(3, device=x.device), x), "linalg check"),
    ],
)
def test_a_wait_of_the_host_is_counted_at_its_line(wait, kind, numbers):
    with counted() as traffic:
        wait(numbers)
    ((found, place),) = traffic.waits
    assert found == kind
    assert place == f"test_pretend_device.py:{wait.__code__.co_firstlineno}"
    assert traffic.waits.total() == 1
    assert f"1 wait: {kind} at {place}" in traffic.report()


def test_what_waits_for_nothing_is_not_counted(numbers):
    with counted() as traffic:
        chosen = torch.where(numbers > 1, numbers, -numbers).sum() * 2 + torch.arange(3, device=numbers.device)
        numbers[numbers > 1] = -1.0  # filled in where the mask says so, without looking for the places
        numbers.copy_(chosen[numbers.long().clamp(min=0)])
    assert not traffic.waits
    assert not traffic.uploads


def test_uploads_are_counted(numbers):
    with counted() as traffic:
        torch.ones(3).to(numbers.device)
        torch.tensor([1.0], device=numbers.device)
        numbers[torch.tensor([0])]
    assert not traffic.waits
    assert sorted(kind for kind, _ in traffic.uploads) == ["index", "to device", "to device"]


def test_what_is_saved_is_loaded_to_the_cpu(numbers):
    assert copy.deepcopy(numbers).device == numbers.device
    file = io.BytesIO()
    torch.save({"numbers": numbers}, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True, map_location="cpu")["numbers"]
    assert loaded.device == torch.device("cpu")
    assert loaded.tolist() == [3, 0, 5]
