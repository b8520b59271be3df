"""Simulated images: places, grey values, noise and distributions are those asked for."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from napari_cryospin.geometry.angles import rotation_from_euler
from napari_cryospin.particles import CTF_PARAMETERS, CtfParameters
from napari_cryospin.physics.ctf import ctf
from napari_cryospin.simulation.images import Projections, SimulationSettings, draw_ctf, draw_rotations, noise_images

BLOBS = np.random.default_rng(3).uniform(-9, 9, (12, 3))
WIDTH = 1.4


def gaussians(n: int, centres) -> np.ndarray:
    """Sum of Gaussians in a box: of `(x, y, z)` a map, of `(x, y)` an image."""
    line = np.arange(n) - n // 2
    factors = [np.exp(-((line - column[:, None]) ** 2) / (2 * WIDTH**2)) for column in np.asarray(centres, float).T]
    return np.einsum("bx,by,bz->zyx" if len(factors) == 3 else "bx,by->yx", *factors)


def centroid(image: torch.Tensor) -> tuple[float, float]:
    line = torch.arange(image.shape[-1]) - image.shape[-1] // 2
    weight = (image - 0.3 * image.max()).clamp(min=0)
    return float((weight.sum(0) * line).sum() / weight.sum()), float((weight.sum(1) * line).sum() / weight.sum())


def ctf_parameters(count: int, **values: float) -> CtfParameters:
    given = dict(zip(CTF_PARAMETERS, (18000.0, 17000.0, 20.0, 300.0, 2.7, 0.1, 0.0, 1.0, 0.0), strict=True)) | values
    return CtfParameters(**{name: np.full(count, value) for name, value in given.items()})


def test_images_are_the_projections_to_the_grey_value():
    """Gaussians project to Gaussians, times sqrt(2 pi) width; the mean of the image is right as well."""
    n, pixel_size = 48, 2.0
    rotations = Rotation.random(6, random_state=0).as_matrix()
    shifts = np.random.default_rng(1).normal(0, 4, (6, 2))
    images = Projections(torch.from_numpy(gaussians(n, BLOBS)), pixel_size)(rotations, shifts).numpy()
    for image, rotation, shift in zip(images, rotations, shifts, strict=True):
        seen = (BLOBS @ rotation.T)[:, :2] - shift / pixel_size
        expected = gaussians(n, seen) * np.sqrt(2 * np.pi) * WIDTH
        assert np.linalg.norm(image - expected) / np.linalg.norm(expected) < 0.01
        assert image.mean() == pytest.approx(expected.mean(), rel=1e-3)


def test_blob_is_seen_where_the_conventions_say():
    rotation = Rotation.from_euler("ZYZ", [[30, 50, 70]], degrees=True).as_matrix().transpose(0, 2, 1)
    project = Projections(torch.from_numpy(gaussians(64, [(9, -5, 4)])), 1.5)
    assert centroid(project(rotation, np.zeros((1, 2)))[0]) == pytest.approx((-8.181699, -3.338531), abs=0.03)
    shifted = project(rotation, np.array([[6.0, -3.0]]))[0]
    assert centroid(shifted) == pytest.approx((-8.181699 - 4, -3.338531 + 2), abs=0.03)


def test_ctf_filters_the_projection_and_its_mean():
    n, rotations, shifts = 32, Rotation.random(2, random_state=1).as_matrix(), np.zeros((2, 2))
    project = Projections(torch.from_numpy(gaussians(n, BLOBS)), 3.0)
    clean, filtered = project(rotations, shifts), project(rotations, shifts, ctf_parameters(2, defocus_angle=60.0))
    line = torch.fft.fftfreq(n, 1 / n)
    ky, kx = torch.meshgrid(line, line, indexing="ij")
    given = torch.tensor([18000.0, 17000, 60, 300, 2.7, 0.1, 0, 1, 0], dtype=torch.float64)
    transfer = ctf(given, torch.stack((kx, ky), dim=-1).reshape(-1, 2), n * 3.0).reshape(n, n)
    expected = torch.fft.ifft2(torch.fft.fft2(clean.double()) * transfer).real
    torch.testing.assert_close(filtered.double(), expected, atol=1e-4 * float(expected.abs().max()), rtol=0)
    torch.testing.assert_close(filtered.mean((-2, -1)), 0.1 * clean.mean((-2, -1)))


def test_uniform_directions_cover_the_sphere():
    rotations = draw_rotations(SimulationSettings(count=20000), np.random.default_rng(0))
    np.testing.assert_allclose(rotations @ rotations.transpose(0, 2, 1), np.eye(3)[None].repeat(20000, 0), atol=1e-12)
    np.testing.assert_allclose(rotations.mean(0), 0, atol=0.02)
    for row in range(3):
        np.testing.assert_allclose(np.cov(rotations[:, row].T), np.eye(3) / 3, atol=0.02)


@pytest.mark.parametrize("kappa", [0.5, 5.0])
def test_preferred_directions_lie_about_the_axis(kappa):
    settings = SimulationSettings(count=20000, orientations="preferred", concentration=kappa)
    direction = draw_rotations(settings, np.random.default_rng(0))[:, 2]
    np.testing.assert_allclose(direction.mean(0), [0, 0, 1 / np.tanh(kappa) - 1 / kappa], atol=0.02)


def test_drawn_ctfs_lie_in_the_range_and_tables_are_kept():
    rng = np.random.default_rng(0)
    drawn = draw_ctf(SimulationSettings(count=500, defocus_low=9000, defocus_high=11000), rng, None)
    middle = (drawn.defocus_u + drawn.defocus_v) / 2
    assert 9000 <= middle.min() < 9100 < 10900 < middle.max() <= 11000
    assert (drawn.defocus_u >= drawn.defocus_v).all()
    table = np.arange(700.0).reshape(100, 7)
    rows = draw_ctf(SimulationSettings(count=100), rng, table)
    assert sorted(rows.defocus_u) == table[:, 0].tolist()  # each row once
    np.testing.assert_array_equal(rows.phase_shift, rows.defocus_u + 6)
    assert draw_ctf(SimulationSettings(ctf=False), rng, table) is None


@pytest.mark.parametrize("coloured", [False, True])
def test_noise_has_the_variance_and_the_spectrum(coloured):
    images = noise_images(400, 32, 2.5, np.random.default_rng(0), coloured=coloured)
    assert float(images.var()) == pytest.approx(2.5, rel=0.01)
    power = torch.fft.rfft2(images).abs().square().mean(0) / 32**2
    low, high = float(power[1, 1]), float(power[15, 15])
    assert low / high == pytest.approx(4.0 if coloured else 1.0, rel=0.2)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"box": 33}, "box is 33; expected an even number, 16 to 1024 px, or None"),
        ({"count": 0}, "count is 0; expected a whole number, 1 to 100000000"),
        ({"count": 7.5}, "count is 7.5; expected a whole number"),
        ({"snr": 0.0}, "snr is 0.0; expected a number, 1e-06 to 1000000, or None"),
        ({"defocus_low": 3e4}, "defocus_low is 30000; expected at most defocus_high, 28000 A"),
        ({"shift_sd": -1.0}, "shift_sd is -1.0; expected a number, 0 to 10000 A"),
        ({"box": 8}, "box is 8; expected an even number"),
        ({"noise": "whte"}, r"noise is 'whte'; expected white or coloured \(did you mean white\?\)"),
        ({"ctf": "no"}, "ctf is 'no'; expected true or false"),
        ({"ctf_table": 3}, "ctf_table is 3; expected a path, or None"),
        ({"cuont": 3}, r"cuont is no setting; expected one of count, .* \(did you mean count\?\)"),
    ],
)
def test_wrong_settings_are_refused(wrong, said):
    with pytest.raises(ValueError, match=f"settings: simulation.{said}"):
        SimulationSettings(**wrong)


def test_a_map_mirrored_in_z_shows_the_same_images_at_the_other_poses():
    """`D A D` with `D = diag(1, 1, -1)`: rot + 180, psi + 180; the roll keeps the centre at `n // 2`."""
    density = torch.from_numpy(gaussians(32, BLOBS))
    angles = np.random.default_rng(2).uniform(0, 150, (5, 3))
    mirror = np.diag([1.0, 1.0, -1.0])
    rotations = rotation_from_euler(angles)
    other = mirror @ rotations @ mirror
    np.testing.assert_allclose(rotation_from_euler(angles + np.array([180, 0, 180])), other, atol=1e-12)
    before = Projections(density, 2.0)(rotations, np.zeros((5, 2)))
    after = Projections(density.flip(0).roll(1, 0), 2.0)(other, np.zeros((5, 2)))
    torch.testing.assert_close(after, before, atol=1e-3 * float(before.max()), rtol=0)
    wrong = Projections(density.flip(0), 2.0)(other, np.zeros((5, 2)))
    assert float((wrong - before).abs().max()) > 0.05 * float(before.max())
