"""The posterior is as sure as it may be: the truth lies in the 90 % region of 90 % of the particles.

Images go the way of every run: noise measured outside the mask, mask applied, transformed. Coefficients of a masked
image vary less than the noise that the likelihood is given (by the mask's mean square), which is right: errors of
neighbouring coefficients are correlated, and dividing by the smaller variance would count the same evidence twice. The
last test shows what would come of it.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import napari_cryospin
from napari_cryospin.engine.batch import Batch
from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.engine.pose_posterior import log_likelihoods, make_templates
from napari_cryospin.engine.pose_refinement import refine_poses
from napari_cryospin.geometry.so3_grid import grid_rotations
from napari_cryospin.io.mrc import read_map
from napari_cryospin.models.wiener_volume import WienerVolume
from napari_cryospin.physics.fourier import band_size, fourier_crop, map_to_hartley
from napari_cryospin.physics.map_crop import fourier_crop_map
from napari_cryospin.settings import PreparationSettings
from napari_cryospin.simulation.images import noise_images

BOX, PADDING = 32, 3
SAMPLE = Path(napari_cryospin.__file__).parent / "data" / "spliceosome_64.mrc"


@pytest.fixture(scope="module")
def spliceosome() -> tuple[Tensor, float]:
    """`(32, 32, 32)` map, and the side of its box, Angstrom."""
    density, pixel_size = read_map(SAMPLE)
    return fourier_crop_map(torch.tensor(density), BOX), pixel_size * len(density)


def prepare(simulated, noise: str) -> tuple[PreparedImages, Tensor, Tensor]:
    """Prepared images; true map in their units; true rotations."""
    particles = simulated.particles
    images = PreparedImages(particles, PreparationSettings(noise=noise), torch.arange(len(particles)))
    density = simulated.density / simulated.noise_variance**0.5 / BOX
    return images, density, torch.from_numpy(particles.rotations).float()


def share_inside(images: PreparedImages, density: Tensor, truth: Tensor, band: int, level: float, sureness=1.0):
    """Share of particles whose true cell belongs to the smallest region of the grid that holds `level` of the mass."""
    count = band_size(images.points, band)
    grid = grid_rotations(8, 48).reshape(-1, 3, 3)
    templates = make_templates(map_to_hartley(density, PADDING), grid, images.points[:count], PADDING)
    weights = sureness / images.noise[0, images.shell[:count]]
    cells = (truth.flatten(1) @ grid.flatten(1).T).argmax(1)  # the nearest rotation has the largest trace
    inside = []
    for rows in torch.arange(len(truth)).split(250):
        data = images.coefficients(rows, count), images.ctf(rows, count)
        probability = log_likelihoods(templates, *data, weights)[:, 0].softmax(1)
        more_probable = probability > probability.gather(1, cells[rows, None])
        inside.append((probability * more_probable).sum(1) < level)
    return float(torch.cat(inside).float().mean())


@pytest.mark.slow
@pytest.mark.parametrize("snr", [0.05, 0.1])
@pytest.mark.parametrize("noise", ["white", "coloured"])
def test_the_true_pose_lies_in_the_90_percent_region(noise, snr, spliceosome, simulate):
    """Band 6, where cells of 7.5 degrees are finer than the posteriors (medians of 150 to 4,000 cells)."""
    density, extent = spliceosome
    simulated = simulate(density, extent, count=1000, snr=snr, noise=noise, seed=1)
    prepared = prepare(simulated, noise)
    assert 0.85 <= share_inside(*prepared, band=6, level=0.9) <= 0.95
    assert 0.43 <= share_inside(*prepared, band=6, level=0.5) <= 0.57
    # Divided by the variance that the masked coefficients have, the evidence would be counted 1.4 times.
    assert share_inside(*prepared, band=6, level=0.9, sureness=1 / float(prepared[0].mask.square().mean())) < 0.85


def log_ratios(images: PreparedImages, density: Tensor, particles, shifted: bool) -> Tensor:
    """`(n,)` twice the log-ratio of the likelihoods at the best pose and at the true one."""
    lattices = WienerVolume(BOX, PADDING, first_band=BOX // 2 - 1, mask_radius=0.48).gradient_lattices(density)
    rows, weights = torch.arange(len(images)), 1 / images.noise[images.noise_group][:, images.shell]
    truth = torch.from_numpy(particles.rotations).float()
    shifts = torch.from_numpy(particles.shifts).float() if shifted else None
    batch = Batch(
        rows=rows,
        images=images.coefficients(rows),
        ctf=images.ctf(rows),
        points=images.points,
        weights=weights,
        extent=images.extent,
    )
    at_truth, best = (refine_poses(lattices, batch, truth, shifts, padding=PADDING, steps=steps)[2] for steps in (1, 8))
    return 2 * (at_truth - best)


@pytest.mark.parametrize("shift_sd", [0.0, 30.0])
@pytest.mark.parametrize("noise", ["white", "coloured"])
def test_likelihood_ratios_of_sharp_posteriors(noise, shift_sd, spliceosome, simulate):
    """All shells, SNR 0.5, a degree wide: twice the log-ratio of best and true pose follows chi-squared (Wilks)."""
    density, extent = spliceosome
    simulated = simulate(density, extent, count=400, snr=0.5, noise=noise, shift_sd=shift_sd, seed=2)
    images, density, _ = prepare(simulated, noise)
    ratio = log_ratios(images, density, simulated.particles, shift_sd > 0)
    parameters, limit = (5, 9.236) if shift_sd else (3, 6.251)  # 90 % of chi-squared
    assert float(ratio.mean()) == pytest.approx(parameters, rel=0.12)
    assert 0.85 <= float((ratio < limit).float().mean()) <= 0.95


@pytest.mark.parametrize("noise", ["white", "coloured"])
def test_likelihood_ratios_of_cropped_images(noise, simulate):
    """Images of 64 px brought to 32: the noise of the outermost shells counts as well."""
    large, pixel_size = read_map(SAMPLE)
    simulated = simulate(torch.tensor(large), 64 * pixel_size, count=400, snr=0.3, noise=noise, seed=2)
    images = PreparedImages(simulated.particles, PreparationSettings(noise=noise, box=BOX), torch.arange(400))
    coloured = noise == "coloured"
    pure = noise_images(400, 64, simulated.noise_variance, np.random.default_rng(7), coloured=coloured)
    scale = float(fourier_crop(pure, BOX).var()) ** 0.5
    # A voxel of the smaller map is twice as long: so much larger are its projections.
    density = 2 * fourier_crop_map(simulated.density, BOX) / scale / BOX
    ratio = log_ratios(images, density, simulated.particles, shifted=False)
    assert float(ratio.mean()) == pytest.approx(3, rel=0.12)
    assert 0.85 <= float((ratio < 6.251).float().mean()) <= 0.95
