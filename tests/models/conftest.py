"""A small map that the tests of the models share."""

import pytest
import torch
from torch import Tensor


@pytest.fixture(scope="session")
def phantom() -> Tensor:
    """`(16, 16, 16)` float64 map of a few blobs, without any symmetry, zero towards the edges of the box."""
    generator = torch.Generator().manual_seed(5)
    line = torch.arange(16, dtype=torch.float64) - 8
    centres = 6 * torch.rand(10, 3, generator=generator, dtype=torch.float64) - 3
    x, y, z = (torch.exp(-((line - centres[:, axis, None]) ** 2) / 2) for axis in range(3))
    return torch.einsum("bx,by,bz->zyx", x, y, z)
