"""Noise of groups: sums over images of a group and points of a shell, for few groups and for many."""

import pytest
import torch

from napari_cryospin.engine.noise import Noise, sum_by_group_and_shell


@pytest.mark.parametrize("groups", [2, 50])
def test_sums_are_those_of_each_group_and_shell(groups):
    generator = torch.Generator().manual_seed(0)
    values, shell = torch.rand(7, 12, generator=generator), torch.arange(12) // 4
    group = torch.tensor([1, 0, 1, 1, 0, 1, 0])
    found = sum_by_group_and_shell(values, group, shell, torch.zeros(groups, 3))
    for number in range(groups):
        for one in range(3):
            expected = values[group == number][:, shell == one].sum()
            torch.testing.assert_close(found[number, one], expected)


@pytest.mark.parametrize("groups", [2, 50])
def test_a_residual_is_the_mean_power_of_what_is_left(groups):
    generator = torch.Generator().manual_seed(1)
    shell, group = torch.arange(12) // 4, torch.tensor([0, 1, 1, 0, 1, 1, 0])
    noise = Noise.of(torch.ones(groups, 3), shell, group)
    images = torch.randn(7, 12, dtype=torch.complex64, generator=generator)
    noise.observe(torch.arange(7), images, torch.zeros_like(images))
    for number in (0, 1):
        power = images[group == number].abs().square()
        expected = torch.stack([power[:, shell == one].mean() for one in range(3)])
        torch.testing.assert_close(noise.residual[number], expected)
    assert not noise.residual[2:].any()
    weights = noise.weights(torch.arange(7), 8)
    torch.testing.assert_close(weights, 1 / noise.variance[group][:, shell[:8]])
