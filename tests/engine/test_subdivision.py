"""The divided grid: it covers what it divides, and a search of it finds what a search of all fine poses finds."""

import dataclasses

import numpy as np
import pytest
import torch

from napari_cryospin.engine import sampling
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.grid_posterior import in_order, most_probable
from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.engine.pose_posterior import entropy, log_likelihoods, make_templates
from napari_cryospin.engine.sampling import PoseSearch, divided_pose_grid, pose_grid
from napari_cryospin.engine.subdivision import FEWEST_CELLS, MOST_CELLS, likely_cells
from napari_cryospin.engine.volume_steps import WienerStep
from napari_cryospin.geometry import healpix
from napari_cryospin.geometry.so3 import random_rotations, rotation_distance
from napari_cryospin.geometry.so3_grid import direction_pixel
from napari_cryospin.geometry.subdivided_grid import subdivided
from napari_cryospin.physics.fourier import band_size
from napari_cryospin.settings import PRESETS

COUNT, BOX, BAND = 40, 32, 14
ROWS = torch.arange(COUNT)


def test_the_children_cover_the_grid_evenly():
    """Each fine view direction has as many in-plane angles, evenly spaced, as a grid of half the step has."""
    children = subdivided(pose_grid(2, 12), 2, 12).flatten(0, 1)
    pixel = direction_pixel(children, 4)
    assert torch.bincount(pixel).tolist() == [24] * healpix.nside2npix(4)
    for one in (0, 17, 191):
        among = children[pixel == one]
        turns = rotation_distance(among[0], among).sort().values
        expected = torch.arange(0, 181, 15).repeat_interleave(2)[1:-1].float()
        torch.testing.assert_close(turns, expected, atol=0.05, rtol=0)


def test_children_lie_in_their_parent_s_cell_and_near_it():
    parents = pose_grid(4, 24)
    children = subdivided(parents, 4, 24)
    assert torch.equal(direction_pixel(children, 4), direction_pixel(parents, 4)[:, None].expand(-1, 8))
    torch.testing.assert_close(children @ children.mT, torch.eye(3).expand_as(children), atol=1e-6, rtol=0)
    assert float(rotation_distance(children, parents[:, None]).max()) < 9


def test_every_rotation_is_twice_as_near_to_the_divided_grid():
    rotations = random_rotations(500, torch.Generator().manual_seed(0))
    nearest = [
        float(rotation_distance(rotations[:, None], grid.reshape(1, -1, 3, 3)).amin(1).mean())
        for grid in (pose_grid(4, 24), divided_pose_grid(4, 24))
    ]
    assert nearest[1] == pytest.approx(nearest[0] / 2, rel=0.03)


def test_likely_cells_hold_nearly_all():
    log_probability = torch.stack((torch.zeros(200), -torch.arange(200.0), -torch.arange(200.0) / 4)).log_softmax(-1)
    cells, needed = likely_cells(log_probability)
    assert needed.tolist() == [MOST_CELLS, FEWEST_CELLS, 28]
    held = log_probability.exp().gather(1, cells)[2, : needed[2]].sum()
    assert 0.999 <= float(held) < 0.9995
    assert cells[1, :3].tolist() == [0, 1, 2]


@pytest.fixture(params=[False, True], ids=["centred", "shifts"])
def fit(request, make_phantom, simulate) -> Fit:
    """A fit that knows the true map, and the true poses."""
    truth = simulate(make_phantom(BOX), count=COUNT, snr=0.3, shift_sd=3.0 * request.param, seed=6)
    quick = PRESETS["quick"]
    settings = dataclasses.replace(quick, encoder=dataclasses.replace(quick.encoder, heads=2, shifts=request.param))
    fit = Fit(PreparedImages(truth.particles, settings.preparation, ROWS), settings, torch.Generator().manual_seed(0))
    fit.band.now = BAND
    shifts = truth.particles.shifts if request.param else np.zeros((COUNT, 2))
    fit.particles.record_poses(ROWS, *(torch.from_numpy(v).float() for v in (truth.particles.rotations, shifts)))
    WienerStep(fit).remake(BAND)
    return fit


@torch.no_grad()
def brute_force(fit: Fit, shifts: torch.Tensor) -> torch.Tensor:
    """Log-likelihoods of all poses that divide the grid, summed over shifts `(b, t, 2)`: `(b, 8 k)`."""
    points = fit.projector.points[: band_size(fit.images.points, BAND)]
    rotations = divided_pose_grid(4, 24).reshape(-1, 3, 3)
    templates = make_templates(fit.volume.hartley(BAND), rotations, points, fit.projector.padding, band=BAND)
    batch = fit.batch(ROWS)
    phases = fit.shift_range.phases(shifts, batch.points, batch.extent)
    return log_likelihoods(templates, batch.images, batch.ctf, batch.weights, phases).logsumexp(1)


def test_the_divided_search_holds_what_all_fine_poses_hold(fit):
    parts = list(PoseSearch(fit)._cells(fit.batch(ROWS), fit.particles.shifts[:, None]))
    found = in_order((part.where, part.chosen(most_probable)) for part in parts)
    seen = torch.cat([part.over_poses.logsumexp(-1) for part in parts])
    step = sampling.trial_shifts(fit, BAND)[0] if fit.shift_range.looked_for else torch.zeros(1, 2)
    everything = brute_force(fit, fit.particles.shifts[:, None] + step)
    held = (seen[torch.cat([part.where for part in parts]).argsort()] - everything.logsumexp(-1)).exp()
    assert float(held.max()) < 1.001
    assert float(held.mean()) > 0.99
    by_cell = everything.unflatten(-1, (-1, 8)).logsumexp(-1)
    assert float((found.entropy - entropy(by_cell)).abs().mean()) < 0.02
    if not fit.shift_range.looked_for:
        best = divided_pose_grid(4, 24).reshape(-1, 3, 3)[everything.argmax(-1)]
        assert float((rotation_distance(found.rotations, best) < 0.1).float().mean()) >= 0.95


def test_few_shells_are_searched_as_before_and_many_in_the_finest_band(fit):
    assert PoseSearch(fit, band=11).divided is None
    assert PoseSearch(fit, band=12).divided is not None
    assert PoseSearch(fit, band=15).band == 15


def test_the_divided_search_does_not_depend_on_chunks(fit, monkeypatch):
    whole = PoseSearch(fit).best(fit.batch(ROWS))
    monkeypatch.setattr(sampling, "LOOKED_AHEAD", 3)
    parts = PoseSearch(fit).best(fit.batch(ROWS))
    torch.testing.assert_close(parts.rotations, whole.rotations)
    torch.testing.assert_close(parts.entropy, whole.entropy, atol=1e-3, rtol=1e-3)


def test_the_divided_grid_finds_better_poses(fit):
    right = fit.particles.rotations
    found = [PoseSearch(fit, band=band).best(fit.batch(ROWS, band)).rotations for band in (11, BAND)]
    coarse, fine = (float(rotation_distance(rotations, right).median()) for rotations in found)
    assert fine < 0.75 * coarse


def test_of_a_symmetric_map_the_cells_of_the_asymmetric_unit_are_divided(make_phantom, simulate):
    quick = PRESETS["quick"]
    settings = dataclasses.replace(quick, volume=dataclasses.replace(quick.volume, symmetry="D2"))
    images = PreparedImages(simulate(make_phantom(BOX), count=8, snr=1.0).particles, settings.preparation, ROWS[:8])
    fit = Fit(images, settings, torch.Generator().manual_seed(0))
    fit.band.now = BAND
    search = PoseSearch(fit, turn=random_rotations(1, fit.generator)[0])
    parents, children = search.fine.rotations, search.divided.rotations
    assert len(parents) == pytest.approx(4608 / 4, rel=0.1)
    assert children.shape[:2] == (len(parents), 8)
    assert float(rotation_distance(children, parents[:, None]).max()) < 9
    assert not search.best(fit.batch(ROWS[:8])).entropy.isnan().any()
