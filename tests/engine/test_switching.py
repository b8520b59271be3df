"""The switch: the best candidate becomes the pose (Eq. 6), and when it is advised."""

import dataclasses

import pytest
import torch
from torch import Tensor

from napari_cryospin.engine import switching
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.engine.losses import candidate_errors
from napari_cryospin.engine.switching import advice, agreement, choose_poses, remake_volume
from napari_cryospin.geometry.so3 import exponential_map, random_rotations, rotation_distance
from napari_cryospin.settings import PRESETS

COUNT, BOX, HEADS = 60, 24, 3


class Proposer(torch.nn.Module):
    """Stands in for an encoder: proposes what it is told, batch after batch."""

    def __init__(self, rotations: Tensor, shifts: Tensor, size: int) -> None:
        super().__init__()
        self.heads = rotations.shape[1]
        self.left = list(zip(rotations.split(size), shifts.split(size), strict=True))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.left.pop(0)


@pytest.fixture
def truth(make_phantom, simulate):
    return simulate(make_phantom(BOX), count=COUNT, snr=2.0, shift_sd=4.0, seed=6)


def make_fit(truth, preset: str) -> Fit:
    """A fit that knows the true map."""
    settings = PRESETS[preset]
    settings = dataclasses.replace(
        settings,
        encoder=dataclasses.replace(settings.encoder, heads=HEADS, shifts=True),
        schedule=dataclasses.replace(settings.schedule, batch_size=25),
    )
    images = PreparedImages(truth.particles, settings.preparation, torch.arange(COUNT))
    fit = Fit(images, settings, torch.Generator().manual_seed(0))
    fit.band = 8
    true_poses = [torch.from_numpy(v).float() for v in (truth.particles.rotations, truth.particles.shifts)]
    fit.poses.set(torch.arange(COUNT), *true_poses)
    if preset == "quick":
        remake_volume(fit, 8)
    else:
        fit.volume.set_map(truth.density / truth.noise_variance**0.5 / BOX)
    return fit


def proposals(truth) -> tuple[Tensor, Tensor, Tensor]:
    """Three candidates of each particle, two of them wrong; and which is right."""
    generator = torch.Generator().manual_seed(1)
    rotations = random_rotations(COUNT * HEADS, generator).reshape(COUNT, HEADS, 3, 3)
    shifts = 4 * torch.randn(COUNT, HEADS, 2, generator=generator)
    right = torch.randint(HEADS, (COUNT,), generator=generator)
    rows = torch.arange(COUNT)
    rotations[rows, right] = torch.from_numpy(truth.particles.rotations).float()
    shifts[rows, right] = torch.from_numpy(truth.particles.shifts).float()
    return rotations, shifts, right


def test_the_best_candidate_becomes_the_pose(truth):
    fit = make_fit(truth, "paper-cpu")
    rotations, shifts, right = proposals(truth)
    fit.encoder = Proposer(rotations, shifts, 25)
    choose_poses(fit)
    rows = torch.arange(COUNT)
    chosen = fit.winner.long()
    assert float((chosen == right).float().mean()) > 0.95
    assert torch.equal(fit.poses.rotations, rotations[rows, chosen])
    assert torch.equal(fit.poses.shifts, shifts[rows, chosen])
    assert torch.equal(fit.best_head, fit.winner)
    assert torch.equal(fit.candidates, rotations)
    assert torch.equal(fit.candidate_shifts, shifts)
    batch = fit.batch(rows)
    with torch.no_grad():
        errors = candidate_errors(fit.project(batch, rotations, shifts), batch.images, batch.weights)
    assert torch.equal(errors.argmin(1), chosen)
    torch.testing.assert_close(fit.error, errors.min(1).values / fit.noise_error(len(batch.points)))
    for moments in (fit.poses.mean, fit.poses.square, fit.poses.visits):
        assert not moments.any()


def test_a_search_wins_where_all_heads_are_wrong(truth):
    fit = make_fit(truth, "quick")
    rotations, shifts, right = proposals(truth)
    lost = torch.arange(COUNT) < 40
    rotations[lost, right[lost]] = random_rotations(40, torch.Generator().manual_seed(2))
    fit.poses.set(torch.arange(COUNT), random_rotations(COUNT, fit.generator), torch.zeros(COUNT, 2))
    fit.encoder = Proposer(rotations, shifts, 25)
    choose_poses(fit)
    assert float((fit.winner[:40] == HEADS).float().mean()) > 0.9
    assert float((fit.winner[40:] == right[40:]).float().mean()) > 0.9  # the truth is better than any grid's pose
    apart = rotation_distance(fit.poses.rotations, torch.from_numpy(truth.particles.rotations).float())
    assert float((apart < 20).float().mean()) > 0.9
    assert int(fit.best_head.max()) < HEADS
    assert int(fit.best_head.min()) >= 0


def test_advice(truth):
    fit = make_fit(truth, "quick")
    ready, reason = advice(fit)
    assert not ready
    assert "8 of 11 shells" in reason
    fit.band = 11
    assert not advice(fit)[0]  # no posterior is known yet
    fit.entropy[:] = 2.0
    ready, reason = advice(fit)
    assert not ready
    assert "uncertain" in reason
    assert "2.00 nats" in reason
    fit.entropy[:] = 0.1
    fit.winner[:] = HEADS
    fit.candidates[:] = random_rotations(HEADS, torch.Generator().manual_seed(3))
    ready, reason = advice(fit)
    assert not ready
    assert "heads still learn" in reason
    turned = exponential_map(torch.tensor([0.0, 0.3, 0.0])) @ fit.poses.rotations
    fit.candidates[:, 1] = turned
    ready, reason = advice(fit)
    assert ready
    assert reason.startswith("ready")
    assert "100 % of particles" in reason
    fit.encoder = None
    fit.candidates = fit.candidates[:, :0]
    assert advice(fit)[0]


def test_agreement_of_the_nearest_head(truth):
    fit = make_fit(truth, "quick")
    rows = torch.arange(30)
    fit.candidates[:, 2] = fit.poses.rotations
    assert agreement(fit, rows, fit.poses.rotations[:30]) == 1
    fit.candidates[:15, 2] = exponential_map(torch.tensor([1.0, 0, 0])) @ fit.poses.rotations[:15]
    fit.candidates[:, :2] = fit.candidates[:, 2:]
    assert agreement(fit, rows, fit.poses.rotations[:30]) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("agreed", "ready"),
    [
        ([0.6], False),
        ([0.3, 0.3, 0.3, 0.3, 0.3, 0.3], False),  # they have not begun
        ([0.6, 0.62, 0.65, 0.68, 0.71], False),  # they learn
        ([0.6, 0.71, 0.7, 0.715, 0.7, 0.72], True),
    ],
)
def test_heads_that_learn_no_more_are_not_waited_for(truth, agreed, ready, monkeypatch):
    fit = make_fit(truth, "quick")
    fit.band = fit.encoding_band
    fit.entropy[:] = 0.1
    for share in agreed:
        monkeypatch.setattr(switching, "agreement", lambda *_, share=share: share)
        found, reason = advice(fit)
    assert found == ready
    assert ("learn no more" in reason) == ready


def test_advice_without_a_posterior_of_the_method_looks_itself(truth):
    """The paper's method: the heads are compared with a search, not with themselves."""
    fit = make_fit(truth, "paper-cpu")
    fit.band = fit.encoding_band
    fit.candidates[:] = random_rotations(HEADS, torch.Generator().manual_seed(3))
    fit.winner[:] = 0
    ready, reason = advice(fit)
    assert not ready
    assert "heads still learn" in reason
    fit.candidates[:, 1] = fit.poses.rotations
    assert advice(fit)[0]


def test_a_drawn_pose_is_not_given_up_for_a_worse_one(truth):
    """Without a search, heads that know nothing must not take it away; nor who it was from."""
    fit = make_fit(truth, "quick")
    fit.settings = dataclasses.replace(
        fit.settings, posterior=dataclasses.replace(fit.settings.posterior, search_at_switch=False)
    )
    rotations, shifts, right = proposals(truth)
    rows = torch.arange(COUNT)
    fit.poses.set(rows, rotations[rows, right], shifts[rows, right])
    fit.winner[:] = HEADS
    kept = fit.poses.rotations.clone()
    fit.encoder = Proposer(
        random_rotations(COUNT * HEADS, torch.Generator().manual_seed(9)).reshape(rotations.shape), shifts, 25
    )
    choose_poses(fit)
    same = (fit.poses.rotations == kept).all(-1).all(-1)
    assert float(same.float().mean()) > 0.95
    assert torch.equal(fit.winner == HEADS, same)
