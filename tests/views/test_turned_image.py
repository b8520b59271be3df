"""Turning an image instead of the slices: against sums written out, and against slices at every in-plane angle."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.engine.pose_posterior import log_likelihoods, make_templates
from napari_cryospin.geometry.so3 import random_rotations
from napari_cryospin.physics.ctf import ctf
from napari_cryospin.physics.fourier import band_size, half_plane, map_to_hartley, shells, to_half_plane
from napari_cryospin.physics.slicing import shift_phases
from napari_cryospin.settings import PreparationSettings
from napari_cryospin.views.posterior.particle_image import ParticleImage
from napari_cryospin.views.posterior.turned_image import in_plane, soft_edge, turned_coefficients, turned_points
from support.records import epoch_record, particle_record

BOX, BAND = 32, 10
ANGLES = torch.arange(12) * (2 * torch.pi / 12)


@pytest.fixture(scope="module")
def simulated(make_phantom, simulate):
    return simulate(make_phantom(BOX), count=3, snr=0.3, shift_sd=4.0, seed=2)


@pytest.fixture(scope="module")
def images(simulated):
    return PreparedImages(simulated.particles, PreparationSettings(noise="coloured"), torch.arange(3))


def state_of(images, shifts, max_shift):
    noise = images.noise * torch.linspace(1, 2, BOX // 2)
    particles = particle_record(3, shifts=np.asarray(shifts, np.float32))
    known = {"pixel_size": images.pixel_size, "band": BAND, "noise": noise.numpy(), "max_shift": max_shift}
    return epoch_record(particles=particles, box=BOX, **known)


def test_coefficients_at_turned_points_are_the_sums_written_out():
    image = np.random.default_rng(0).normal(size=(BOX, BOX))
    points = half_plane(BOX, BAND)
    found = turned_coefficients(torch.from_numpy(image), points, ANGLES.double())
    x = np.arange(BOX) - BOX // 2
    for j in (0, 1, 5):
        kx, ky = turned_points(points, ANGLES.double())[j].numpy().T[..., None]
        wave_x, wave_y = np.exp(-2j * np.pi * kx * x / BOX), np.exp(-2j * np.pi * ky * x / BOX)
        np.testing.assert_allclose(found[j], np.einsum("yx,py,px->p", image, wave_y, wave_x), atol=1e-9)
    torch.testing.assert_close(found[0], to_half_plane(torch.from_numpy(image), points))


def test_turned_points_are_where_a_turned_slice_is_read():
    """`k @ (Rz(psi) A)` at turned points is `q @ A` at the points themselves: the slice is the same."""
    points, rotation = half_plane(BOX, 4), random_rotations(1, torch.Generator().manual_seed(1))[0]
    where = turned_points(points, ANGLES)
    turned = where @ (in_plane(ANGLES) @ rotation)[:, :2]
    torch.testing.assert_close(turned, (points.float() @ rotation[:2]).expand_as(turned), atol=1e-5, rtol=0)


def test_log_likelihoods_are_those_of_equation_3_at_turned_points(simulated, images):
    """Point by point in float64, both halves of the plane; with CTF, shifts, coloured noise and the soft edge."""
    shift = np.array([3.0, -2.0])
    state = state_of(images, [[0, 0], shift, [0, 0]], max_shift=9.0)
    image = ParticleImage(images, 1, state)
    lattice = map_to_hartley(simulated.density / simulated.noise_variance**0.5, 2) / BOX
    rotations, points = random_rotations(5, torch.Generator().manual_seed(3)), half_plane(BOX, BAND)
    shifts = image.shifts_about(image.pose_shift, BAND)
    found = image.compare(make_templates(lattice, rotations, points, 2), ANGLES, BAND, shifts)
    assert found.shape == (12, 9, 5)
    np.testing.assert_allclose(shifts[0], shift)
    picture = images.normalised(torch.tensor([1]))[0].numpy().astype(float) * images.mask.numpy() / BOX
    weights = (soft_edge(points, BAND) / torch.from_numpy(state.noise_of(1).copy())[shells(points)]).numpy()
    where = (points.double() @ rotations[:, :2].double()).numpy()[..., ::-1].reshape(-1, 3).T
    middle, x = lattice.shape[-1] // 2, (np.arange(BOX) - BOX // 2) / BOX
    at, mate = (map_coordinates(lattice.numpy().astype(float), middle + s * 2 * where, order=1) for s in (1, -1))
    slices = ((mate + at) / 2 + 1j * (mate - at) / 2).reshape(5, -1)
    expected = np.empty(found.shape)
    for j, read in enumerate(turned_points(points, ANGLES.double())):
        kx, ky = read.numpy().T[..., None]
        seen = np.einsum("yx,py,px->p", picture, np.exp(-2j * np.pi * ky * x), np.exp(-2j * np.pi * kx * x))
        factor = ctf(images.ctf_parameters[1].double(), read, images.extent).numpy()
        for t, move in enumerate(shifts.double()):
            model = slices * factor * shift_phases(move, read, images.extent).numpy()
            # Both halves of the plane, each over twice the variance; less the part that no pose changes.
            expected[j, t] = (2 * (abs(seen) ** 2 - abs(seen - model) ** 2) * weights / 2).sum(-1)
    assert np.ptp(expected) > 100
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.ptp(expected))


@pytest.mark.parametrize(("padding", "plain", "share"), [(1, True, 0.035), (2, True, 0.007), (2, False, 0.014)])
def test_turning_the_image_is_turning_the_slices(make_phantom, simulate, padding, plain, share):
    """At quarter turns exactly; in between up to what trilinear interpolation leaves open, and what the CTF spreads out
    of the box and noise that jumps from shell to shell."""
    simulated = simulate(make_phantom(BOX), count=3, snr=0.3, shift_sd=4.0, seed=2, ctf=not plain)
    images = PreparedImages(simulated.particles, PreparationSettings(noise="coloured"), torch.arange(3))
    noise = np.ones((1, BOX // 2), np.float32) if plain else images.noise.numpy()
    state = replace(state_of(images, np.zeros((3, 2)), max_shift=0.0), noise=noise)
    lattice = map_to_hartley(simulated.density / simulated.noise_variance**0.5, padding) / BOX
    rotations, points = random_rotations(40, torch.Generator().manual_seed(3)), half_plane(BOX, BAND)
    templates = make_templates(lattice, rotations, points, padding)
    found = ParticleImage(images, 0, state).compare(templates, ANGLES, BAND, torch.zeros(1, 2))
    every = make_templates(lattice, in_plane(ANGLES)[:, None] @ rotations, points, padding)
    weights = soft_edge(points, BAND) / torch.from_numpy(noise[0])[shells(points)]
    rows, count = torch.tensor([0]), band_size(images.points, BAND)
    direct = log_likelihoods(every, images.coefficients(rows, count), images.ctf(rows, count), weights)[0, 0]
    difference, extent = found[:, 0] - direct.reshape(12, 40), float(np.ptp(direct))
    assert extent > 100
    assert float(difference[::3].abs().max()) < 1e-5 * extent
    assert float(difference.std()) < share * extent
