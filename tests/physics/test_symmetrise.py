"""Symmetric copies of a lattice: the sum over the group of what a function has at turned places."""

import pytest
import torch
from torch import Tensor

from napari_cryospin.geometry.symmetry import point_group
from napari_cryospin.physics.symmetrise import interpolated_share, symmetrised

SIZE = 25


def places() -> Tensor:
    line = torch.linspace(-1, 1, SIZE)
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    return torch.stack((x, y, z), dim=-1)


def waves(at: Tensor) -> Tensor:
    """Add up waves so long that trilinear interpolation is right to a part in a hundred."""
    generator = torch.Generator().manual_seed(0)
    frequency, height = torch.randn(3, 40, generator=generator), torch.randn(40, generator=generator)
    return (height * torch.sin(at @ frequency)).sum(-1)


@pytest.mark.parametrize("name", ["C1", "C2", "C3", "C4", "D2", "D4", "D7", "T", "O", "I1", "I2", "I3"])
def test_copies_are_added_up(name):
    group, at = point_group(name), places()
    found = symmetrised(waves(at), group)
    wanted = torch.stack([waves(at @ matrix.T) for matrix in group.rotations(at)])
    sphere = at.norm(dim=-1) < 0.98
    exact = interpolated_share(group) == 0
    tolerance = (1e-5 if exact else 3e-3) * float(wanted.abs().sum(0)[sphere].max())
    assert float((found - wanted.sum(0))[sphere].abs().max()) < tolerance


@pytest.mark.parametrize(("name", "share"), [("C1", 0), ("C4", 0), ("D4", 0), ("O", 0), ("C3", 2 / 3), ("I2", 4 / 5)])
def test_no_more_copies_are_interpolated_than_need_be(name, share):
    assert interpolated_share(point_group(name)) == pytest.approx(share)


@pytest.mark.parametrize("name", ["O", "D3"])
def test_several_lattices_and_their_gradient(name):
    lattices = torch.randn(2, 3, 9, 9, 9, generator=torch.Generator().manual_seed(0), requires_grad=True)
    found = symmetrised(lattices, point_group(name))
    assert found.shape == lattices.shape
    torch.testing.assert_close(found[1, 2], symmetrised(lattices[1, 2], point_group(name)))
    found[..., 4, 4, 4].sum().backward()  # The middle is at its place in every copy.
    torch.testing.assert_close(lattices.grad[..., 4, 4, 4], torch.full((2, 3), float(point_group(name).order)))
