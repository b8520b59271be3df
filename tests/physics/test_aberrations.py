"""Phases of aberrations against the Zernike polynomials as tables have them, and the CTF that they change."""

import numpy as np
import pytest
import torch

from napari_cryospin.geometry.zernike import zernike_orders
from napari_cryospin.particles import CTF_PARAMETERS
from napari_cryospin.physics.aberrations import aberration_phase
from napari_cryospin.physics.ctf import ctf
from napari_cryospin.physics.fourier import half_plane

ODD = [
    lambda r, t: r * np.sin(t),
    lambda r, t: r * np.cos(t),
    lambda r, t: r**3 * np.sin(3 * t),
    lambda r, t: (3 * r**3 - 2 * r) * np.sin(t),
    lambda r, t: (3 * r**3 - 2 * r) * np.cos(t),
    lambda r, t: r**3 * np.cos(3 * t),
    lambda r, t: r**5 * np.sin(5 * t),
    lambda r, t: (5 * r**5 - 4 * r**3) * np.sin(3 * t),
    lambda r, t: (10 * r**5 - 12 * r**3 + 3 * r) * np.sin(t),
]
EVEN = [
    lambda r, t: np.ones_like(r),
    lambda r, t: r**2 * np.sin(2 * t),
    lambda r, t: 2 * r**2 - 1,
    lambda r, t: r**2 * np.cos(2 * t),
    lambda r, t: r**4 * np.sin(4 * t),
    lambda r, t: (4 * r**4 - 3 * r**2) * np.sin(2 * t),
    lambda r, t: 6 * r**4 - 6 * r**2 + 1,
    lambda r, t: (4 * r**4 - 3 * r**2) * np.cos(2 * t),
    lambda r, t: r**4 * np.cos(4 * t),
    lambda r, t: r**6 * np.sin(6 * t),
]
"""In RELION's order, as printed in tables, by radius and angle."""


def polar(points: torch.Tensor, extent: float) -> tuple[np.ndarray, np.ndarray]:
    x, y = points.double().numpy().T / extent
    return np.hypot(x, y), np.arctan2(y, x)


@pytest.mark.parametrize(("table", "odd"), [(ODD, True), (EVEN, False)])
def test_phases_are_those_of_the_tables(table, odd):
    points, extent = half_plane(24), 40.0
    coefficients = np.random.default_rng(0).normal(0, 5, (3, len(table)))
    radius, angle = polar(points, extent)
    expected = np.einsum("bk,kp->bp", coefficients, np.stack([term(radius, angle) for term in table]))
    found = aberration_phase(torch.from_numpy(coefficients), points, extent, odd=odd)
    np.testing.assert_allclose(found, expected, atol=1e-10)
    mirrored = aberration_phase(torch.from_numpy(coefficients), -points, extent, odd=odd)
    np.testing.assert_allclose(mirrored, -expected if odd else expected, atol=1e-10)


def test_each_image_may_have_points_of_its_own():
    points, coefficients = half_plane(16), torch.randn(2, 6, generator=torch.Generator().manual_seed(1))
    turned = torch.stack((points, points.flip(-1)))
    found = aberration_phase(coefficients, turned, 50.0, odd=True)
    for k in range(2):
        torch.testing.assert_close(found[k], aberration_phase(coefficients[k : k + 1], turned[k], 50.0, odd=True)[0])


def test_orders_count_as_in_relion():
    """The seventh even coefficient is that of the spherical aberration (RELION's manual, Conventions)."""
    assert zernike_orders(9, 0)[6] == (4, 0)
    assert zernike_orders(6, 1) == [(1, -1), (1, 1), (3, -3), (3, -1), (3, 1), (3, 3)]


def test_symmetric_aberrations_are_part_of_the_ctf_phase():
    """`-sqrt(1 - a^2) sin(chi) + a cos(chi)`, in numpy; and a coefficient of r^4 is a change of Cs."""
    values = {"defocus_u": 15000.0, "defocus_v": 14000.0, "defocus_angle": 35.0, "voltage": 300.0}
    values |= {
        "spherical_aberration": 2.7,
        "amplitude_contrast": 0.1,
        "phase_shift": 20.0,
        "scale": 0.8,
        "b_factor": 30,
    }
    parameters = torch.tensor([[values[name] for name in CTF_PARAMETERS]], dtype=torch.float64)
    points, extent = half_plane(32), 64.0
    even = torch.from_numpy(np.random.default_rng(2).normal(0, 20, (1, 9)))
    found = ctf(parameters, points, extent, aberration_phase(even, points, extent, odd=False))
    r, t = polar(points, extent)
    wavelength = 0.0196876153
    defocus = 14500 + 500 * np.cos(2 * (t - np.radians(35)))
    chi = -np.pi * wavelength * r**2 * defocus + np.pi / 2 * 2.7e7 * wavelength**3 * r**4 - np.radians(20)
    chi += sum(float(c) * term(r, t) for c, term in zip(even[0], EVEN, strict=False))
    expected = 0.8 * np.exp(-30 * r**2 / 4) * (0.1 * np.cos(chi) - np.sqrt(1 - 0.01) * np.sin(chi))
    np.testing.assert_allclose(found[0], expected, atol=1e-6)

    spherical = torch.zeros(1, 9, dtype=torch.float64)
    spherical[0, [0, 2, 6]] = 30.0 * torch.tensor([2.0, 3.0, 1.0], dtype=torch.float64)  # 180 r^4 and nothing else
    changed = parameters.clone()
    changed[0, CTF_PARAMETERS.index("spherical_aberration")] += 180 / (np.pi / 2 * wavelength**3) / 1e7
    torch.testing.assert_close(
        ctf(parameters, points, extent, aberration_phase(spherical, points, extent, odd=False)),
        ctf(changed, points, extent),
        atol=1e-6,
        rtol=0,
    )
