"""The grid posterior against Eq. 3 written out: every point of the full plane, in float64."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from napari_cryospin.engine.pose_posterior import entropy, log_likelihoods, make_templates, sample, shift_grid
from napari_cryospin.geometry.so3_grid import grid_rotations
from napari_cryospin.physics.fourier import band_size, half_plane, map_to_hartley, shells, to_half_plane
from napari_cryospin.physics.slicing import shift_phases

BOX, EXTENT, PADDING, BAND = 16, 96.0, 2, 6
NOISE = np.linspace(3.0, 1.0, BAND + 1)
"""Variance of a coefficient (of a transform divided by the box), shell by shell."""


@pytest.fixture
def problem(make_phantom):
    """Three noisy images of the phantom with CTFs, a grid of 72 rotations and 5 shifts; all float64."""
    generator = torch.Generator().manual_seed(0)
    lattice = map_to_hartley(make_phantom(BOX).double(), PADDING) / BOX
    rotations = grid_rotations(1, 6).reshape(-1, 3, 3).double()
    images = torch.randn(3, BOX, BOX, generator=generator, dtype=torch.float64)
    images += make_phantom(BOX).sum(0) * torch.tensor([0.5, 1.0, 1.5])[:, None, None]
    # A CTF that differs between (kx, ky) and (kx, -ky), but not between a point and its mate.
    bend = 0.2 + 0.1 * torch.rand(3, 2, generator=generator, dtype=torch.float64)
    return lattice, rotations, images, bend, shift_grid(6.0, 6.0).double()


def made_up_ctf(bend, kx, ky):
    return np.cos(bend[0] * kx**2 + bend[1] * ky**2 + 0.1 * kx * ky)


def brute_force(lattice, rotations, images, bend, shifts) -> np.ndarray:
    """`(b, t, k)` minus the squared error of the full plane over twice the noise variance: Eq. 3, point by point."""
    k = np.arange(-BAND, BAND + 1)
    kx, ky = (v.ravel() for v in np.meshgrid(k, k))
    radius = np.hypot(kx, ky)
    kept = (radius > 0) & (radius <= BAND)
    kx, ky, variance = kx[kept], ky[kept], NOISE[np.round(radius[kept]).astype(int)]
    x = np.arange(BOX) - BOX // 2
    wave_x, wave_y = np.exp(-2j * np.pi * np.outer(kx, x) / BOX), np.exp(-2j * np.pi * np.outer(ky, x) / BOX)
    seen = np.einsum("byx,py,px->bp", images.numpy(), wave_y, wave_x) / BOX
    where = np.stack([kx, ky, 0 * kx], -1) @ rotations.numpy()  # (k, p, 3), x y z
    middle = lattice.shape[-1] // 2
    at, mate = (
        map_coordinates(lattice.numpy(), middle + sign * PADDING * where[..., ::-1].reshape(-1, 3).T, order=1)
        for sign in (1, -1)
    )
    slices = ((mate + at) / 2 + 1j * (mate - at) / 2).reshape(where.shape[:-1])
    values = np.empty((len(images), len(shifts), len(rotations)))
    for b in range(len(images)):
        ctf = made_up_ctf(bend[b].numpy(), kx, ky)
        for t, (sx, sy) in enumerate(shifts.numpy()):
            model = slices * ctf * np.exp(2j * np.pi * (kx * sx + ky * sy) / EXTENT)
            values[b, t] = -(abs(seen[b] - model) ** 2 / (2 * variance)).sum(-1)
    return values


def fast(problem, dtype, band=BAND, weights=None):
    lattice, rotations, images, bend, shifts = problem
    points = half_plane(BOX, BAND)
    if weights is None:
        weights = 1 / torch.from_numpy(NOISE)[shells(points)]
    count = band_size(points, band)
    kx, ky = points[:count].numpy().T
    ctf = torch.stack([torch.from_numpy(made_up_ctf(part.numpy(), kx, ky)) for part in bend])
    templates = make_templates(lattice.to(dtype), rotations.to(dtype), points[:count], PADDING)
    phases = shift_phases(shifts, points[:count], EXTENT)
    complex_type = torch.complex64 if dtype == torch.float32 else torch.complex128
    seen = (to_half_plane(images, points[:count]) / BOX).to(complex_type)
    return log_likelihoods(templates, seen, ctf.to(dtype), weights[:count].to(dtype), phases.to(complex_type)).double()


def differences(values: torch.Tensor) -> torch.Tensor:
    """Log-likelihoods of each image against its first pose: what a posterior is made of."""
    return values.flatten(1) - values.flatten(1)[:, :1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_log_likelihoods_are_those_of_equation_3(problem, dtype):
    expected = differences(torch.from_numpy(brute_force(*problem)))
    found = differences(fast(problem, dtype))
    assert found.shape == (3, 5 * 72)
    assert 5 < float(expected.abs().max()) < 500
    assert float((found - expected).abs().max()) < (1e-4 if dtype == torch.float32 else 1e-9)


def test_a_narrower_band_is_a_prefix(problem):
    """The same as the full band with no weight on what lies beyond."""
    points = half_plane(BOX, BAND)
    weights = 1 / torch.from_numpy(NOISE)[shells(points)]
    weights[band_size(points, 4) :] = 0
    narrow = fast(problem, torch.float64, band=4)
    torch.testing.assert_close(narrow, fast(problem, torch.float64, weights=weights))
    assert float((narrow - fast(problem, torch.float64)).abs().max()) > 0.1


def test_images_may_have_shifts_of_their_own(problem):
    lattice, rotations, images, _, shifts = problem
    points = half_plane(BOX, BAND)
    templates = make_templates(lattice, rotations, points, PADDING)
    seen, ctf = to_half_plane(images, points), torch.ones(3, len(points), dtype=torch.float64)
    phases = shift_phases(shifts, points, EXTENT)
    together = log_likelihoods(templates, seen, ctf, ctf[0], phases)
    own = torch.stack((phases, phases.flip(0), phases[[1, 0, 2, 4, 3]]))
    apart = log_likelihoods(templates, seen, ctf, ctf[0], own)
    torch.testing.assert_close(apart[0], together[0])
    torch.testing.assert_close(apart[1], together[1].flip(0))
    torch.testing.assert_close(apart[2], together[2][[1, 0, 2, 4, 3]])
    alone = log_likelihoods(templates, seen[1:2], ctf[1:2], ctf[0], phases)
    torch.testing.assert_close(alone[0], together[1])


def test_templates_in_chunks_are_the_same(problem):
    lattice, rotations, *_ = problem
    points = half_plane(BOX, BAND)
    whole, parts = (make_templates(lattice, rotations, points, PADDING, chunk=c) for c in (2**22, 5 * len(points)))
    assert torch.equal(whole.slices, parts.slices)
    assert torch.equal(whole.power, parts.power)


def test_arguments_are_not_written_to(problem):
    lattice, rotations, images, *_ = problem
    points = half_plane(BOX, BAND)
    templates = make_templates(lattice, rotations, points, PADDING)
    seen, ctf = to_half_plane(images, points), torch.ones(3, len(points), dtype=torch.float64)
    given = (lattice, rotations, seen, ctf, templates.slices, templates.power)
    kept = [value.clone() for value in given]
    log_likelihoods(templates, seen, ctf, ctf[0])
    assert all(torch.equal(value, before) for value, before in zip(given, kept, strict=True))


def test_shift_grid_is_a_disc_about_the_centre():
    shifts = shift_grid(5.0, 2.0)
    assert shifts[0].tolist() == [0, 0]
    assert float(shifts.norm(dim=1).max()) <= 5
    assert len(shifts) == 21  # i^2 + j^2 <= 6.25
    assert len(shift_grid(1.0, 2.0)) == 1
    assert len(shift_grid(3.0, 1.0)) == 29  # the rim is inside


def test_samples_follow_the_posterior_and_the_seed():
    probability = torch.tensor([0.6, 0.3, 0.1, 0.0])
    logs = (probability.log() + 7).expand(20000, -1)
    drawn = sample(logs, torch.Generator().manual_seed(0))
    share = torch.bincount(drawn, minlength=4) / len(drawn)
    torch.testing.assert_close(share, probability, atol=0.012, rtol=0)
    assert torch.equal(drawn, sample(logs, torch.Generator().manual_seed(0)))
    cold = sample(logs, torch.Generator().manual_seed(0), temperature=0.1)
    assert float((cold == 0).float().mean()) > 0.99


def test_entropy():
    flat, sure = torch.full((1, 8), 3.0), torch.tensor([[50.0, 0, 0]])
    assert float(entropy(flat)) == pytest.approx(np.log(8))
    assert float(entropy(sure)) == pytest.approx(0, abs=1e-5)
