"""Images of noise: halves that are apart show no resolution, where a shared reference makes one up."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_cryospin.engine.reconstruction import Reconstruction
from napari_cryospin.evaluation.fsc import fsc, spherical_mask
from napari_cryospin.particles import Particles
from napari_cryospin.settings import PRESETS

COUNT, BOX, PIXEL_SIZE = 200, 32, 4.0


@pytest.fixture(scope="module")
def particles() -> Particles:
    stack = np.random.default_rng(0).standard_normal((COUNT, BOX, BOX), dtype=np.float32)
    return Particles(
        stacks=(Path("memory.mrcs"),),
        stack_index=np.zeros(COUNT, np.int32),
        slice_index=np.arange(COUNT),
        box_sizes=np.full(COUNT, BOX, np.int32),
        pixel_sizes=np.full(COUNT, PIXEL_SIZE),
        contrast=np.ones(COUNT, np.float32),
        ctf=None,
        rotations=None,
        shifts=None,
        half_sets=None,
        optics_groups=np.zeros(COUNT, np.int32),
        source=Path("memory.star"),
        open_stack=lambda path: stack,
    )


def reconstruct(particles: Particles, half_sets: bool) -> Reconstruction:
    """All shells from the start, four epochs, the switch after two."""
    quick = PRESETS["quick"]
    settings = dataclasses.replace(
        quick,
        encoder=dataclasses.replace(quick.encoder, heads=2, shifts=False),
        volume=dataclasses.replace(quick.volume, first_band=BOX // 2 - 1, encoding_band=None),
        schedule=dataclasses.replace(quick.schedule, epochs=4, decoding_epochs=None, switch=2, batch_size=100),
        posterior=dataclasses.replace(quick.posterior, mates=False, search_at_switch=False),
        preparation=dataclasses.replace(quick.preparation, half_sets=half_sets),
        machine=dataclasses.replace(quick.machine, device="cpu"),
    )
    made = Reconstruction(particles, settings)
    while not made.finished:
        made.advance()
    assert made.switched_at == 2
    return made


def test_halves_of_noise_show_no_resolution(particles):
    results = reconstruct(particles, half_sets=True).results()
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
    fit = reconstruct(particles, half_sets=False).fits[0]
    with torch.no_grad():
        first, second = (part.numpy() for part in fit.volume.fold_maps())
    n = len(first)
    values = fsc(first, second, 1.0, spherical_mask(n, 0.44 * n, 0.06 * n)).values
    assert values[8 : BOX // 2].mean() > 0.143
