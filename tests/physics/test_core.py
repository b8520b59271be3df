"""Fourier transforms, slices and rotations: invariants, round trips, and the vectors that fix the signs."""

import math

import pytest
import torch
from scipy.spatial.transform import Rotation

from napari_cryospin.geometry import so3, so3_grid
from napari_cryospin.physics import fourier
from napari_cryospin.physics.slicing import central_slices, crop_lattice, shift_phases


def blob_map(n: int, centres, width: float = 1.5) -> torch.Tensor:
    axis = torch.arange(n, dtype=torch.float64) - n // 2
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    return sum(torch.exp(-((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2) / (2 * width**2)) for cx, cy, cz in centres)


def centroid(image: torch.Tensor) -> tuple[float, float]:
    axis = torch.arange(image.shape[-1], dtype=image.dtype) - image.shape[-1] // 2
    weight = image.clamp(min=0.3 * float(image.max())) - 0.3 * image.max()
    return float((weight.sum(0) * axis).sum() / weight.sum()), float((weight.sum(1) * axis).sum() / weight.sum())


def test_half_plane_holds_each_pair_once_and_bands_are_prefixes():
    points = fourier.half_plane(32)
    rows = {tuple(p) for p in points.tolist()}
    assert len(rows) == len(points)
    assert not any((-kx, -ky) in rows for kx, ky in rows)
    assert len(points) * 2 + 1 == sum(kx * kx + ky * ky <= 225 for kx in range(-16, 17) for ky in range(-16, 17))
    assert torch.equal(points[: fourier.band_size(points, 7)], fourier.half_plane(32, 7))


def test_half_plane_round_trip_and_parseval():
    points = fourier.half_plane(32)
    coefficients = torch.randn(3, len(points), dtype=torch.complex128)
    images = fourier.from_half_plane(coefficients, points, 32)
    torch.testing.assert_close(fourier.to_half_plane(images, points), coefficients)
    power = 2 * coefficients.abs().square().sum(-1) / 32**2
    torch.testing.assert_close(images.square().sum((-2, -1)), power)


def test_centred_blob_has_a_real_positive_transform():
    image = blob_map(32, [(0, 0, 0)]).sum(0)
    coefficients = fourier.to_half_plane(image, fourier.half_plane(32, 5))
    assert float(coefficients.imag.abs().max()) < 1e-10
    assert float(coefficients.real.min()) > 0


def test_fourier_crop_keeps_place_and_grey_values():
    image = blob_map(64, [(8, -6, 0)], width=5).sum(0)
    small = fourier.fourier_crop(image, 32)
    torch.testing.assert_close(small, image[::2, ::2], atol=2e-3, rtol=0)


@pytest.mark.parametrize("padding", [1, 2])
def test_hartley_round_trip(padding):
    density = blob_map(24, [(3, -2, 1), (-4, 1, 2)])
    back = fourier.hartley_to_map(fourier.map_to_hartley(density, padding), 24)
    torch.testing.assert_close(back, density)


def test_blob_is_seen_where_the_conventions_say():
    n, points = 64, fourier.half_plane(64)
    rotation = torch.from_numpy(Rotation.from_euler("ZYZ", [30, 50, 70], degrees=True).as_matrix().T)
    expected = torch.tensor([-0.279453821, 0.923720837, -0.262002630], dtype=torch.float64)
    torch.testing.assert_close(rotation[0], expected, atol=1e-8, rtol=0)
    hartley = fourier.map_to_hartley(blob_map(n, [(9, -5, 4)]), 2)
    image = fourier.from_half_plane(central_slices(hartley, rotation, points, padding=2), points, n)
    x, y = centroid(image)
    assert (x, y) == pytest.approx((-8.181699, -3.338531), abs=0.04)
    seen = central_slices(hartley, rotation, points, padding=2) * shift_phases(
        torch.tensor([6.0, -3.0], dtype=torch.float64), points, extent=1.5 * n
    )
    x, y = centroid(fourier.from_half_plane(seen, points, n))
    assert (x, y) == pytest.approx((-8.181699 - 4, -3.338531 + 2), abs=0.04)  # shift / 1.5 A, towards the centre


def test_slice_is_the_projection_along_the_axes():
    density = blob_map(32, [(3, -2, 5), (-4, 6, 2)])
    points = fourier.half_plane(32)
    slices = central_slices(fourier.map_to_hartley(density, 1), torch.eye(3, dtype=torch.float64)[None], points)
    expected = fourier.to_half_plane(density.sum(0) / fourier.grid_envelope(32, 1)[16], points)
    # On lattice points nothing is interpolated; the map was divided by the envelope, whose z part stays.
    flat = density / fourier.grid_envelope(32, 1)
    torch.testing.assert_close(slices[0], fourier.to_half_plane(flat.sum(0), points))
    assert expected.shape == slices[0].shape


def test_cropped_lattice_and_batching_change_nothing():
    hartley = fourier.map_to_hartley(torch.randn(32, 32, 32), 2)
    rotations, points = so3.random_rotations(5, torch.Generator().manual_seed(1)), fourier.half_plane(32, 7)
    whole = central_slices(hartley, rotations, points, padding=2)
    cropped = central_slices(crop_lattice(hartley, 7, 2), rotations, points, padding=2)
    torch.testing.assert_close(cropped, whole, atol=1e-3, rtol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(central_slices(hartley, rotations[:, None], points, padding=2)[:, 0], whole)


def test_exponential_map_matches_scipy_and_has_finite_right_derivatives():
    omega = torch.tensor(
        [[0.0, 0, 0], [1e-9, 0, 0], [1e-4, -2e-4, 3e-5], [0.02, 0.02, 0.0], [0.4, -0.7, 1.1]], dtype=torch.float64
    )
    expected = torch.from_numpy(Rotation.from_rotvec(omega.numpy()).as_matrix())
    torch.testing.assert_close(so3.exponential_map(omega), expected, atol=1e-14, rtol=0)
    jacobian = torch.autograd.functional.jacobian(so3.exponential_map, torch.zeros(3, dtype=torch.float64))
    generators = torch.stack([so3.cross_matrix(e) for e in torch.eye(3, dtype=torch.float64)], dim=-1)
    torch.testing.assert_close(jacobian, generators)
    for row in omega:
        assert torch.autograd.gradcheck(so3.exponential_map, row.clone().requires_grad_())
    # Across the change from series to closed form.
    edge = torch.tensor([math.sqrt(1e-3), 0, 0], dtype=torch.float64)
    low, high = so3.exponential_map(edge * (1 - 1e-9)), so3.exponential_map(edge * (1 + 1e-9))
    torch.testing.assert_close(low, high, atol=1e-10, rtol=0)


def test_6d_form_gives_rotations_with_the_columns_of_the_paper():
    vectors = torch.randn(20, 6, dtype=torch.float64)
    rotations = so3.rotation_from_6d(vectors)
    torch.testing.assert_close(rotations @ rotations.mT, torch.eye(3, dtype=torch.float64).expand(20, 3, 3))
    torch.testing.assert_close(torch.linalg.det(rotations), torch.ones(20, dtype=torch.float64))
    torch.testing.assert_close(rotations[..., 0], torch.nn.functional.normalize(vectors[:, :3], dim=-1))


def test_random_rotations_are_uniform_and_repeatable():
    rotations = so3.random_rotations(20000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.linalg.det(rotations), torch.ones(20000))
    assert float(rotations.mean(0).abs().max()) < 0.02
    assert torch.equal(rotations, so3.random_rotations(20000, torch.Generator().manual_seed(0)))


def test_rotation_distance_is_exact_for_small_angles():
    turn = so3.exponential_map(torch.tensor([0.0, math.radians(1e-4), 0.0], dtype=torch.float64))
    assert float(so3.rotation_distance(turn, torch.eye(3, dtype=torch.float64))) == pytest.approx(1e-4, rel=1e-6)


def test_grid_matches_relion_angles_and_healpix():
    rotations = so3_grid.grid_rotations(4, 12).double()
    rot, tilt = torch.rad2deg(so3_grid.view_directions(4)).unbind(-1)
    for pixel, turn in ((0, 0), (17, 5), (150, 11)):
        angles = [float(rot[pixel]), float(tilt[pixel]), turn * 30.0]
        expected = torch.from_numpy(Rotation.from_euler("ZYZ", angles, degrees=True).as_matrix().T)
        torch.testing.assert_close(rotations[pixel, turn], expected, atol=1e-6, rtol=0)
    assert torch.equal(so3_grid.direction_pixel(rotations[:, 3], 4), torch.arange(192))
    known = torch.from_numpy(Rotation.from_euler("ZYZ", [30, 50, 70], degrees=True).as_matrix().T)
    assert int(so3_grid.direction_pixel(known, 8)) == 114
    assert int(so3_grid.direction_pixel(known, 16)) == 485
