"""The volume that is learned by gradients, and the projector that reads it."""

import pytest
import torch

from napari_cryospin.geometry.so3 import random_rotations
from napari_cryospin.models.hartley_volume import HartleyVolume
from napari_cryospin.models.projector import Projector
from napari_cryospin.physics.fourier import half_plane, hartley_to_map, map_to_hartley
from napari_cryospin.physics.slicing import central_slices, insert_slices, shift_phases
from support.volumes import put_map

CORNER = 3**0.5
"""Lattice points from a point to the farthest corner that its interpolation may read."""


def lattice_radius(volume: HartleyVolume) -> torch.Tensor:
    """Distance of each lattice point from zero frequency, in shells."""
    size = volume.mantissa.shape[-1]
    axis = (torch.arange(size) - size // 2) / volume.padding
    return (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).sqrt()


@pytest.mark.parametrize("padding", [1, 2])
def test_unseen_shells_start_at_zero(padding):
    volume = HartleyVolume(16, padding, first_band=3, generator=torch.Generator().manual_seed(0))
    radius = lattice_radius(volume)
    lattice = volume.hartley().detach()
    assert not lattice[radius > 3 + CORNER / padding].any()
    assert float(lattice[radius <= 3].std()) == pytest.approx(0.1, rel=0.3)
    points = half_plane(16)
    slices = central_slices(lattice, random_rotations(20, torch.Generator().manual_seed(1)), points, padding)
    inside = points.square().sum(-1) <= 9
    beyond = points.square().sum(-1) > (3 + 2 * CORNER / padding) ** 2
    assert bool(slices[:, inside].abs().min(0).values.gt(0).all())
    assert not slices[:, beyond].any()


@pytest.mark.parametrize("padding", [1, 2])
def test_map_round_trip(phantom, padding):
    volume = HartleyVolume(16, padding, first_band=3).double()
    kept = phantom.clone()
    put_map(volume, phantom)
    assert torch.equal(phantom, kept)
    torch.testing.assert_close(hartley_to_map(volume.hartley().detach(), 16), phantom)


def test_band_cut_leaves_what_is_inside_and_nothing_beyond(phantom):
    volume = HartleyVolume(16, first_band=3).double()
    put_map(volume, phantom)
    beyond, whole = lattice_radius(volume) > 4 + CORNER, volume.hartley().detach()
    volume.set_band(4)
    cut = map_to_hartley(volume.to_map())
    points, rotations = half_plane(16, 4), random_rotations(50, torch.Generator().manual_seed(3)).double()
    slices = (central_slices(lattice, rotations, points, 1) for lattice in (cut, whole))
    torch.testing.assert_close(*slices)
    assert float(whole[beyond].abs().max()) > 0.1
    assert float(cut[beyond].abs().max()) < 1e-9
    assert torch.equal(volume.hartley(), whole)


def test_the_cropped_lattice_gives_the_same_slices(phantom):
    volume = HartleyVolume(16, 2, first_band=3).double()
    put_map(volume, phantom)
    points = half_plane(16, 5)
    rotations = random_rotations(6, torch.Generator().manual_seed(2)).double()
    with torch.no_grad():
        whole, part = (central_slices(volume.hartley(band), rotations, points, 2) for band in (None, 5))
    torch.testing.assert_close(part, whole)


def test_state_dict_round_trip():
    first, second = (HartleyVolume(16, first_band=5, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    with torch.no_grad():
        first.exponent.normal_()
    first.set_band(6)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.hartley(), second.hartley())
    assert torch.equal(first.to_map(), second.to_map())
    assert second.band == 6


@pytest.mark.parametrize("padding", [1, 2])
def test_insertion_is_the_adjoint_of_slicing(padding):
    """`<insert(V), H> = 2 Re <V, slice(H)>`: the two because each point is spread to its mate as well."""
    generator = torch.Generator().manual_seed(3)
    points, size = half_plane(16, 6), 16 * padding + 1
    rotations = random_rotations(10, generator).double().unflatten(0, (2, 5))
    hartley = torch.randn(size, size, size, generator=generator, dtype=torch.float64)
    values = torch.randn(2, 5, len(points), generator=generator, dtype=torch.complex128)
    weights = torch.rand(2, 5, len(points), generator=generator, dtype=torch.float64)
    both = insert_slices(rotations, points, values, weights, size=size, padding=padding)
    spread, rotations, values, weights = both[1], rotations[1], values[1], weights[1]
    slices = central_slices(hartley, rotations, points, padding)
    torch.testing.assert_close((spread[0] * hartley).sum(), 2 * (values.conj() * slices).real.sum())
    torch.testing.assert_close(spread[1].sum(), 2 * weights.sum())
    even = (slices.real * weights).sum()  # weights count H(w) and H(-w) alike
    torch.testing.assert_close((spread[1] * hartley).sum(), 2 * even)


def test_projector_is_slice_times_ctf_times_shift_inside_the_band(phantom):
    generator = torch.Generator().manual_seed(4)
    points = half_plane(16)
    projector = Projector(points=points, extent=32.0, padding=2)
    lattice = map_to_hartley(phantom, 2)
    rotations = random_rotations(6, generator).double().reshape(2, 3, 3, 3)
    shifts = torch.randn(2, 3, 2, generator=generator, dtype=torch.float64)
    ctf = torch.randn(2, 1, 20, generator=generator, dtype=torch.float64)
    seen = projector(lattice, rotations, shifts, ctf)
    slices = central_slices(lattice, rotations, points[:20], 2)
    torch.testing.assert_close(seen, slices * ctf * shift_phases(shifts, points[:20], 32.0))
    assert projector(lattice, rotations).shape == (2, 3, len(points))
