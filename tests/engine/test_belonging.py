"""The probability of belonging: junk of known kinds against particles, on images made by the model itself."""

import torch

from napari_cryospin.engine.belonging import HYPOTHESES, belonging, hypothesis_odds, slice_power
from napari_cryospin.engine.particle_state import ParticleState
from napari_cryospin.geometry.so3 import random_rotations
from napari_cryospin.physics import fourier
from napari_cryospin.physics.slicing import central_slices

BOX, SNR = 32, 0.3


def images_of(make_phantom, count: int = 200):
    """Slices of a map `(n, p)` in two random sets of views, the slices' power, and noise of unit variance."""
    points = fourier.half_plane(BOX)
    lattice = fourier.map_to_hartley(make_phantom(BOX).float() / BOX)
    generator = torch.Generator().manual_seed(0)
    slices = [central_slices(lattice, random_rotations(count, generator), points) for _ in range(2)]
    strength = (SNR * BOX**2 / (2 * slices[0].abs().square().sum(-1).mean())).sqrt()
    noise = torch.randn(count, len(points), generator=generator, dtype=torch.complex64)
    power = slice_power(lattice * strength, 1, points, fourier.shells(points))
    return slices[0] * strength, slices[1] * strength, noise, power


def test_power_of_slices_is_their_mean_square(make_phantom):
    first, second, _, power = images_of(make_phantom, 400)
    mean = torch.cat((first, second)).abs().square().mean(0)
    shell = fourier.shells(fourier.half_plane(BOX))
    for one in (2, 5, 9):
        torch.testing.assert_close(power[shell == one].mean(), mean[shell == one].mean(), rtol=0.25, atol=0)


def test_particles_are_told_from_noise_lumps_and_overlapping_particles(make_phantom):
    model, other, noise, power = images_of(make_phantom)
    points = fourier.half_plane(BOX)
    lump = other.abs().mean(0).square().mean().sqrt() * 6 * torch.exp(-points.square().sum(-1) / 8.0)
    shown = {"particle": model + noise, "noise": noise, "lump": lump + noise, "two": model + other + noise}
    ones = torch.ones(len(noise), len(points))
    odds = {name: hypothesis_odds(image, model, ones, ones, power, 1.0) for name, image in shown.items()}
    # What is no particle still has the best of many poses: a projection that correlates with it by chance.
    found = belonging(torch.cat(list(odds.values()))).reshape(4, -1)
    belongs = dict(zip(shown, found, strict=True))
    assert float(belongs["particle"].median()) > 0.99
    for junk in ("noise", "lump", "two"):
        assert float((belongs[junk] < 0.5).float().mean()) > 0.95, junk


def test_all_particles_belong_where_there_is_no_junk(make_phantom):
    model, _, noise, power = images_of(make_phantom)
    ones = torch.ones(noise.shape)
    odds = hypothesis_odds(model + noise, model, ones, ones, power, 1.0)
    assert odds.shape == (len(noise), HYPOTHESES)
    assert float(belonging(odds).min()) > 0.9


def compared(images: torch.Tensor, model: torch.Tensor, power: torch.Tensor):
    """Odds, overlap and power of images `(n, p)` with their models at the scale that fits best."""
    overlap, of = (images * model.conj()).real.sum(-1), model.abs().square().sum(-1)
    ones = torch.ones(images.shape)
    return hypothesis_odds(images, (overlap / of)[:, None] * model, ones, ones, power, 1.0), overlap, of


def test_what_is_like_a_particle_by_chance_is_told_by_its_scale(make_phantom):
    """As the best of many poses explains a part of a lump; among particles of one scale it is none."""
    model, _, noise, power = images_of(make_phantom)
    weak = torch.arange(len(noise)) % 4 == 0
    images = torch.where(weak, 0.3, 1.0)[:, None] * model + noise
    odds, overlap, of = compared(images, model, power)
    by_scale = belonging(odds, overlap, of)
    assert float((belonging(odds)[weak] > 0.5).float().mean()) > 0.4  # By what is explained alone.
    assert float((by_scale[weak] < 0.5).float().mean()) > 0.95
    assert float((by_scale[~weak] > 0.5).float().mean()) > 0.99


def test_particles_of_very_different_scales_belong_all_the_same(make_phantom):
    model, _, noise, power = images_of(make_phantom)
    scale = (0.5 * torch.randn(len(noise), 1, generator=torch.Generator().manual_seed(1))).exp()
    odds, overlap, of = compared(scale * model + noise, model, power)
    strong = overlap.square() / of > 40  # Enough to be told from noise.
    assert strong.float().mean() > 0.7
    assert float((belonging(odds, overlap, of)[strong] > 0.9).float().mean()) > 0.98


def test_a_map_that_fits_few_images_still_learns_from_all():
    particles = ParticleState.of(torch.eye(3).repeat(100, 1, 1), torch.zeros(100), 1)
    particles.record_belonging(torch.arange(100), torch.linspace(0, 1, 100))
    assert torch.equal(particles.trust, particles.belongs)
    particles.record_belonging(torch.arange(100), torch.linspace(0, 0.3, 100))
    assert float(particles.belongs.max()) < 0.31
    assert torch.equal(particles.trust, torch.ones(100))
