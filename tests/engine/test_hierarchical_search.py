"""The search from coarse to fine, against brute force over all cells of its finest level."""

import dataclasses

import pytest
import torch

from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.hierarchical_search import HierarchicalSearch, Level, levels
from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.engine.pose_posterior import log_likelihoods, make_templates
from napari_cryospin.geometry.so3 import rotation_distance
from napari_cryospin.geometry.so3_grid import grid_rotations
from napari_cryospin.geometry.subdivided_grid import subdivided
from napari_cryospin.settings import PRESETS
from support.volumes import put_map

COUNT = 40


def true_fit(make_phantom, simulate, **shifts) -> tuple[Fit, torch.Tensor, torch.Tensor]:
    """A fit whose volume is the true one, and the true poses."""
    simulated = simulate(make_phantom(16), count=COUNT, snr=1.0, seed=2, **shifts)
    settings = PRESETS["hierarchical"]
    settings = dataclasses.replace(
        settings,
        encoder=dataclasses.replace(settings.encoder, shifts=bool(shifts)),
        volume=dataclasses.replace(settings.volume, first_band=None),
    )
    images = PreparedImages(simulated.particles, settings.preparation, torch.arange(COUNT))
    fit = Fit(images, settings, torch.Generator().manual_seed(0), uses_encoder=False)
    put_map(fit.volume, simulated.density / simulated.noise_variance**0.5 / 16)
    truth = simulated.particles
    return fit, torch.from_numpy(truth.rotations).float(), torch.from_numpy(truth.shifts).float()


def test_levels_halve_the_cells_until_they_are_finer_than_the_band():
    assert list(levels(7)) == [Level(2, 12, 7), Level(4, 24, 7), Level(8, 48, 7)]
    assert list(levels(4)) == [Level(2, 12, 4), Level(4, 24, 4)]
    assert [level.band for level in levels(40)] == [12, 24, 40, 40, 40]


def test_it_finds_what_brute_force_finds(make_phantom, simulate):
    """Of all 294,912 cells of the finest level, the best one, for at least 95 % of the images."""
    fit, _, _ = true_fit(make_phantom, simulate)
    batch = fit.batch(torch.arange(COUNT))
    found = HierarchicalSearch(fit).propose(batch).rotations[:, 0]
    cells = grid_rotations(2, 12).reshape(-1, 3, 3)
    for level in levels(fit.band.now):
        cells = subdivided(cells, level.nside, level.in_plane).flatten(0, 1)
    assert len(cells) == 294_912
    best, pose = torch.full((COUNT,), -torch.inf), torch.zeros(COUNT, 3, 3)
    for part in cells.split(2**14):
        templates = make_templates(fit.volume.hartley().detach(), part, batch.points, 1)
        values, index = log_likelihoods(templates, batch.images, batch.ctf, batch.weights)[:, 0].max(1)
        better = values > best
        best, pose[better] = torch.where(better, values, best), part[index[better]]
    assert float((rotation_distance(found, pose) < 0.1).float().mean()) >= 0.95


def test_it_finds_poses_and_shifts_of_off_centre_particles(make_phantom, simulate):
    fit, rotations, shifts = true_fit(make_phantom, simulate, shift_sd=6.0)
    proposal = HierarchicalSearch(fit).propose(fit.batch(torch.arange(COUNT)))
    assert proposal.count == 1
    turned = rotation_distance(proposal.rotations[:, 0], rotations)
    moved = (proposal.shifts[:, 0] - shifts).norm(dim=-1)
    assert float(turned.median()) < 6
    assert float(moved.median()) < 96 / (4 * 7) / 2  # Half of a step of the finest grid of shifts, Angstrom.
    assert float(shifts.norm(dim=-1).median()) > 5


@pytest.mark.parametrize("symmetry", ["C1", "C3"])
def test_proposals_are_rotations_within_the_range(make_phantom, simulate, symmetry):
    """Before anything is learned, and with a symmetry."""
    particles = simulate(make_phantom(16), count=COUNT, snr=1.0, seed=2).particles
    settings = PRESETS["hierarchical"]
    settings = dataclasses.replace(settings, volume=dataclasses.replace(settings.volume, symmetry=symmetry))
    images = PreparedImages(particles, settings.preparation, torch.arange(COUNT))
    fit = Fit(images, settings, torch.Generator().manual_seed(0), uses_encoder=False)
    proposal = HierarchicalSearch(fit).propose(fit.batch(torch.arange(10)))
    rotations = proposal.rotations[:, 0]
    torch.testing.assert_close(rotations @ rotations.mT, torch.eye(3).expand(10, 3, 3), atol=1e-5, rtol=0)
    assert float(proposal.shifts.abs().max()) <= fit.shift_range.largest
