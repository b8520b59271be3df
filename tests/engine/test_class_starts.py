"""Classes as they begin: junk is told from particles before, and each particle takes the map that explains it."""

import numpy as np
import pytest
import torch

from napari_cryospin.engine.class_starts import begin_classes, split_by_maps
from napari_cryospin.engine.classes import LEAST_SHARE, dead_class, remake_classes
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.engine.reference import signal_scale
from napari_cryospin.engine.volume_steps import WienerStep
from napari_cryospin.particles import Particles
from napari_cryospin.settings import Settings, settings_from
from support.simulated import EXTENT, in_memory, symmetric_phantom

BOX, COUNT, BATCH = 16, 240, 60


def settings(**changed) -> Settings:
    small = {"heads": 2, "encoder_box": 16, "encoder_batch": BATCH, "batch_size": BATCH, "shifts": False}
    return settings_from("quick", **small, classes=2, scales="none", device="cpu", threads=1, **changed)


def at_true_poses(particles: Particles, chosen: Settings) -> Fit:
    images = PreparedImages(particles, chosen.preparation, torch.arange(COUNT), torch.device("cpu"))
    fit = Fit(images, chosen, torch.Generator().manual_seed(1))
    rotations = torch.from_numpy(particles.rotations).float()
    fit.particles.record_poses(torch.arange(COUNT), rotations, torch.zeros(COUNT, 2))
    fit.band.now = 6
    WienerStep(fit).remake(6)
    for batch in fit.batches():  # What the volume does not explain counts as noise, as in a run.
        fit.noise.observe(batch.where, batch.images, fit.project(batch, *fit.poses(batch)))
    return fit


def test_junk_is_told_before_the_particles_are_dealt(make_phantom, simulate):
    made = simulate(make_phantom(BOX), count=COUNT, snr=1.0, seed=4)
    junk = np.arange(COUNT) % 3 == 0
    noise = np.random.default_rng(2).normal(0, made.noise_variance**0.5, (COUNT, BOX, BOX)).astype(np.float32)
    images = np.where(junk[:, None, None], noise, made.images)
    truth = made.particles
    particles = in_memory(images, EXTENT / BOX, ctf=truth.ctf, rotations=truth.rotations, shifts=truth.shifts)
    fit = at_true_poses(particles, settings())
    begin_classes(fit, 2)
    trust = fit.particles.trust.numpy()
    assert trust[junk].sum() < 0.02 * trust.sum()
    assert trust[~junk].mean() > 0.6
    weighed = sum(float(view.volume.sums[:, 1].sum()) for view in fit.classes)
    fit.particles.trust = torch.ones(COUNT)
    remake_classes(fit)
    alike = sum(float(view.volume.sums[:, 1].sum()) for view in fit.classes)
    assert weighed / alike == pytest.approx(trust.mean(), rel=0.1)  # Junk counts for nothing in the classes.


def test_without_junk_in_the_settings_all_count_alike(make_phantom, simulate):
    made = simulate(make_phantom(BOX), count=COUNT, snr=1.0, seed=4)
    fit = at_true_poses(made.particles, settings(junk=False))
    begin_classes(fit, 2)
    assert torch.equal(fit.particles.trust, torch.ones(COUNT))
    assert bool(fit.particles.odds.isnan().all())


def test_each_particle_takes_class_and_pose_from_the_map_that_explains_it(make_phantom, simulate):
    """Although it has a wrong pose, found in a map that shows something else."""
    molecules = (make_phantom(BOX), symmetric_phantom(BOX, "C1", blobs=12, width=5.0, seed=7))
    parts = [simulate(density, count=COUNT, snr=3.0, seed=9) for density in molecules]
    second = np.arange(COUNT) % 2 == 1
    images = np.where(second[:, None, None], parts[1].images, parts[0].images)
    truth = parts[0].particles
    particles = in_memory(images, EXTENT / BOX, ctf=truth.ctf, rotations=truth.rotations, shifts=truth.shifts)
    chosen = settings(reference=("first.mrc", "second.mrc"), reference_resolution=16.0)
    fit = at_true_poses(particles, chosen)
    fit.class_starts = [_as_strong(fit, density) for density in molecules]
    fit.particles.record_poses(torch.arange(COUNT), torch.eye(3).expand(COUNT, 3, 3), torch.zeros(COUNT, 2))
    split_by_maps(fit)
    assert (fit.particles.classes.numpy() == second).mean() > 0.97
    true = torch.from_numpy(truth.rotations).float()
    cosine = ((fit.particles.rotations * true).sum((1, 2)) - 1) / 2
    assert float(cosine.clamp(-1, 1).acos().rad2deg().median()) < 15
    assert fit.class_starts == []
    assert all(float(view.volume.density.abs().max()) > 0 for view in fit.classes)


def _as_strong(fit: Fit, density: torch.Tensor) -> torch.Tensor:
    """A map as strong as the signal in the images, as the start from a map makes it."""
    fit.volume.take_map(density / density.abs().max())
    return density / density.abs().max() * signal_scale(fit)


def test_a_map_that_no_particle_fits_leaves_a_dead_class(make_phantom, simulate):
    """Which is then offered to other particles, as one that loses its particles is."""
    made = simulate(make_phantom(BOX), count=COUNT, snr=3.0, seed=9)
    chosen = settings(reference=("first.mrc", "nothing.mrc"), reference_resolution=16.0)
    fit = at_true_poses(made.particles, chosen)
    fit.class_starts = [_as_strong(fit, made.density), torch.zeros_like(made.density)]
    split_by_maps(fit)
    assert (fit.particles.classes == 1).float().mean() < LEAST_SHARE
    assert dead_class(fit) == 1
    assert all(bool(view.volume.density.isfinite().all()) for view in fit.classes)
