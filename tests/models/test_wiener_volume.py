"""The running Wiener average: known poses give back the map; folds, fading, bands."""

import copy

import pytest
import torch
from torch import Tensor

from napari_cryospin.evaluation.fsc import fsc
from napari_cryospin.geometry.so3 import random_rotations
from napari_cryospin.geometry.symmetry import point_group
from napari_cryospin.models.wiener_volume import WienerVolume
from napari_cryospin.physics.fourier import half_plane, map_to_hartley
from napari_cryospin.physics.slicing import central_slices, crop_lattice
from support.simulated import symmetric_phantom


def make_volume(band: int = 7, padding: int = 2, box: int = 16) -> WienerVolume:
    generator = torch.Generator().manual_seed(0)
    return WienerVolume(box, padding, first_band=band, mask_radius=0.48, generator=generator)


def insert_projections(volume: WienerVolume, density: Tensor, count: int = 300, band: int = 7, noise: float = 1e-3):
    """Insert noise-free images, seen through a made-up CTF, at their poses; both folds get half of them."""
    generator = torch.Generator().manual_seed(1)
    points = half_plane(volume.box_size, band)
    rotations = random_rotations(count, generator)
    ctf = torch.cos(points.float().norm(dim=-1) * (0.5 + torch.rand(count, 1, generator=generator)))
    images = central_slices(map_to_hartley(density.float(), 3), rotations, points, 3) * ctf
    folds = torch.arange(count) % 2
    volume.insert(rotations, points, images * ctf / noise, ctf.square() / noise, folds)


@pytest.mark.parametrize("padding", [1, 2])
def test_known_poses_give_back_the_map(phantom, padding):
    volume = make_volume(padding=padding)
    volume.forget(0)
    insert_projections(volume, phantom)
    volume.solve()
    found = volume.to_map()
    curve = fsc(found.numpy(), phantom.numpy(), 1.0).values
    assert curve[1:7].min() > (0.99 if padding == 2 else 0.97)
    inner = (found * phantom).sum() / phantom.square().sum()
    assert float(inner) == pytest.approx(1, abs=0.05)


def test_the_random_start_is_masked_and_inside_its_band(phantom):
    volume = make_volume(band=3)
    assert volume.inner_box == 10
    start = volume.to_map()
    assert start.shape == (16, 16, 16)
    axis = torch.arange(16) - 8
    radius = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).sqrt()
    assert float(start[radius > 8.5].abs().max()) < 0.15 * float(start.abs().max())
    assert float(start.std()) > 0


def test_folds_add_up_to_the_whole(phantom):
    volume = make_volume()
    volume.forget(0)
    insert_projections(volume, phantom, count=40)
    other = make_volume()
    other.forget(0)
    points, generator = half_plane(16, 7), torch.Generator().manual_seed(1)
    assert bool(volume.sums.flatten(2).abs().sum(-1).gt(0).all())
    rotations = random_rotations(40, generator)
    ctf = torch.cos(points.float().norm(dim=-1) * (0.5 + torch.rand(40, 1, generator=generator)))
    images = central_slices(map_to_hartley(phantom.float(), 3), rotations, points, 3) * ctf
    other.insert(rotations, points, images * ctf / 1e-3, ctf.square() / 1e-3, torch.zeros(40, dtype=torch.long))
    assert not other.sums[1].any()
    torch.testing.assert_close(volume.sums.sum(0), other.sums[0], rtol=1e-4, atol=1e-3)
    volume.solve()
    first, second = volume.fold_maps()
    assert not torch.equal(first, second)
    assert fsc(first.numpy(), second.numpy(), 1.0).values[1:5].min() > 0.9


def test_older_images_fade(phantom):
    volume = make_volume()
    volume.forget(0)
    assert not volume.sums.any()
    insert_projections(volume, phantom, count=20)
    before = volume.sums.clone()
    volume.forget(0.25)
    torch.testing.assert_close(volume.sums, 0.25 * before)
    insert_projections(volume, phantom, count=20)
    torch.testing.assert_close(volume.sums, 1.25 * before)


def test_weak_evidence_is_damped(phantom):
    strong, weak = make_volume(), make_volume()
    for volume, noise in ((strong, 1e-3), (weak, 3e5)):
        volume.forget(0)
        insert_projections(volume, phantom, noise=noise)
        volume.solve()
    assert float(weak.density.norm()) < 0.5 * float(strong.density.norm())


def test_a_new_band_keeps_what_both_bands_share(phantom):
    volume = make_volume(band=4)
    volume.forget(0)
    insert_projections(volume, phantom, band=4)
    volume.solve()
    sums, lattice = volume.sums.clone(), volume.hartley().clone()
    volume.set_band(6)
    middle = crop_lattice(volume.sums[0, 0], 4 + 1, 2)
    assert volume.sums.shape[-1] > sums.shape[-1]
    torch.testing.assert_close(middle, crop_lattice(sums[0, 0], 4 + 1, 2))
    assert float(volume.sums.sum()) == pytest.approx(float(sums.sum()), rel=1e-5)
    wider = crop_lattice(volume.hartley(), 3, 2)
    assert float((wider - crop_lattice(lattice, 3, 2)).norm() / lattice.norm()) < 0.03
    volume.set_band(4)
    torch.testing.assert_close(volume.sums, sums)
    back = crop_lattice(volume.hartley(), 3, 2)
    assert float((back - crop_lattice(lattice, 3, 2)).norm() / lattice.norm()) < 0.05


@pytest.mark.parametrize("axis", range(3))
def test_gradient_lattices_are_the_transforms_derivatives(phantom, axis):
    volume = make_volume(padding=3)
    lattices = volume.gradient_lattices(phantom)
    generator = torch.Generator().manual_seed(2)
    rotations = random_rotations(4, generator).double()
    points = half_plane(16, 6)
    slices = central_slices(lattices[1 + axis], rotations, points, 3) * (-2j * torch.pi)
    where = points.double() @ rotations[:, :2]
    step = torch.zeros(3, dtype=torch.float64)
    step[axis] = 1e-4
    expected = (transform(phantom, where + step) - transform(phantom, where - step)) / 2e-4
    assert float((slices - expected).norm() / expected.norm()) < 0.01
    exact = transform(phantom, where)
    there = central_slices(lattices[0], rotations, points, 3)
    assert float((there - exact).norm() / exact.norm()) < 0.01


def transform(density: Tensor, frequencies: Tensor) -> Tensor:
    """`(..., )` Fourier transform at `(..., 3)` any frequencies, Fourier pixels: the plain sum over the map."""
    n = density.shape[-1]
    line = torch.arange(n, dtype=torch.float64) - n // 2
    x, y, z = (torch.exp(-2j * torch.pi * frequencies[..., axis, None] * line / n) for axis in range(3))
    return torch.einsum("zyx,...x,...y,...z->...", density.to(x.dtype), x, y, z)


def test_state_dict_round_trip_and_no_shared_memory(phantom):
    volume, other = make_volume(band=4), make_volume(band=3)
    insert_projections(volume, phantom, band=4, count=20)
    volume.solve()
    state = copy.deepcopy(volume.state_dict())
    other.load_state_dict(state)
    assert other.band == 4
    assert torch.equal(other.hartley(), volume.hartley())
    kept = state["sums"].clone()
    other.forget(0.5)
    assert torch.equal(state["sums"], kept)


def test_moved_by_whole_voxels_as_rolled(phantom):
    volume, moved = make_volume(), make_volume()
    for each, density in ((volume, phantom), (moved, phantom.roll((1, 0, -2), (0, 1, 2)))):
        each.forget(0)
        insert_projections(each, density)
        each.solve()
    volume.move(torch.tensor([-2.0, 0.0, 1.0]) / 16)
    assert float((volume.density - moved.density).norm() / moved.density.norm()) < 0.05


@pytest.mark.parametrize("name", ["C3", "D2", "O", "I2"])
def test_symmetric_sums_are_those_of_every_image_at_all_of_its_copies(name):
    density, group = symmetric_phantom(24, name, blobs=3, width=7.0), point_group(name)
    rotations, points = random_rotations(150, torch.Generator().manual_seed(1)), half_plane(24, 7)
    images = central_slices(map_to_hartley(density, 3), rotations, points, 3)
    weights, folds = torch.full(images.shape, 1e2), torch.arange(150) % 2
    once = WienerVolume(24, 2, first_band=7, mask_radius=0.48, symmetry=name)
    at_all = WienerVolume(24, 2, first_band=7, mask_radius=0.48)
    for volume, copies in ((once, group.rotations(rotations)[:1]), (at_all, group.rotations(rotations))):
        volume.forget(0)
        for copy_ in copies:
            volume.insert(rotations @ copy_, points, images * weights, weights, folds)
        volume.solve()
    found, wanted = once.to_map(), at_all.to_map()
    assert fsc(found.numpy(), wanted.numpy(), 1.0).values[1:7].min() > 0.997
    assert float((found * wanted).sum() / wanted.square().sum()) == pytest.approx(1, abs=0.03)
    assert fsc(found.numpy(), density.numpy(), 1.0).values[1:6].min() > 0.95
    assert float((found * density).sum() / density.square().sum()) == pytest.approx(1, abs=0.08)


def test_a_symmetric_volume_is_kept_and_found_again(phantom):
    volume = WienerVolume(16, 2, first_band=5, mask_radius=0.48, symmetry="D3")
    insert_projections(volume, phantom, count=20, band=5)
    volume.solve()
    other = make_volume(band=4)
    other.load_state_dict(copy.deepcopy(volume.state_dict()))
    assert other.symmetry.name == "D3"
    other.solve()
    torch.testing.assert_close(other.density, volume.density)
