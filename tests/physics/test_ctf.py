"""CTF against the vectors of our conventions and against torch-ctf."""

import math

import pytest
import torch
from torch_ctf import calculate_ctf_2d

from napari_cryospin.io.cryodrgn import CRYODRGN_CTF
from napari_cryospin.io.cryosparc.read import CTF_FIELDS
from napari_cryospin.io.star.optics import CTF_COLUMNS
from napari_cryospin.particles import CTF_PARAMETERS
from napari_cryospin.physics.ctf import ctf, electron_wavelength


def parameters(**changed: float) -> torch.Tensor:
    values = {
        "defocus_u": 15000.0,
        "defocus_v": 14000.0,
        "defocus_angle": 35.0,
        "voltage": 300.0,
        "spherical_aberration": 2.7,
        "amplitude_contrast": 0.1,
        "phase_shift": 0.0,
        "scale": 1.0,
        "b_factor": 0.0,
    }
    return torch.tensor([(values | changed)[name] for name in CTF_PARAMETERS], dtype=torch.float64)


@pytest.mark.parametrize(("voltage", "wavelength"), [(300, 0.0196876153), (200, 0.0250794936), (100, 0.0370145786)])
def test_wavelength(voltage, wavelength):
    assert float(electron_wavelength(torch.tensor(float(voltage), dtype=torch.float64))) == pytest.approx(
        wavelength, abs=1e-10
    )


@pytest.mark.parametrize(
    ("frequency", "phase", "expected"),
    [
        ((0.05, 0.03), 0, -0.1079546677),
        ((0.05, 0.03), 90, -0.9941558176),
        ((0.03, 0.05), 0, -0.0742504982),
        ((0, 0), 0, 0.1),
    ],
)
def test_vectors_of_the_conventions(frequency, phase, expected):
    points = torch.tensor([frequency], dtype=torch.float64) * 200
    value = ctf(parameters(phase_shift=phase), points, extent=200.0)
    assert float(value) == pytest.approx(expected, abs=1e-9)


def test_points_scale_with_the_extent():
    points = torch.tensor([[5, 3]])
    torch.testing.assert_close(ctf(parameters(), points, 100.0), ctf(parameters(), 2 * points, 200.0))


def test_scale_and_b_factor():
    points = torch.tensor([[0.05, 0.03]], dtype=torch.float64)
    expected = -0.1079546677 * 0.7 * math.exp(-80 * (0.05**2 + 0.03**2) / 4)
    assert float(ctf(parameters(scale=0.7, b_factor=80.0), points, 1.0)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"defocus_angle": -70.0},
        {"defocus_u": 22000.0, "defocus_v": 9000.0, "defocus_angle": 120.0},
        {"voltage": 200.0, "spherical_aberration": 1.4, "amplitude_contrast": 0.07},
        {"phase_shift": 60.0},
    ],
)
def test_agrees_with_torch_ctf(changed):
    given = parameters(**changed)
    u, v, angle, voltage, cs, amplitude, phase = given.tolist()[:7]
    n, pixel_size = 48, 3.0
    mean, half = torch.tensor((u + v) / 2e4), (u - v) / 2e4  # micrometre
    expected = calculate_ctf_2d(
        mean, half, angle, voltage, cs, amplitude, phase, pixel_size, (n, n), rfft=False, fftshift=False
    )
    line = torch.fft.fftfreq(n, 1 / n)
    ky, kx = torch.meshgrid(line, line, indexing="ij")
    got = ctf(given, torch.stack((kx, ky), dim=-1).reshape(-1, 2), n * pixel_size).reshape(n, n)
    torch.testing.assert_close(got, expected.double(), atol=1e-3, rtol=0)


def test_many_particles_at_once():
    rows = torch.stack((parameters(), parameters(phase_shift=90.0)))
    points = torch.tensor([[0.05, 0.03], [0.0, 0.0], [0.1, -0.2]], dtype=torch.float64)
    assert ctf(rows, points, 1.0).shape == (2, 3)
    torch.testing.assert_close(ctf(rows, points, 1.0)[1], ctf(rows[1], points, 1.0))


def test_the_nine_parameters_are_listed_once():
    """Files name them in their own words; names and order are those of `CtfParameters`."""
    assert tuple(CTF_COLUMNS) == CTF_PARAMETERS
    assert tuple(CTF_FIELDS) == CRYODRGN_CTF == CTF_PARAMETERS[:7]
    assert CTF_PARAMETERS[7:] == ("scale", "b_factor")
