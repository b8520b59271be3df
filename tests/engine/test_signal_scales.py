"""Scales of the signal: estimates against the scales that images were made with; groups that share noise or scale."""

import dataclasses

import numpy as np
import pytest
import torch

from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.engine.noise import Noise
from napari_cryospin.engine.signal_groups import LEAST_NOISE_IMAGES, noise_groups, scale_levels
from napari_cryospin.engine.signal_scales import estimate_scales, first_scales, shrunk
from napari_cryospin.particles import Picks
from napari_cryospin.settings import PRESETS, PreparationSettings


def drawn(scales: torch.Tensor, power: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Overlaps and powers as images of these scales have: the overlap's variance is half the power."""
    powers = torch.full_like(scales, power)
    noise = torch.randn(len(scales), generator=torch.Generator().manual_seed(seed))
    return scales * powers + noise * (powers / 2).sqrt(), powers


def error(found: torch.Tensor, true: torch.Tensor) -> float:
    return float((found / (true / true.mean()) - 1).square().mean().sqrt())


def test_values_are_drawn_towards_their_means_by_how_much_they_differ():
    generator = torch.Generator().manual_seed(1)
    means, variances = torch.full((4000,), 3.0), torch.full((4000,), 4.0)
    same = means + 2 * torch.randn(4000, generator=generator)
    torch.testing.assert_close(shrunk(same, variances, means), means, atol=0.3, rtol=0)
    true = means + torch.randn(4000, generator=generator)
    found = shrunk(true + 2 * torch.randn(4000, generator=generator), variances, means)
    # The expectation of a normal distribution of variance 1 observed with variance 4 has an error of variance 0.8.
    assert float((found - true).square().mean()) == pytest.approx(0.8, abs=0.05)


def test_scales_of_two_groups_of_different_noise_are_found():
    group = torch.arange(400) % 2
    true = torch.where(group == 1, 0.5, 2.0)
    overlap, power = drawn(true, 4.0)
    found = estimate_scales(overlap, power, [group])
    assert error(found, true) < 0.03
    assert len(found.unique()) == 2
    assert float(found.mean()) == pytest.approx(1)


def test_single_images_are_drawn_towards_their_micrograph():
    micrograph = torch.arange(2000) // 20
    generator = torch.Generator().manual_seed(2)
    of_micrograph = torch.randn(100, generator=generator).mul(0.5).exp()[micrograph]
    true = of_micrograph * torch.randn(2000, generator=generator).mul(0.1).exp()
    overlap, power = drawn(true, 20.0)
    levels = [torch.zeros(2000, dtype=torch.long), micrograph]
    with_level = error(estimate_scales(overlap, power, [*levels, torch.arange(2000)]), true)
    alone = error(estimate_scales(overlap, power, [torch.arange(2000)]), true)
    assert with_level < 0.6 * alone
    assert with_level < error(estimate_scales(overlap, power, levels), true)


def test_a_map_that_says_nothing_gives_no_scales():
    overlap, power = drawn(torch.zeros(300), 5.0)
    assert estimate_scales(overlap, power, [torch.zeros(300, dtype=torch.long)]) is None


def test_images_that_were_not_compared_yet_get_the_scale_of_their_group():
    group = torch.arange(200) % 2
    overlap, power = drawn(torch.where(group == 1, 0.5, 1.5), 30.0)
    overlap[:20] = power[:20] = torch.nan
    found = estimate_scales(overlap, power, [group, torch.arange(200)])
    torch.testing.assert_close(found[:20], torch.where(group[:20] == 1, 0.5, 1.5), rtol=0.05, atol=0)


def picked(index: np.ndarray) -> Picks:
    """Micrographs of a number each."""
    names = tuple(f"{number}.mrc" for number in range(index.max() + 1))
    return Picks(micrographs=names, micrograph_index=index.astype(np.int32), coordinates=None, sizes=None)


@pytest.fixture(scope="module")
def uneven(make_phantom, simulate):
    """300 particles in two optics groups: the second has four times the noise variance."""
    made = simulate(make_phantom(24), count=300, snr=2.0, noise="white")
    group = (np.arange(300) % 2).astype(np.int32)
    clean = made.particles.read_images(np.arange(300))
    noise = (
        np.random.default_rng(3).normal(0, clean.std(), clean.shape)
        * np.where(group == 1, np.sqrt(3.0), 0)[:, None, None]
    )
    images = (clean + noise).astype(np.float32)
    return dataclasses.replace(
        made.particles,
        optics_groups=group,
        picks=picked(np.arange(300) // 30),
        open_stack=lambda path: images,
    )


def test_power_above_the_noise_tells_scales_before_there_is_a_map(uneven):
    images = PreparedImages(uneven, PreparationSettings(), torch.arange(300))
    levels = scale_levels(uneven, torch.arange(300))
    found = first_scales(images, levels)
    ratio = float(found[0::2].mean() / found[1::2].mean())
    variances = np.array([1 / 3, 1 / 3 + 3])  # of the noise, in units of the images' variance at SNR 2
    assert ratio == pytest.approx(np.sqrt(variances[1] / variances[0]), rel=0.2)


def test_groups_have_noise_of_their_own(uneven):
    assert noise_groups(uneven).tolist() == [0, 1] * 150
    many = dataclasses.replace(uneven, picks=picked(np.arange(300) // (2 * LEAST_NOISE_IMAGES)))
    # The first micrograph has enough images in either optics group; the rest of each group stays together.
    assert len(np.unique(noise_groups(many))) == 4
    noise = Noise.of(torch.tensor([[1.0, 1.0], [4.0, 4.0]]), torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]))
    where, images = torch.tensor([1, 0]), torch.zeros(2, 3, dtype=torch.complex64)
    assert noise.weights(where, 3).tolist() == [[0.25] * 3, [1.0] * 3]
    noise.observe(where, images + torch.tensor([3.0, 2.0])[:, None], images)
    assert noise.residual.tolist() == [[4.0, 4.0], [9.0, 9.0]]
    torch.testing.assert_close(noise.weights(where, 3), torch.tensor([1 / 9, 1 / 4])[:, None].expand(2, 3))


@pytest.mark.parametrize("scales", ["none", "group"])
def test_the_model_is_scaled_as_the_settings_say(uneven, scales):
    settings = dataclasses.replace(PRESETS["quick"], volume=dataclasses.replace(PRESETS["quick"].volume, scales=scales))
    images = PreparedImages(uneven, PreparationSettings(), torch.arange(300))
    fit = Fit(images, settings, torch.Generator().manual_seed(0), uses_encoder=False)
    assert (float(fit.particles.scale.std()) > 0) == (scales == "group")
    batch = fit.batch(torch.arange(6), 4)
    expected = images.ctf(torch.arange(6), len(batch.points)) * fit.particles.scale[:6, None]
    torch.testing.assert_close(batch.ctf, expected)
    fit.particles.overlap[:], fit.particles.power[:] = 500.0 + torch.arange(300), 100.0
    before = fit.particles.scale.clone()
    fit.update_scales(particles_differ=True)
    assert torch.equal(fit.particles.scale, before) == (scales == "none")
