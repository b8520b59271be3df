"""What a run is said to take, against the formula and against what runs were measured to take."""

import dataclasses
import inspect
import subprocess
import sys

import numpy as np
import pytest
import torch

from napari_cryospin.engine.defaults import DEFAULT_BOX, DEFAULT_MASK_RADIUS, working_box
from napari_cryospin.engine.memory import (
    ENCODER_BYTES,
    LATTICE_NUMBERS,
    data_memory,
    encoder_memory,
    image_memory,
    run_memory,
    volume_memory,
)
from napari_cryospin.models.wiener_volume import WienerVolume
from napari_cryospin.physics.fourier import half_plane
from napari_cryospin.settings import PRESETS, PreparationSettings, Settings


def with_box(**preparation: object) -> Settings:
    return Settings(preparation=PreparationSettings(**preparation))


def test_memory() -> None:
    """Half a plane of complex64 an image, where the cache holds them all; volume and its Adam moments."""
    volume = 8 * 4 * (with_box().volume.padding * 64 + 1) ** 3 / 2**30
    images = 5000 * np.pi * 32**2 / 2 * 8 / 2**30
    assert data_memory(5000, 64, with_box()) == pytest.approx(images + volume)
    assert data_memory(10**7, 64, with_box(cache=2.0)) == pytest.approx(volume)
    assert data_memory(5000, 64, with_box(half_sets=True)) == pytest.approx(images + 2 * volume)


def test_each_class_has_a_volume() -> None:
    quick = PRESETS["quick"]
    several = dataclasses.replace(quick, volume=dataclasses.replace(quick.volume, classes=3))
    more = data_memory(5000, 64, several) - data_memory(5000, 64, quick)
    assert more == pytest.approx(2 * volume_memory(64, quick))


@pytest.mark.parametrize(("box", "measured"), [(64, 0.93), (128, 2.26)])
def test_memory_of_the_quick_preset(box: int, measured: float) -> None:
    """Against the peak of whole runs of 5,000 particles (docs/benchmarks.md#memory)."""
    quick = PRESETS["quick"]
    assert run_memory(5000, box, quick) == pytest.approx(measured, rel=0.15)


def test_memory_of_the_encoder() -> None:
    """A batch of the images that it sees; a peak of 1.15 GiB was measured."""
    settings = PRESETS["paper-synthetic"]
    assert encoder_memory(200, 64, settings) == pytest.approx(0.6, abs=0.1)
    assert encoder_memory(200, 128, settings) == pytest.approx(4 * encoder_memory(200, 64, settings))
    assert encoder_memory(16, 64, settings) == pytest.approx(encoder_memory(200, 64, settings) / 4)
    assert encoder_memory(5000, 128, PRESETS["quick"]) < 0.05


def test_every_volume_and_every_trunk_is_counted() -> None:
    assert {settings.volume.volume_update for settings in PRESETS.values()} == set(LATTICE_NUMBERS)
    assert {settings.encoder.trunk for settings in PRESETS.values()} == set(ENCODER_BYTES)


def test_images_are_counted_as_they_are_kept() -> None:
    kept = len(half_plane(64)) * torch.complex64.itemsize
    assert image_memory(1000, 64) * 2**30 == pytest.approx(1000 * kept, rel=0.08)


def test_sums_of_the_closed_form_are_a_quarter_of_what_it_is_said_to_take() -> None:
    """Two sums of each fold are kept between updates, on the whole lattice once the band is the widest."""
    volume = WienerVolume(32, padding=2, first_band=15, mask_radius=0.45)
    sums = volume.sums.nbytes
    assert volume_memory(32, PRESETS["quick"]) * 2**30 == pytest.approx(LATTICE_NUMBERS["wiener"] / 4 * sums, rel=0.01)


def test_the_estimate_loads_no_torch() -> None:
    code = (
        "import sys, napari_cryospin.engine.memory, napari_cryospin.checks.preflight; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_default_box_and_mask_are_those_of_the_help() -> None:
    told = inspect.getsource(PreparationSettings)
    assert f"at most {DEFAULT_BOX}." in told
    assert f"Default: {DEFAULT_MASK_RADIUS:g} of the box." in told
    assert [working_box(PreparationSettings(box=box), 200) for box in (None, 64)] == [DEFAULT_BOX, 64]
    assert working_box(PreparationSettings(), 96) == 96
