"""A mask that cuts off what the CTF spreads is told of before a run."""

import dataclasses

import numpy as np
import pytest

from napari_cryospin.checks.mask_room import spread_of_detail, tight_mask_notes
from napari_cryospin.particles import CtfParameters


def with_defocus(defocus: float) -> CtfParameters:
    values = dict.fromkeys((field.name for field in dataclasses.fields(CtfParameters)), np.zeros(3))
    values |= {"defocus_u": np.full(3, defocus), "defocus_v": np.full(3, defocus), "voltage": np.full(3, 300.0)}
    return CtfParameters(**values)


def test_detail_is_spread_by_wavelength_times_defocus_over_resolution():
    assert spread_of_detail(with_defocus(20000.0), 10.0) == pytest.approx(0.0196875 * 20000 / 10, rel=1e-3)
    assert spread_of_detail(with_defocus(-20000.0), 20.0) == pytest.approx(0.0196875 * 20000 / 20, rel=1e-3)


def test_a_wave_packet_moves_by_the_spread():
    """A packet of detail of 10 A, multiplied by the wave that the CTF is made of, lies where the formula says."""
    n, pixel, resolution = 512, 1.0, 10.0
    place = (np.arange(n) - n // 2) * pixel
    packet = np.exp(-((place / 20) ** 2)) * np.exp(2j * np.pi * place / resolution)
    frequency = np.fft.fftfreq(n, pixel)
    moved = np.fft.ifft(np.fft.fft(packet) * np.exp(1j * np.pi * 0.0196875 * 20000 * frequency**2))
    power = np.abs(moved) ** 2
    assert abs((power * place).sum() / power.sum()) == pytest.approx(
        spread_of_detail(with_defocus(20000.0), resolution), rel=0.02
    )


@pytest.mark.parametrize(
    ("ctf", "radius", "told"),
    [
        (with_defocus(20000.0), 70.0, True),
        (with_defocus(20000.0), None, False),  # the default
        (with_defocus(20000.0), 110.4, False),  # as wide as the default
        (with_defocus(2000.0), 70.0, False),
        (None, 70.0, False),
    ],
)
def test_only_a_tight_mask_is_told_of(ctf, radius, told):
    notes = tight_mask_notes(ctf, radius, 240.0, 6.0)
    assert bool(notes) == told
    if told:
        assert "10 A over 39 A to each side, and a mask of 70 A" in notes[0]
        assert "default: 110 A" in notes[0]
