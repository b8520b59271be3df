"""Images with aberrations: formed by an independent formula in numpy, corrected and modelled by the engine."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.engine.volume_steps import WienerStep
from napari_cryospin.evaluation.fsc import fsc
from napari_cryospin.particles import Aberrations, CtfParameters, Particles
from napari_cryospin.physics.fourier import map_to_hartley
from napari_cryospin.physics.slicing import central_slices, shift_phases
from napari_cryospin.settings import PRESETS, PreparationSettings
from support.simulated import in_memory

BOX, PIXEL = 40, 2.0
EXTENT = BOX * PIXEL
WIDTH = 1.6  # A, of a blob
WAVELENGTH = 0.0196876153  # A, at 300 kV
GROUPS = 2


def blobs() -> np.ndarray:
    """`(12, 3)` centres (x, y, z) within 20 A."""
    return np.random.default_rng(3).uniform(-1, 1, (12, 3)) * 12


def blob_map() -> torch.Tensor:
    line = (np.arange(BOX) - BOX // 2) * PIXEL
    x, y, z = (np.exp(-((line - blobs()[:, axis, None]) ** 2) / (2 * WIDTH**2)) for axis in range(3))
    return torch.from_numpy(np.einsum("bx,by,bz->zyx", x, y, z)).float()


def aberrations(count: int, **changed: np.ndarray) -> Aberrations:
    """Two groups, of which the second has other coefficients; up to 2 rad at Nyquist, and little more than that."""
    scale = np.array([1.0, -0.7])[:, None]
    odd = scale * np.array([[52.0, -75.0, 60.0, 25.0, -35.0, 50.0]])
    even = scale * np.array([[40.3, 120.0, 60.0, -90.0, 400.0, 40.0, 20.0, -30.0, 300.0]])
    magnification = np.array([[[1.03, 0.012], [0.008, 0.98]], [[0.985, -0.01], [-0.01, 1.02]]])
    values = {"odd": odd, "even": even, "magnification": magnification} | changed
    return Aberrations(groups=np.arange(count, dtype=np.int32) % GROUPS, **values)


def none_of(name: str) -> dict[str, np.ndarray]:
    """That kind of aberrations, as it is where there are none."""
    return {name: np.tile(np.eye(2), (GROUPS, 1, 1)) if name == "magnification" else np.zeros((GROUPS, 1))}


def zernike(coefficients: np.ndarray, r: np.ndarray, t: np.ndarray, odd: bool) -> np.ndarray:
    sin, cos, one = np.sin, np.cos, np.ones_like(r)
    if odd:
        coma = 3 * r**3 - 2 * r
        table = [r * sin(t), r * cos(t), r**3 * sin(3 * t), coma * sin(t), coma * cos(t), r**3 * cos(3 * t)]
    else:
        star = 4 * r**4 - 3 * r**2
        table = [one, r**2 * sin(2 * t), 2 * r**2 - 1, r**2 * cos(2 * t), r**4 * sin(4 * t), star * sin(2 * t)]
        table += [6 * r**4 - 6 * r**2 + 1, star * cos(2 * t), r**4 * cos(4 * t)]
    return sum((c * term for c, term in zip(coefficients, table, strict=False)), 0 * r)


def formed(rotations: np.ndarray, shifts: np.ndarray, defocus: np.ndarray, optics: Aberrations) -> np.ndarray:
    """`(n, box, box)` images: the blobs' transform at `M k`, CTF and phases there, and a shift at `k`, summed up."""
    line = np.fft.fftfreq(BOX, PIXEL)
    stored = np.stack(np.meshgrid(line, line, indexing="xy"), axis=-1).reshape(-1, 2)  # [ky, kx]
    images = []
    for rotation, shift, df, group in zip(rotations, shifts, defocus, optics.groups, strict=True):
        k = stored @ optics.magnification[group].T
        r, t = np.hypot(*k.T), np.arctan2(k[:, 1], k[:, 0])
        places = blobs() @ rotation.T
        volume = (2 * np.pi) ** 1.5 * WIDTH**3 / PIXEL**3
        spectrum = volume * np.exp(-2j * np.pi * k @ places[:, :2].T).sum(1) * np.exp(-2 * (np.pi * WIDTH * r) ** 2)
        chi = -np.pi * WAVELENGTH * r**2 * df + np.pi / 2 * 2.7e7 * WAVELENGTH**3 * r**4
        chi = chi + zernike(optics.even[group], r, t, odd=False)
        spectrum *= 0.1 * np.cos(chi) - np.sqrt(0.99) * np.sin(chi)
        spectrum *= np.exp(1j * zernike(optics.odd[group], r, t, odd=True)) * np.exp(2j * np.pi * stored @ shift)
        images.append(np.fft.fftshift(np.fft.ifft2(spectrum.reshape(BOX, BOX)).real))
    return np.array(images, dtype=np.float32)


def make(count: int, optics: Aberrations, noise: float = 1e-3, seed: int = 0) -> Particles:
    rng = np.random.default_rng(seed)
    rotations = Rotation.random(count, random_state=seed).as_matrix()
    shifts = rng.normal(0, 3, (count, 2))
    defocus = rng.uniform(2000, 4000, count)  # A, so that the images stay within their box
    images = formed(rotations, shifts, defocus, optics)
    images += rng.normal(0, noise * images.std(), images.shape).astype(np.float32)
    full = {"voltage": 300.0, "spherical_aberration": 2.7, "amplitude_contrast": 0.1}
    full |= {"defocus_angle": 0.0, "phase_shift": 0.0, "scale": 1.0, "b_factor": 0.0}
    ctf = CtfParameters(
        defocus_u=defocus, defocus_v=defocus, **{name: np.full(count, value) for name, value in full.items()}
    )
    corrected = optics.shifts_of_map(shifts)
    return in_memory(images, PIXEL, ctf=ctf, rotations=rotations, shifts=corrected, aberrations=optics)


def prepare(particles: Particles, **settings) -> PreparedImages:
    return PreparedImages(particles, PreparationSettings(**settings), torch.arange(len(particles)))


def agreement(particles: Particles, **settings) -> np.ndarray:
    """`(n,)` correlation of the prepared images with the engine's model, at the true poses."""
    prepared = prepare(particles, **settings)
    rows = torch.arange(len(particles))
    hartley = map_to_hartley(blob_map(), 3)
    points = prepared.points
    model = central_slices(hartley, torch.from_numpy(particles.rotations).float(), points, 3)
    model = model * prepared.ctf(rows) * shift_phases(torch.from_numpy(particles.shifts).float(), points, EXTENT)
    found = prepared.coefficients(rows)
    product = (found * model.conj()).sum(-1).real
    return (product / (found.norm(dim=-1) * model.norm(dim=-1))).numpy()


@pytest.mark.parametrize("box", [BOX, 32])
def test_model_and_corrected_images_agree(box):
    assert agreement(make(8, aberrations(8)), box=box).min() > 0.999


@pytest.mark.parametrize("ignored", ["odd", "even", "magnification"])
def test_each_kind_of_aberration_has_its_part(ignored):
    """With one of the three left out of the account, images and model differ."""
    particles = make(8, aberrations(8))
    assert agreement(particles).min() > 0.999
    without = dataclasses.replace(particles, aberrations=aberrations(8, **none_of(ignored)))
    assert agreement(without).max() < 0.998


def test_images_prepared_anew_are_those_kept():
    particles = make(6, aberrations(6))
    kept, anew = prepare(particles), prepare(particles, cache=0.0)
    rows = torch.tensor([4, 1])
    torch.testing.assert_close(anew.coefficients(rows, 100), kept.coefficients(rows, 100))
    selected = particles.select([4, 1])
    torch.testing.assert_close(prepare(selected).ctf(torch.arange(2)), kept.ctf(rows))


def test_noise_stays_noise():
    """Of the same variance, whatever the phases and the magnification; the corners of the spectrum are lost."""
    particles = make(200, aberrations(200))
    noise = np.random.default_rng(1).normal(size=(200, BOX, BOX)).astype(np.float32)
    prepared = prepare(dataclasses.replace(particles, open_stack=lambda path: noise))
    expected = BOX**2 / (2 * len(prepared.points) + 1)
    torch.testing.assert_close(prepared.noise[0, 4:], torch.full((BOX // 2 - 4,), expected), rtol=0.1, atol=0)


def test_on_a_device(pretend_device):
    """The CTF is computed where the batches are; images are prepared on the CPU."""
    particles = make(6, aberrations(6))
    here, there = prepare(particles), PreparedImages(particles, PreparationSettings(), torch.arange(6), pretend_device)
    rows = torch.tensor([5, 0, 3])
    torch.testing.assert_close(there.ctf(rows, 50).cpu(), here.ctf(rows, 50))
    torch.testing.assert_close(there.coefficients(rows, 50).cpu(), here.coefficients(rows, 50))


def test_neutral_aberrations_change_nothing():
    neutral = aberrations(6, **none_of("odd"), **none_of("even"), **none_of("magnification"))
    particles = make(6, neutral)
    without = prepare(dataclasses.replace(particles, aberrations=None))
    rows = torch.arange(6)
    assert torch.equal(prepare(particles).coefficients(rows), without.coefficients(rows))
    assert torch.equal(prepare(particles).ctf(rows), without.ctf(rows))


def reconstructed(particles: Particles) -> np.ndarray:
    """Map of the images at their true poses."""
    fit = Fit(prepare(particles), PRESETS["quick"], torch.Generator().manual_seed(0), uses_encoder=False)
    poses = (torch.from_numpy(part).float() for part in (particles.rotations, particles.shifts))
    fit.particles.record_poses(torch.arange(len(fit)), *poses)
    WienerStep(fit).remake(fit.band.full)
    return fit.volume.to_map(filtered=False).numpy()


def test_a_beam_tilt_that_is_ignored_costs_resolution():
    """8 mrad in RELION's formula: 8 rad at Nyquist, as 1 mrad at 2 A."""
    tilt = np.zeros((GROUPS, 6))
    tilt[:, 4] = -2e-3 * np.pi * 2.7e7 * WAVELENGTH**2 * 8.0 / 3
    tilt[:, 1] = 2 * tilt[:, 4]
    optics = aberrations(300, odd=tilt, **none_of("even"), **none_of("magnification"))
    particles = make(300, optics, noise=0.3)
    truth = blob_map().numpy()
    with_it = fsc(truth, reconstructed(particles), PIXEL).values
    without = fsc(truth, reconstructed(dataclasses.replace(particles, aberrations=None)), PIXEL).values
    outer = slice(BOX // 4, BOX // 2 - 3)
    assert with_it[outer].min() > 0.8
    assert without[outer].mean() < with_it[outer].mean() - 0.2
