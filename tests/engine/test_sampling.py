"""Search of the pose grid: wide shifts, draws in proportion to the posterior, chunks; centring of the map."""

import copy
import dataclasses
import math

import pytest
import torch

from napari_cryospin.engine import grid_posterior, other_modes, sampling
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.grid_posterior import FoundPoses
from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.engine.losses import image_errors
from napari_cryospin.engine.other_modes import find_modes, heaviest, in_doubt, try_other_modes
from napari_cryospin.engine.pose_posterior import log_likelihoods, shift_grid, shift_step
from napari_cryospin.engine.pose_steps import GaussNewtonPoses
from napari_cryospin.engine.proposers import PosteriorSample
from napari_cryospin.engine.sampling import MODES_APART, PoseSearch
from napari_cryospin.engine.shift_prior import ShiftPrior
from napari_cryospin.engine.volume_steps import WienerStep
from napari_cryospin.geometry.so3 import exponential_map, random_rotations, rotation_distance
from napari_cryospin.physics.slicing import shift_phases
from napari_cryospin.settings import PRESETS
from support.same_state import assert_same

COUNT, BOX, BAND = 80, 24, 8
ROWS = torch.arange(COUNT)


@pytest.fixture
def fit(make_phantom, simulate) -> Fit:
    """A fit that knows the true map, and the true poses."""
    truth = simulate(make_phantom(BOX), count=COUNT, snr=4.0, shift_sd=3.0, seed=6)
    settings = PRESETS["quick"]
    settings = dataclasses.replace(settings, encoder=dataclasses.replace(settings.encoder, heads=2, shifts=True))
    images = PreparedImages(truth.particles, settings.preparation, ROWS)
    fit = Fit(images, settings, torch.Generator().manual_seed(0))
    fit.band.now = BAND
    fit.particles.record_poses(
        ROWS, *(torch.from_numpy(v).float() for v in (truth.particles.rotations, truth.particles.shifts))
    )
    WienerStep(fit).remake(BAND)
    return fit


def modes_of(fit: Fit, search: PoseSearch, number: int) -> FoundPoses:
    """Modes over all shifts within the range, none of which is preferred."""
    shifts = shift_grid(fit.shift_range.largest, shift_step(fit.images.extent, search.band))
    return search.modes(fit.batch(ROWS), number, shifts, torch.zeros(len(shifts)))


def loaded_copy(fit: Fit) -> dict[str, object]:
    return copy.deepcopy(fit.state_dict())


def assert_untouched(fit: Fit, before: dict[str, object]) -> None:
    """A query writes nothing: all that is kept of the fit is bit for bit as it was."""
    assert_same(fit.state_dict(), before)


@pytest.mark.parametrize("look", ["best", "draw"])
def test_a_wrong_stored_pose_and_shift_are_left(fit, look):
    rotations, shifts = fit.particles.rotations.clone(), fit.particles.shifts.clone()
    away = torch.tensor([0.6, -0.6]) * fit.shift_range.largest
    fit.particles.record_poses(ROWS, random_rotations(COUNT, fit.generator), shifts + away)
    before = loaded_copy(fit)
    found, found_shifts, entropy = getattr(PoseSearch(fit), look)(fit.batch(ROWS))
    within = shifts.norm(dim=-1) < fit.shift_range.largest
    right = (rotation_distance(found, rotations) < 20) & (
        (found_shifts - shifts).norm(dim=-1) < 2 * fit.images.pixel_size
    )
    assert float(right[within].float().mean()) > 0.9
    assert not entropy.isnan().any()
    assert_untouched(fit, before)


def test_the_best_does_not_depend_on_chunks(fit, monkeypatch):
    fit.particles.shifts[::2] += 3 * fit.images.pixel_size  # some are looked at about two shifts, some about one
    whole = PoseSearch(fit).best(fit.batch(ROWS))
    monkeypatch.setattr(sampling, "CPU_HELD_LIKELIHOODS", 1)
    parts = PoseSearch(fit).best(fit.batch(ROWS))
    torch.testing.assert_close(parts.rotations, whole.rotations)
    torch.testing.assert_close(parts.shifts, whole.shifts)
    torch.testing.assert_close(parts.entropy, whole.entropy, atol=1e-4, rtol=1e-3)


def test_a_mode_without_weight_is_none(fit):
    """Little noise leaves one mode of most particles: the first is repeated, and not refined again."""
    rotations, shifts, _ = modes_of(fit, PoseSearch(fit), 4)
    alone = (rotations == rotations[:, :1]).flatten(1).all(1)
    assert float(alone.float().mean()) > 0.5
    assert torch.equal(shifts[alone], shifts[alone, :1].expand(-1, 4, -1))


def test_modes_are_the_best_poses_that_lie_apart(fit, monkeypatch):
    monkeypatch.setattr(grid_posterior, "MODES_DEPTH", torch.inf)
    search, batch = PoseSearch(fit), fit.batch(ROWS)
    before = loaded_copy(fit)
    rotations, shifts, _ = modes_of(fit, search, 3)
    assert rotations.shape == (COUNT, 3, 3, 3)
    assert shifts.shape == (COUNT, 3, 2)
    tried = shift_grid(fit.shift_range.largest, shift_step(fit.images.extent, search.band))
    phases = shift_phases(tried, batch.points, batch.extent).expand(COUNT, -1, -1)
    values = log_likelihoods(search.fine, batch.images, batch.ctf, batch.weights, phases)
    best = values.logsumexp(1).argmax(-1)
    torch.testing.assert_close(rotations[:, 0], search.fine.rotations[best])
    torch.testing.assert_close(shifts[:, 0], tried[values[ROWS, :, best].argmax(-1)])
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert float(rotation_distance(rotations[:, one], rotations[:, other]).min()) >= MODES_APART - 0.1
    assert_untouched(fit, before)


def test_other_modes_rescue_uncertain_particles_only(fit):
    """All poses are wrong; those of particles whose posterior was uncertain are found again, the others stay."""
    true = fit.particles.rotations.clone()
    step = WienerStep(fit)
    fit.volume.solve()
    fit.particles.record_poses(ROWS, random_rotations(COUNT, fit.generator), fit.particles.shifts.clone())
    wrong = fit.particles.rotations.clone()
    fit.particles.entropy[:40], fit.particles.entropy[40:] = 1.5, 0.0
    changed = try_other_modes(fit, step, GaussNewtonPoses(fit))
    off = rotation_distance(fit.particles.rotations, true)
    assert float((off[:40] < 10).float().mean()) > 0.9
    assert torch.equal(fit.particles.rotations[40:], wrong[40:])
    assert 0.4 < changed <= 0.5


def test_a_certain_particle_of_small_scale_is_in_doubt():
    entropy, scale = torch.tensor([0.0, 0.0, 1.5, torch.nan]), torch.tensor([1.0, 0.5, 1.0, 1.0])
    assert in_doubt(entropy, scale).tolist() == [False, True, True, True]


@pytest.mark.parametrize(("share", "rescued"), [(1.0, 1.0), (0.25, 0.25), (0.0, 0.0)])
def test_no_more_modes_are_refined_than_an_epoch_refines_poses(fit, monkeypatch, share, rescued):
    true, refined = fit.particles.rotations.clone(), []
    fit.volume.solve()
    fit.particles.record_poses(ROWS, random_rotations(COUNT, fit.generator), fit.particles.shifts.clone())
    fit.particles.entropy[:] = 1.5
    monkeypatch.setattr(other_modes, "MODES_A_PARTICLE", share)
    refine = GaussNewtonPoses.refine

    def counted(poses, lattices, batch, *pose, **steps):
        refined.append(0 if steps else len(batch))
        return refine(poses, lattices, batch, *pose, **steps)

    monkeypatch.setattr(GaussNewtonPoses, "refine", counted)
    changed = try_other_modes(fit, WienerStep(fit), GaussNewtonPoses(fit))
    assert sum(refined) <= share * COUNT
    assert changed <= share
    found = float((rotation_distance(fit.particles.rotations, true) < 10).float().mean())
    assert found > 0.9 * rescued - 0.05


def test_modes_are_looked_for_on_another_grid_each_time(fit):
    """A mode that lies between the poses of one grid is found with another one."""
    true = fit.particles.rotations
    fit.volume.solve()
    tries = [find_modes(fit, ROWS, ShiftPrior.of(fit)).rotations for _ in range(2)]
    nearest = [rotation_distance(modes, true[:, None]).amin(1) for modes in tries]
    assert not torch.allclose(*tries)
    assert float(torch.minimum(*nearest).mean()) < 0.9 * float(min(each.mean() for each in nearest))


def test_a_mode_is_found_from_afar_over_few_shells(fit, monkeypatch):
    """Poses that are too far off to be refined with all shells at once come there with few shells first."""
    true, shifts = fit.poses(fit.batch(ROWS))
    axes = torch.nn.functional.normalize(torch.randn(COUNT, 3, generator=fit.generator), dim=-1)
    away, lattices, found = exponential_map(math.radians(30) * axes) @ true, fit.volume.gradient_lattices(), []
    for bands in ((), (3, 5)):
        monkeypatch.setattr(other_modes, "COARSE_BANDS", bands)
        everyone = torch.ones(COUNT, dtype=torch.bool)
        pose = other_modes._refined(GaussNewtonPoses(fit), lattices, fit.batch(ROWS), away, shifts, everyone)
        found.append(float((rotation_distance(pose[0], true) < 10).float().mean()))
    assert found[0] < 0.2 < 0.9 < found[1]


def test_the_heaviest_modes_are_chosen():
    weight = torch.tensor([[0.9, 0.1, -1.0], [0.5, 0.3, 0.2]])  # -1: the first mode, repeated
    assert heaviest(weight, 5).tolist() == [[True, True, False], [True, True, True]]
    assert heaviest(weight, 3).tolist() == [[True, False, False], [True, True, False]]
    assert not heaviest(weight, 0).any()


def test_other_modes_leave_a_shift_that_no_other_particle_has(fit):
    """Stored shifts that lie far beyond those of all others are given up with their wrong rotations."""
    step, usual = WienerStep(fit), float(fit.particles.shifts.norm(dim=-1).max())
    fit.volume.solve()
    far = fit.particles.shifts.clone()
    far[:40] = 0.9 * fit.shift_range.largest
    fit.particles.record_poses(ROWS, random_rotations(COUNT, fit.generator), far)
    fit.particles.entropy[:40], fit.particles.entropy[40:] = 1.5, 0.0
    assert float(far[:40].norm(dim=-1).min()) > usual
    try_other_modes(fit, step, GaussNewtonPoses(fit))
    assert float((fit.particles.shifts[:40].norm(dim=-1) <= usual).float().mean()) > 0.9


def test_draws_are_in_proportion_to_the_posterior():
    values = torch.tensor([[0.0, 1.0, -200.0], [0.5, -1.0, 2.0]])  # (t, k)
    many = values.expand(40_000, 2, 3)
    over_poses = grid_posterior.log_sum_exp(many)
    torch.testing.assert_close(over_poses[0], values.logsumexp(0))
    pose, shift = grid_posterior.drawn(many, over_poses, torch.Generator().manual_seed(0))
    counts = torch.bincount(shift * 3 + pose, minlength=6).reshape(2, 3) / 40_000
    expected = values.flatten().softmax(0).reshape(2, 3)
    torch.testing.assert_close(counts, expected, atol=0.01, rtol=0)


def test_most_of_the_certain_rest_once_the_band_is_wide(fit):
    fit.band.encoding = BAND
    fit.particles.entropy[:] = 0.0
    fit.particles.entropy[:20] = 1.0
    before = loaded_copy(fit)
    rotations, _, entropy = PosteriorSample(fit).draw(fit.batch(ROWS))
    assert_untouched(fit, before)
    kept = (rotations == fit.particles.rotations).flatten(1).all(1)
    assert not entropy[kept].any()
    assert bool((entropy[:20] != 1.0).all())  # computed anew
    assert not kept[:20].any()
    assert 0.5 < float(kept[20:].float().mean()) < 0.95
    fit.band.encoding = BAND + 1
    rotations = PosteriorSample(fit).propose(fit.batch(ROWS)).rotations[:, 0]
    assert not (rotations == fit.particles.rotations).flatten(1).all(1).any()


def test_an_eccentric_map_is_centred_with_its_shifts(fit):
    rotations, shifts = fit.particles.rotations, fit.particles.shifts.clone()
    step = WienerStep(fit)
    step.centre()  # what few particles leave
    offset = torch.tensor([2.0, -1.5, 1.0]) * fit.images.pixel_size

    def error() -> float:
        batch = fit.batch(ROWS)
        model = fit.project(batch, rotations, fit.particles.shifts)
        return float(image_errors(model[:, None], batch.images, batch.weights, "squared").mean())

    centred, before = error(), fit.particles.shifts.clone()
    fit.volume.move(offset / fit.images.extent)
    fit.particles.shifts += rotations[:, :2] @ offset
    fit.particles.candidate_shifts += fit.particles.candidates[:, :, :2] @ offset
    assert error() == pytest.approx(centred, rel=0.02)
    assert step.centre()["centred"] == pytest.approx(float(offset.norm()), rel=0.05)
    assert error() == pytest.approx(centred, rel=0.02)
    torch.testing.assert_close(fit.particles.shifts, before, atol=0.3, rtol=0)
    torch.testing.assert_close(fit.particles.candidate_shifts.mean((0, 1)), torch.zeros(2), atol=1.0, rtol=0)
    assert float((fit.particles.shifts - shifts).norm(dim=-1).mean()) < 2 * fit.images.pixel_size
