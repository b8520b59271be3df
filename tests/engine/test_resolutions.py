"""Bands that are given as resolutions in Angstrom: conversion to shells, and what is refused."""

import dataclasses
import subprocess
import sys

import pytest

from napari_cryospin.engine.bands import Band, Stairs
from napari_cryospin.engine.resolutions import BandLimits, resolution_problems, shells_for
from napari_cryospin.settings import PRESETS, VolumeSettings, settings_from

BOX, EXTENT = 80, 240.0


def limits(**volume) -> BandLimits:
    return BandLimits.of(VolumeSettings(**volume), BOX, EXTENT)


def test_the_conversion_needs_no_torch():
    code = "import sys, napari_cryospin.engine.resolutions as r; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("pixel_size", [0.83, 1.05, 3.0])
@pytest.mark.parametrize("shells", range(2, 41))
def test_the_resolution_of_a_shell_is_that_shell(pixel_size, shells):
    extent = BOX * pixel_size
    assert shells_for(extent / shells, extent) == shells
    assert shells_for(extent / shells * 1.001, extent) == shells - 1  # nothing finer than asked
    assert shells_for(extent / shells * 0.999, extent) == shells


def test_each_stage_has_its_resolution():
    assert limits() == BandLimits(39, 39, 39)
    assert limits(first_resolution=60.0, encoding_resolution=20.0, last_resolution=8.0) == BandLimits(4, 12, 30)
    assert limits(first_resolution=60.0) == BandLimits(4, 39, 39)
    assert limits(first_band=4, encoding_resolution=20.0) == BandLimits(4, 12, 39)
    assert limits(last_resolution=6.0) == BandLimits(39, 39, 39)  # Nyquist itself: all shells there are


def test_the_stop_limits_shells_too():
    assert limits(first_band=4, encoding_band=11, last_resolution=40.0) == BandLimits(4, 6, 6)


@pytest.mark.parametrize("name", ["first_resolution", "encoding_resolution", "last_resolution"])
@pytest.mark.parametrize("value", [5.9, 121.0])
def test_what_the_box_cannot_hold_is_refused_with_its_limits(name, value):
    (problem,) = resolution_problems(VolumeSettings(**{name: value}), BOX, EXTENT)
    assert f"{name.replace('_', ' ')} {value:g} A; expected 6 to 120 A" in problem
    with pytest.raises(ValueError, match=f"{name.replace('_', ' ')} {value:g} A; expected 6 to 120 A"):
        limits(**{name: value})


def test_all_wrong_resolutions_are_named_at_once():
    with pytest.raises(ValueError, match=r"first resolution 500 A.*last resolution 2 A"):
        limits(first_resolution=500.0, last_resolution=2.0)


def test_a_start_that_is_finer_than_the_first_stage_is_refused():
    with pytest.raises(ValueError, match=r"the first band is 24 shells \(10 A\).*11 shells \(21.8 A\)"):
        limits(first_resolution=10.0, encoding_band=11)


def test_a_preset_s_shells_give_way_to_a_resolution():
    settings = settings_from("quick", encoding_resolution=20.0)
    assert (settings.volume.first_band, settings.volume.encoding_band) == (4, None)
    assert settings_from("quick", volume={"encoding_resolution": 20.0}) == settings
    assert settings_from("quick", encoding_resolution=None) == PRESETS["quick"]
    with pytest.raises(ValueError, match="encoding_resolution is 20 A and encoding_band 11 shells; expected only one"):
        settings_from("quick", encoding_resolution=20.0, encoding_band=11)


def test_the_bands_of_a_fit_follow():
    volume = settings_from("quick", first_resolution=60.0, encoding_resolution=20.0, last_resolution=8.0).volume
    band = Band.of(volume, BOX, EXTENT)
    assert (band.now, band.encoding, band.full) == (4, 12, 30)
    stairs = Stairs.of(volume, band)
    assert [stairs(step, band) for step in (0, 10, 20, 40)] == [4, 6, 9, 12]
    still = dataclasses.replace(volume, first_resolution=None)
    whole = Band.of(still, BOX, EXTENT)
    schedule = Stairs.of(still, whole)
    assert schedule(0, whole) == whole.now == whole.encoding
    whole.encoding += 3  # The posterior asked for more.
    assert schedule(1000, whole) == whole.encoding
