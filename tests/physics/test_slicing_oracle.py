"""Central slices against sums over all voxels, torch-fourier-slice, and rotations in real space."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation
from torch_fourier_slice import project_3d_to_2d

from napari_cryospin.geometry.so3 import random_rotations
from napari_cryospin.physics import fourier
from napari_cryospin.physics.fourier import half_plane
from napari_cryospin.physics.slicing import central_slices, read_lattice, shift_phases

BLOBS = np.random.default_rng(3).uniform(-7, 7, (12, 3))
ROTATIONS = Rotation.from_euler("ZYZ", [[30, 50, 70], [-100, 120, 10], [0, 90, 45]], degrees=True).as_matrix()
ROTATIONS = np.ascontiguousarray(ROTATIONS.transpose(0, 2, 1))


def phantom(n: int, centres=BLOBS, width: float = 1.4) -> torch.Tensor:
    line = np.arange(n) - n // 2
    factors = [np.exp(-((line - np.asarray(centres)[:, i, None]) ** 2) / (2 * width**2)) for i in range(3)]
    return torch.from_numpy(np.einsum("bx,by,bz->zyx", *factors))


def voxel_sum(density: torch.Tensor, rotations: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """The transform where the slice lies, summed over all voxels: exact, slow."""
    n = density.shape[-1]
    line = torch.arange(n, dtype=torch.float64) - n // 2
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    voxels = torch.stack((x, y, z), dim=-1).reshape(-1, 3)
    where = points.double() @ rotations[:, :2]
    phase = torch.polar(torch.ones((), dtype=torch.float64), -2 * torch.pi / n * (where @ voxels.T))
    return phase @ density.reshape(-1).to(phase.dtype)


@pytest.mark.parametrize(("padding", "largest"), [(1, 0.09), (2, 0.02), (3, 0.01)])
def test_slices_are_the_transform(padding, largest):
    density, points = phantom(32), fourier.half_plane(32)
    rotations = torch.from_numpy(ROTATIONS)
    exact = voxel_sum(density, rotations, points)
    got = central_slices(fourier.map_to_hartley(density, padding), rotations, points, padding)
    assert float((got - exact).norm() / exact.norm()) < largest


def test_agrees_with_torch_fourier_slice():
    n, density, points = 32, phantom(32), fourier.half_plane(32)
    # Its matrices take the slice's (x, y, z) to the volume's: the transpose of ours.
    expected = project_3d_to_2d(density.float(), torch.from_numpy(ROTATIONS.transpose(0, 2, 1).copy()).float(), 3.0)
    slices = central_slices(fourier.map_to_hartley(density, 3), torch.from_numpy(ROTATIONS), points, padding=3)
    got = fourier.from_half_plane(slices, points, n)
    expected = expected.double() - expected.double().mean((-2, -1), keepdim=True)
    assert float((got - expected).norm() / expected.norm()) < 0.02


def test_agrees_with_rotation_in_real_space():
    n, density, points = 40, phantom(40), fourier.half_plane(40)
    hartley = fourier.map_to_hartley(density, 2)
    for rotation in ROTATIONS:
        back = rotation[::-1, ::-1].T  # image's (z, y, x) to the map's
        turned = ndimage.affine_transform(density.numpy(), back, np.full(3, n // 2) - back @ np.full(3, n // 2))
        expected = fourier.to_half_plane(torch.from_numpy(turned.sum(0)), points)
        got = central_slices(hartley, torch.from_numpy(rotation), points, padding=2)
        assert float((got - expected).norm() / expected.norm()) < 0.02


@pytest.mark.parametrize("padding", [1, 2])
def test_zero_frequency_is_the_sum_of_the_map_at_any_rotation(padding):
    density = phantom(24)
    hartley = fourier.map_to_hartley(density, padding)
    at_zero = central_slices(hartley, torch.from_numpy(ROTATIONS), torch.zeros(1, 2), padding)
    total = (density / fourier.grid_envelope(24, padding)).sum()  # what interpolation between lattice points needs
    torch.testing.assert_close(at_zero, total.to(at_zero.dtype).expand(3, 1))


def test_a_rotation_never_moves_the_centre():
    points = fourier.half_plane(32, 8)
    slices = central_slices(fourier.map_to_hartley(phantom(32, [(0, 0, 0)]), 2), torch.from_numpy(ROTATIONS), points, 2)
    assert float(slices.imag.abs().max() / slices.real.max()) < 1e-6
    assert float(slices.real.min()) > 0
    assert float((slices - slices[0]).abs().max() / slices.real.max()) < 0.01


def test_a_shift_moves_the_image_the_other_way():
    n, pixel_size, points = 32, 2.0, fourier.half_plane(32)
    image = phantom(n, [(0, 0, 0)]).sum(0)
    phases = shift_phases(torch.tensor([6.0, -4.0], dtype=torch.float64), points, n * pixel_size)
    moved = fourier.from_half_plane(fourier.to_half_plane(image, points) * phases, points, n)
    row, column = np.unravel_index(int(moved.argmax()), (n, n))
    assert (column, row) == (n // 2 - 3, n // 2 + 2)


def test_reading_a_lattice_at_its_points_gives_the_transform_and_at_mates_its_conjugate():
    """Also by which slices and the alignment of maps read: in three dimensions, and beyond the lattice 0."""
    density = phantom(16)
    hartley = fourier.map_to_hartley(density, 1)
    where = torch.tensor([(3.0, -2.0, 5.0), (-3.0, 2.0, -5.0), (0.0, 0.0, 0.0), (9.0, 0.0, 0.0)]).double()
    read = read_lattice(hartley, where / 8)
    x, y, z = (where[0] + 8).long()
    torch.testing.assert_close(read[0].real - read[0].imag, hartley[z, y, x])
    torch.testing.assert_close(read[1], read[0].conj())
    torch.testing.assert_close(read[2].real, hartley[8, 8, 8])
    assert read[3] == 0


@pytest.mark.parametrize("side_by_side", [True, False])
def test_several_lattices_are_read_as_one_by_one(side_by_side):
    generator = torch.Generator().manual_seed(5)
    lattices = torch.randn(4, 17, 17, 17, generator=generator)
    if side_by_side:
        lattices = lattices.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2)
    rotations, points = random_rotations(6, generator).unflatten(0, (2, 3)), half_plane(16, 6)
    with torch.no_grad():
        together = central_slices(lattices, rotations, points)
        one_by_one = torch.stack([central_slices(each, rotations, points) for each in lattices])
    assert together.shape == (4, 2, 3, len(points))
    torch.testing.assert_close(together, one_by_one)
