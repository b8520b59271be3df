"""Images of noise: halves that are apart show no resolution, where a shared reference makes one up."""

import dataclasses

import numpy as np
import pytest

from napari_cryospin.particles import Particles
from napari_cryospin.settings import PRESETS, Settings
from support.scripts import load_script
from support.simulated import in_memory

pure_noise = load_script("benchmarks/pure_noise.py")

COUNT, BOX, PIXEL_SIZE = 200, 32, 4.0


@pytest.fixture(scope="module")
def particles() -> Particles:
    stack = np.random.default_rng(0).standard_normal((COUNT, BOX, BOX), dtype=np.float32)
    return in_memory(stack, PIXEL_SIZE)


def settings_for(half_sets: bool) -> Settings:
    """All shells from the start, four epochs, the switch after two."""
    quick = PRESETS["quick"]
    return dataclasses.replace(
        quick,
        encoder=dataclasses.replace(quick.encoder, heads=2, shifts=False),
        volume=dataclasses.replace(quick.volume, first_band=BOX // 2 - 1, encoding_band=None),
        schedule=dataclasses.replace(quick.schedule, epochs=4, decoding_epochs=None, switch=2, batch_size=100),
        posterior=dataclasses.replace(quick.posterior, mates=False, search_at_switch=False),
        preparation=dataclasses.replace(quick.preparation, half_sets=half_sets),
        machine=dataclasses.replace(quick.machine, device="cpu"),
    )


def test_halves_of_noise_show_no_resolution(particles):
    reconstruction = pure_noise.reconstruct(particles, settings_for(half_sets=True))
    assert reconstruction.switched_at == 2
    results = reconstruction.results()
    outer = slice(8, BOX // 2)
    assert results.fsc["unmasked"][outer].mean() < 0.1
    assert results.fsc["unmasked"][outer].max() < 0.143
    assert results.fsc["corrected"][outer].mean() < 0.1
    assert np.isnan(results.resolution)
    assert "could not be laid on each other" in results.notes[0]
    assert results.sharpened_map is None
    np.testing.assert_array_equal(results.map, results.half_maps[0])  # no mean of maps that share nothing


def test_a_shared_reference_makes_one_up(particles):
    """The control: the same noise, folds of one run, and agreement where there is nothing to agree on."""
    _, values = pure_noise.shared_reference(particles, settings_for(half_sets=False))
    assert values[8 : BOX // 2].mean() > 0.143
