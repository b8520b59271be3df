"""The middle of a map's lattice is that of the whole lattice."""

import pytest
import torch

from napari_cryospin.physics.fourier import map_to_hartley
from napari_cryospin.physics.inner_lattice import inner_lattice
from napari_cryospin.physics.slicing import crop_lattice


@pytest.mark.parametrize("box", [16, 24])
@pytest.mark.parametrize("padding", [1, 2])
@pytest.mark.parametrize("band", [3, 7, 20])
def test_inner_lattice_is_a_crop_of_the_whole(box, padding, band):
    density = torch.randn(box, box, box, generator=torch.Generator().manual_seed(0))
    expected = crop_lattice(map_to_hartley(density, padding), band, padding)
    found = inner_lattice(density, padding, band)
    assert found.shape == expected.shape
    assert float((found - expected).abs().max()) < 3e-5 * float(expected.abs().max())
