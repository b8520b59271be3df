"""The rule by which the band of the first stage grows further, with inputs made by hand; and in tiny runs."""

import dataclasses
import io
import subprocess
import sys

import numpy as np
import pytest
import torch

from napari_cryospin.engine import band_growth, growth
from napari_cryospin.engine.band_growth import fold_correlation, without_radial_average
from napari_cryospin.engine.growth import agreed_band, asks_for_more, next_band
from napari_cryospin.engine.reconstruction import Reconstruction
from napari_cryospin.geometry.so3 import random_rotations
from napari_cryospin.settings import PRESETS, Settings, settings_from
from support.same_state import assert_same

COUNT, BOX = 80, 24


def test_the_rule_needs_no_torch():
    code = "import sys, napari_cryospin.engine.growth; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_stairs():
    bands = [11]
    while bands[-1] < 22:
        bands.append(next_band(bands[-1], 22))
    assert bands == [11, 14, 18, 22]
    assert next_band(11, 12) == 12  # never past the largest


@pytest.mark.parametrize(
    ("entropies", "asks"),
    [
        ([2.0, 2.0], False),  # too early to know
        ([2.0, 2.0, 2.0], True),  # uncertain, and it stays so
        ([2.0, 1.5, 1.1], False),  # still falling
        ([3.0, 0.85, 0.8, 0.8], True),  # it fell, and stopped
        ([0.4, 0.4, 0.4], False),  # certain
        ([0.51, 0.5, 0.5], False),  # just certain
        ([0.8, 0.9, 1.0], True),  # rising
        ([float("nan")] * 4, False),  # not known
        ([], False),
    ],
)
def test_who_asks_for_more(entropies, asks):
    assert asks_for_more(entropies) is asks


@pytest.mark.parametrize(
    ("beyond", "most", "agreed"),
    [
        ([0.9, 0.5, 0.4] + 8 * [0.0], 22, 14),
        ([0.9, 0.5, 0.4, 0.3, 0.4, 0.3, 0.3] + 4 * [0.1], 22, 18),  # several stairs at once
        (11 * [0.5], 22, 22),
        (11 * [0.5], 15, 15),  # never past the largest
        ([0.9, 0.0, 0.0] + 8 * [0.9], 22, 11),  # the shell next to the band is not asked
        ([0.0, 0.3, 0.31] + 8 * [-0.1], 22, 14),
        (11 * [0.04], 22, 11),
        ([0.5], 12, 12),  # a stair of one shell asks that one
        ([0.1], 12, 11),
        ([], 12, 11),  # nothing to ask
        (11 * [0.9], 11, 11),
    ],
)
def test_the_shells_beyond_the_band_decide(beyond, most, agreed):
    assert agreed_band([1.0] * 12 + beyond, 11, most) == agreed


def test_what_is_round_is_left_out():
    rng = np.random.default_rng(0)
    line = np.arange(16) - 8
    distance = np.sqrt(line[:, None, None] ** 2 + line[:, None] ** 2 + line**2).round()
    assert abs(without_radial_average(np.cos(distance))).max() < 1e-6
    density = rng.normal(size=(16, 16, 16))
    np.testing.assert_allclose(
        without_radial_average(density + np.cos(distance)), without_radial_average(density), atol=1e-6
    )


@pytest.fixture(scope="module")
def particles(make_phantom, simulate):
    return simulate(make_phantom(BOX), count=COUNT, snr=2.0, seed=4).particles


def tiny(**volume) -> Settings:
    quick = PRESETS["quick"]
    return dataclasses.replace(
        quick,
        method="search",  # Heads would only cost time here.
        schedule=dataclasses.replace(quick.schedule, epochs=40, switch="by-hand", batch_size=20),
        volume=dataclasses.replace(quick.volume, encoding_band=5, growth_steps=4, **volume),
        machine=dataclasses.replace(quick.machine, device="cpu"),
    )


def to_epoch(reconstruction: Reconstruction, epoch: int) -> list[int]:
    """Steps to the end of an epoch; the largest band before the switch after each epoch."""
    bands = []
    while reconstruction.epoch < epoch:
        reconstruction.advance()
        if reconstruction.epoch_ended:
            bands.append(reconstruction.fits[0].band.encoding)
    return bands


@pytest.fixture
def always_uncertain(monkeypatch):
    monkeypatch.setattr(band_growth, "asks_for_more", lambda entropies: len(entropies) > 1)
    monkeypatch.setattr(band_growth, "agreed_band", lambda correlation, band, most: next_band(band, most))


@pytest.mark.usefixtures("always_uncertain")
def test_the_band_grows_in_stairs_and_stops_where_it_must(particles):
    assert to_epoch(Reconstruction(particles, tiny()), 9) == [5, 6, 6, 8, 8, 10, 10, 11, 11]
    assert set(to_epoch(Reconstruction(particles, tiny(grow_further=False)), 4)) == {5}


@pytest.mark.usefixtures("always_uncertain")
def test_the_band_grows_no_further_than_the_user_says(particles):
    extent = float(particles.box_sizes[0] * particles.pixel_sizes[0])
    stopped = Reconstruction(particles, tiny(last_resolution=extent / 7))
    assert to_epoch(stopped, 6)[-1] == 7 == stopped.fits[0].band.full
    volume = dataclasses.replace(tiny().volume, encoding_band=None, encoding_resolution=extent / 5)
    fixed = Reconstruction(particles, dataclasses.replace(tiny(), volume=volume))
    assert set(to_epoch(fixed, 4)) == {5}


@pytest.mark.usefixtures("always_uncertain")
def test_a_run_that_is_resumed_while_the_band_grows_goes_on_as_if_never_stopped(particles):
    whole = Reconstruction(particles, tiny())
    to_epoch(whole, 3)
    whole.advance()
    file = io.BytesIO()
    torch.save(whole.state_dict(), file)
    to_epoch(whole, 5)
    resumed = Reconstruction(particles, tiny())
    resumed.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    to_epoch(resumed, 5)
    assert resumed.fits[0].band.encoding == 8
    assert_same(resumed.state_dict(), whole.state_dict())


def test_certain_particles_do_not_grow_the_band_and_nothing_is_drawn(particles, monkeypatch):
    """Without the setting, and with it where it is not called for, a run is the same bit for bit."""
    monkeypatch.setattr(growth, "UNCERTAIN_ENTROPY", 100.0)
    states = []
    for further in (False, True):
        reconstruction = Reconstruction(particles, tiny(grow_further=further))
        to_epoch(reconstruction, 5)
        states.append(reconstruction.state_dict()["fits"])
    assert_same({"fits": states[0]}, {"fits": states[1]})


def test_folds_agree_beyond_the_band_at_right_poses_and_not_at_random_ones(make_phantom, simulate):
    truth = simulate(make_phantom(BOX), count=400, snr=2.0, seed=4)
    reconstruction = Reconstruction(truth.particles, tiny())
    fit, rows = reconstruction.fits[0], torch.arange(400)
    right = torch.from_numpy(truth.particles.rotations).float()
    agreement = []
    for rotations in (right, random_rotations(400, torch.Generator().manual_seed(5))):
        fit.particles.record_poses(rows, rotations, torch.zeros(400, 2))
        before = reconstruction.state_dict()
        agreement.append(np.mean(fold_correlation(fit, 9)[6:]))
        assert_same(reconstruction.state_dict(), before)
    assert agreement[0] > 0.6
    assert abs(agreement[1]) < 0.2


def test_only_a_volume_with_folds_can_grow():
    with pytest.raises(ValueError, match="grow_further with volume_update adam; expected wiener"):
        settings_from("paper-cpu", grow_further=True)
