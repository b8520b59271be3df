"""Hot and dead pixels are found, counted and replaced; noise and particles are left as they are."""

import numpy as np
import pytest

from napari_cryospin.engine.hot_pixels import replace_hot_pixels


def noise(count: int = 50, box: int = 32) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, box, box)).astype(np.float32)


def test_noise_is_left_as_it_is() -> None:
    images = noise(500)
    assert not replace_hot_pixels(images).any()
    np.testing.assert_array_equal(images, noise(500))


@pytest.mark.parametrize("value", [30, -30, 1e4, 1e30, -1e30])
def test_single_pixels(value) -> None:
    images, rng = noise(), np.random.default_rng(1)
    places = rng.integers(0, 32, (50, 2))
    places[:4] = [(0, 0), (31, 31), (0, 17), (9, 31)]
    every = np.arange(50)
    images[every, places[:, 0], places[:, 1]] = value
    np.testing.assert_array_equal(replace_hot_pixels(images), np.ones(50))
    changed = images != noise()
    assert changed.sum() == 50
    assert np.abs(images[changed]).max() < 2.5  # the median of eight values of noise
    assert images[changed].std() < 0.7


CLUSTERS = {"pair": (1, 2), "square": (2, 2), "nine": (3, 3), "column": (32, 1), "row": (1, 32)}


@pytest.mark.parametrize("name", CLUSTERS)
def test_clusters_and_columns(name) -> None:
    height, width = CLUSTERS[name]
    images, top, left = noise(20, 64), 0 if height == 32 else 9, 0 if width == 32 else 9
    images[:, top : top + height, left : left + width] += 80
    np.testing.assert_array_equal(replace_hot_pixels(images), np.full(20, height * width))
    assert np.abs(images).max() < 6


def test_many_single_pixels() -> None:
    images = noise(20)
    hot = np.random.default_rng(2).random(images.shape) < 0.01
    images[hot] -= 60
    np.testing.assert_array_equal(replace_hot_pixels(images), hot.sum((1, 2)))
    assert np.abs(images).max() < 6


@pytest.mark.parametrize("snr", [0.1, 1.0, 10.0, 100.0])
@pytest.mark.parametrize("box", [16, 32, 64])
def test_particles_are_left_as_they_are(make_phantom, simulate, snr, box) -> None:
    simulated = simulate(make_phantom(box), count=100, snr=snr)
    images = simulated.images / np.float32(simulated.noise_variance**0.5)
    assert not replace_hot_pixels(images.copy()).any()


def test_sharp_peaks_are_left_as_they_are() -> None:
    """A bead of two pixels at half its height."""
    line = (np.arange(32) - 16) ** 2 / (2 * 0.85**2)
    images = noise() + 40 * np.exp(-line[:, None] - line).astype(np.float32)
    assert not replace_hot_pixels(images).any()


def test_a_hot_pixel_on_a_particle_is_found(make_phantom, simulate) -> None:
    simulated = simulate(make_phantom(32), count=40, snr=1.0)
    images = simulated.images / np.float32(simulated.noise_variance**0.5)
    before = images.copy()
    images[:, 15, 17] += 100
    np.testing.assert_array_equal(replace_hot_pixels(images), np.ones(40))
    assert np.abs(images - before).max() < 8
