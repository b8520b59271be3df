"""Preparation: grey values, mask, noise, mixed optics, what was done to the images before."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_cryospin.engine.bad_images import BadImagesError
from napari_cryospin.engine.images import PreparedImages, circular_mask
from napari_cryospin.engine.used_rows import choose_rows
from napari_cryospin.particles import CTF_PARAMETERS
from napari_cryospin.physics.ctf import ctf
from napari_cryospin.physics.fourier import fourier_crop, from_half_plane, half_plane, map_to_hartley, to_half_plane
from napari_cryospin.physics.slicing import central_slices
from napari_cryospin.settings import PreparationSettings, Settings
from napari_cryospin.simulation.images import noise_images


def prepare(particles, **settings) -> PreparedImages:
    return PreparedImages(particles, PreparationSettings(**settings), torch.arange(len(particles)))


def images_of(prepared: PreparedImages) -> Tensor:
    """`(n, n, n)` prepared images in real space, without their zero frequency."""
    coefficients = prepared.coefficients(torch.arange(len(prepared))) * prepared.box_size
    return from_half_plane(coefficients, prepared.points, prepared.box_size)


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """`(k,)` normalised inner products of `(k, p)` complex coefficients."""
    return (a * b.conj()).sum(-1).real / (a.norm(dim=-1) * b.norm(dim=-1))


def test_background_gets_zero_mean_and_unit_variance(make_phantom, simulate):
    """Of the noise that was put in, whatever the images' grey scale."""
    simulated = simulate(make_phantom(64), count=40, snr=0.2)
    scaled = simulated.images * 17 + 300
    prepared = prepare(dataclasses.replace(simulated.particles, open_stack=lambda path: scaled))
    images = prepared.normalised(torch.arange(40))
    sd = simulated.noise_variance**0.5
    for picture, image in zip(images.numpy(), simulated.images, strict=True):
        scale, offset = np.polyfit(image.ravel(), picture.ravel(), 1)
        assert scale * sd == pytest.approx(1, abs=0.1)
        assert offset == pytest.approx(0, abs=0.15)
    plain = prepare(simulated.particles).coefficients(torch.arange(40))
    torch.testing.assert_close(prepared.coefficients(torch.arange(40)), plain, atol=1e-4, rtol=0)


def test_images_whose_grey_values_are_huge_are_prepared_all_the_same(make_phantom, simulate):
    particles = simulate(make_phantom(32), count=4, snr=0.5).particles
    images = particles.read_images(np.arange(4)).copy()
    plain = prepare(particles).coefficients(torch.arange(4))
    images[2] *= 1e25
    images[3, 3, 3] = 1e30
    found = prepare(dataclasses.replace(particles, open_stack=lambda path: images)).coefficients(torch.arange(4))
    torch.testing.assert_close(found[:3], plain[:3], rtol=1e-4, atol=1e-4)
    assert float((found[3] - plain[3]).abs().max()) < 0.1  # the pixel is replaced by its neighbours


def test_mask_is_soft_and_centred(make_phantom, simulate):
    mask = circular_mask(32, 10.0, 2.0)
    assert mask[16, 16] == 1
    assert mask[16, 26] == 1
    assert 0.45 < float(mask[16, 27]) < 0.55
    assert mask[16, 28] == 0
    assert torch.equal(mask, mask.T)
    particles = simulate(make_phantom(32), count=4, snr=0.5).particles
    prepared = prepare(particles, mask_radius=30.0)  # 10 px
    assert prepared.mask_radius == pytest.approx(10)
    images = images_of(prepared)
    outside = circular_mask(32, 13.0, 1.0) == 0
    inside = circular_mask(32, 9.0, 1.0) == 1
    assert float(images[:, outside].std(1).max()) < 0.15  # what the corners of the spectrum leave
    assert float(images[:, inside].std(1).min()) > 0.7


def expected_noise(box: int) -> Tensor:
    """`(shells,)` variance of a coefficient of `noise_images(coloured=True)`: the formula of the simulation."""
    line = torch.fft.fftfreq(box)
    power = 1 + 4 / (1 + (line[:, None] ** 2 + line**2) * 64)
    points = half_plane(box)
    at = (power / power.mean())[points[:, 1], points[:, 0]]
    shell = points.double().norm(dim=1).round().long()
    sums = torch.zeros(box // 2).index_add_(0, shell, at)
    return (sums / torch.bincount(shell, minlength=box // 2).clamp(min=1))[1:]


@pytest.mark.parametrize("coloured", [False, True])
def test_noise_is_measured_as_it_was_simulated(coloured, make_phantom, simulate):
    clean = simulate(make_phantom(32), count=600, snr=None).particles
    noise = noise_images(600, 32, 30.0, np.random.default_rng(1), coloured=coloured).numpy()
    noise += clean.read_images(np.arange(600))
    particles = dataclasses.replace(clean, open_stack=lambda path: noise)
    measured = prepare(particles).noise[0]
    expected = expected_noise(32) if coloured else torch.ones(15)
    assert measured.shape == (16,)
    # The window's edge mixes neighbouring shells; the innermost also lose what the mean took away.
    torch.testing.assert_close(measured[4:], expected[3:], rtol=0.08, atol=0)
    torch.testing.assert_close(measured[1:4], expected[:3], rtol=0.35, atol=0)
    one = prepare(particles, noise="white").noise[0]
    assert len(one.unique()) == 1
    assert float(one[0]) == pytest.approx(float(measured[prepare(particles).shell].mean()), rel=0.02)


def test_noise_of_cropped_images_is_right_up_to_the_last_shell(make_phantom, simulate):
    """Nothing leaks in from beyond the band, where there is no noise any more: that must not look like less noise."""
    noise = noise_images(400, 48, 9.0, np.random.default_rng(2), coloured=False)
    stack = noise.numpy()
    particles = simulate(make_phantom(48), count=400, snr=None).particles
    prepared = prepare(dataclasses.replace(particles, open_stack=lambda path: stack), box=32)
    cropped = fourier_crop(noise, 32)
    truth = float(to_half_plane(cropped, prepared.points).abs().square().mean()) / 32**2 / float(cropped.var())
    assert truth == pytest.approx(32**2 / (2 * len(prepared.points) + 1), rel=0.01)
    torch.testing.assert_close(prepared.noise[0, 4:], torch.full((12,), truth), rtol=0.06, atol=0)


def test_prepared_projections_are_the_models(make_phantom, simulate):
    """What the forward model makes of the true map and poses is what preparation makes of the images."""
    simulated = simulate(make_phantom(32), count=10, snr=50.0, shift_sd=4.0)
    particles = simulated.particles
    prepared = prepare(particles)
    lattice = map_to_hartley(simulated.density, 2) / 32
    rows = torch.arange(10)
    slices = central_slices(lattice, torch.from_numpy(particles.rotations).float(), prepared.points, 2)
    angle = 2 * torch.pi / 96 * torch.from_numpy(particles.shifts).float() @ prepared.points.float().T
    model = slices * prepared.ctf(rows) * torch.polar(torch.ones(()), angle)
    assert float(correlation(prepared.coefficients(rows), model).min()) > 0.97
    for wrong in (slices * prepared.ctf(rows), slices * torch.polar(torch.ones(()), angle)):
        assert float(correlation(prepared.coefficients(rows), wrong).median()) < 0.9


def test_working_box_keeps_the_field_of_view(make_phantom, simulate):
    particles = simulate(make_phantom(32), count=5, snr=1.0).particles
    small = prepare(particles, box=24)
    assert (small.box_size, small.pixel_size, small.extent) == (24, 4.0, 96.0)
    large = prepare(particles)
    count = len(small.points)
    assert torch.equal(small.points, large.points[:count])
    # The same transform; normalised by what is left of the noise.
    alike = correlation(small.coefficients(torch.arange(5)), large.coefficients(torch.arange(5), count))
    assert float(alike.min()) > 0.99
    torch.testing.assert_close(small.ctf(torch.arange(5)), large.ctf(torch.arange(5), count))
    with pytest.raises(ValueError, match="box 34 px is larger than the particles' 32 px"):
        prepare(particles, box=34)


def test_constant_background_is_refused(make_phantom, simulate):
    simulated = simulate(make_phantom(32), count=3, snr=1.0)
    images = simulated.images.copy()
    images[1] = 0
    images[1, 14:18, 14:18] = 1
    particles = dataclasses.replace(simulated.particles, open_stack=lambda path: images)
    with pytest.raises(BadImagesError, match=r"particle 2 \(image 2 of memory.mrcs\): grey values do not vary outside"):
        prepare(particles)


def test_contrast(make_phantom, simulate):
    particles = simulate(make_phantom(32), count=5, snr=1.0).particles
    rows = torch.arange(5)
    upright = prepare(particles).coefficients(rows)
    assert torch.equal(prepare(particles, invert_contrast=True).coefficients(rows), -upright)
    assert torch.equal(prepare(particles.with_contrast(-1)).coefficients(rows), -upright)
    assert torch.equal(prepare(particles.with_contrast(-1), invert_contrast=True).coefficients(rows), upright)


@pytest.mark.parametrize("kind", ["plain", "phase_flipped", "ctf_premultiplied"])
def test_images_that_were_ctf_corrected(kind, make_phantom, simulate):
    """Phases flipped: the model is |CTF|; multiplied by the CTF: its square. A wrong flag is a wrong model."""
    simulated = simulate(make_phantom(32), count=40, snr=30.0)
    columns = [torch.from_numpy(getattr(simulated.particles.ctf, name)) for name in CTF_PARAMETERS]
    points = half_plane(32)
    factor = ctf(torch.stack(columns, -1).float(), points, 96.0)
    factor = {"plain": torch.ones_like(factor), "phase_flipped": factor.sign(), "ctf_premultiplied": factor}[kind]
    spectrum = torch.fft.rfft2(torch.from_numpy(simulated.images))
    kx, ky = points.unbind(-1)
    whole = torch.zeros_like(spectrum)
    whole[:, ky % 32, kx] = spectrum[:, ky % 32, kx] * factor
    axis = kx == 0
    whole[:, -ky[axis] % 32, 0] = whole[:, ky[axis], 0].conj()
    images = torch.fft.irfft2(whole, s=(32, 32)).numpy()
    flags = {} if kind == "plain" else {kind: True}
    particles = dataclasses.replace(simulated.particles, open_stack=lambda path: images, **flags)
    prepared, rows = prepare(particles), torch.arange(40)
    lattice = map_to_hartley(simulated.density, 2)
    slices = central_slices(lattice, torch.from_numpy(particles.rotations).float(), points, 2)
    right = correlation(prepared.coefficients(rows), slices * prepared.ctf(rows)).mean()
    assert float(right) > 0.95
    for other in ({}, {"phase_flipped": True}, {"ctf_premultiplied": True}):
        if other != flags:
            wrong = prepare(dataclasses.replace(simulated.particles, **other)).ctf(rows)
            assert float(correlation(prepared.coefficients(rows), slices * wrong).mean()) < float(right) - 0.03


def test_without_ctf_the_factor_is_one(make_phantom, simulate):
    particles = simulate(make_phantom(16), count=3, snr=1.0, ctf=False).particles
    prepared = prepare(particles)
    assert torch.equal(prepared.ctf(torch.arange(3), 7), torch.ones(3, 7))


def test_without_a_cache_the_batches_are_the_same(make_phantom, simulate):
    particles = simulate(make_phantom(16), count=50, snr=1.0, noise="coloured").particles
    kept, fresh = prepare(particles), prepare(particles, cache=0.0)
    assert kept._cache is not None
    assert fresh._cache is None
    rows = torch.tensor([31, 2, 2, 49])
    torch.testing.assert_close(fresh.coefficients(rows, 30), kept.coefficients(rows, 30), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(fresh.noise, kept.noise, rtol=1e-5, atol=0)
    assert torch.equal(fresh.ctf(rows), kept.ctf(rows))


def test_subset_and_half_sets(make_phantom, simulate):
    particles = simulate(make_phantom(16), count=40, snr=1.0).particles

    def rows_of(chosen=particles, seed=0, **settings):
        choice = Settings(preparation=PreparationSettings(**settings))
        return choose_rows(chosen, choice, torch.Generator().manual_seed(seed))

    assert torch.equal(rows_of()[0], torch.arange(40))
    (part,) = rows_of(subset=15)
    assert len(part.unique()) == 15
    assert torch.equal(part, rows_of(subset=15)[0])
    assert not torch.equal(part, rows_of(subset=15, seed=1)[0])
    assert torch.equal(rows_of(subset=99)[0], torch.arange(40))
    first, second = rows_of(subset=15, half_sets=True)
    assert sorted(torch.cat((first, second)).tolist()) == part.tolist()
    assert abs(len(first) - len(second)) == 1
    named = dataclasses.replace(particles, half_sets=np.repeat([2, 1], [30, 10]).astype(np.int8))
    first, second = rows_of(named, half_sets=True)
    assert torch.equal(first, torch.arange(30, 40))
    assert torch.equal(second, torch.arange(30))
    with pytest.raises(ValueError, match="one of the half sets holds none"):
        rows_of(dataclasses.replace(particles, half_sets=np.ones(40, np.int8)), half_sets=True)
    prepared = PreparedImages(particles, PreparationSettings(), part)
    whole = prepare(particles)
    torch.testing.assert_close(prepared.coefficients(torch.arange(15)), whole.coefficients(part))
    torch.testing.assert_close(prepared.ctf(torch.arange(15)), whole.ctf(part))
