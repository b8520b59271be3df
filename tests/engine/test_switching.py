"""The switch: the best candidate becomes the pose (Eq. 6), and when it is advised."""

import dataclasses

import pytest
import torch
from torch import Tensor

from napari_cryospin.engine import switching
from napari_cryospin.engine.auto_decoding import GradientDecoding
from napari_cryospin.engine.choice_at_switch import choose_poses
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.engine.losses import image_errors
from napari_cryospin.engine.methods import METHODS
from napari_cryospin.engine.switching import (
    AfterEpochs,
    SwitchAdvice,
    SwitchAdvisor,
    agreement,
    automatic,
    by_hand,
    policy_of,
)
from napari_cryospin.engine.volume_steps import WienerStep
from napari_cryospin.geometry.so3 import exponential_map, random_rotations, rotation_distance
from napari_cryospin.settings import PRESETS, ScheduleSettings
from support.volumes import put_map

COUNT, BOX, HEADS = 60, 24, 3


class Proposer(torch.nn.Module):
    """Stands in for an encoder: proposes what it is told, batch after batch."""

    def __init__(self, rotations: Tensor, shifts: Tensor, size: int) -> None:
        super().__init__()
        self.heads = rotations.shape[1]
        self.unused = torch.nn.Parameter(torch.zeros(1))  # for the optimiser
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
    fit.band.now = 8
    true_poses = [torch.from_numpy(v).float() for v in (truth.particles.rotations, truth.particles.shifts)]
    fit.particles.record_poses(torch.arange(COUNT), *true_poses)
    if preset == "quick":
        WienerStep(fit).remake(8)
    else:
        put_map(fit.volume, truth.density / truth.noise_variance**0.5 / BOX)
    return fit


def choose(fit: Fit) -> None:
    """What the switch does."""
    stage = METHODS[fit.settings.method].first_stage(fit)
    choose_poses(fit, stage.learners, stage.volume_step)


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
    choose(fit)
    rows = torch.arange(COUNT)
    chosen = fit.particles.winner.long()
    assert float((chosen == right).float().mean()) > 0.95
    assert torch.equal(fit.particles.rotations, rotations[rows, chosen])
    assert torch.equal(fit.particles.shifts, shifts[rows, chosen])
    assert torch.equal(fit.particles.best_head, fit.particles.winner)
    assert torch.equal(fit.particles.candidates, rotations)
    assert torch.equal(fit.particles.candidate_shifts, shifts)
    batch = fit.batch(rows)
    with torch.no_grad():
        errors = image_errors(fit.project(batch, rotations, shifts), batch.images, batch.weights)
    assert torch.equal(errors.argmin(1), chosen)
    torch.testing.assert_close(fit.particles.error, errors.min(1).values / fit.noise_error(len(batch.points)))
    moments = GradientDecoding(fit).poses.moments
    for values in (moments.mean, moments.square, moments.visits):
        assert not values.any()


def test_a_search_wins_where_all_heads_are_wrong(truth):
    fit = make_fit(truth, "quick")
    rotations, shifts, right = proposals(truth)
    lost = torch.arange(COUNT) < 40
    rotations[lost, right[lost]] = random_rotations(40, torch.Generator().manual_seed(2))
    fit.particles.record_poses(torch.arange(COUNT), random_rotations(COUNT, fit.generator), torch.zeros(COUNT, 2))
    fit.encoder = Proposer(rotations, shifts, 25)
    choose(fit)
    assert float((fit.particles.winner[:40] == HEADS).float().mean()) > 0.9
    assert (
        float((fit.particles.winner[40:] == right[40:]).float().mean()) > 0.9
    )  # the truth is better than any grid's pose
    apart = rotation_distance(fit.particles.rotations, torch.from_numpy(truth.particles.rotations).float())
    assert float((apart < 20).float().mean()) > 0.9
    assert int(fit.particles.best_head.max()) < HEADS
    assert int(fit.particles.best_head.min()) >= 0


def test_advice(truth):
    fit = make_fit(truth, "quick")
    advisor = SwitchAdvisor(fit)
    advice = advisor.advise()
    assert not advice.ready
    assert "8 of 11 shells" in advice.reason
    fit.band.now = 11
    assert not advisor.advise().ready  # no posterior is known yet
    fit.particles.entropy[:] = 2.0
    advice = advisor.advise()
    assert not advice.ready
    assert "uncertain" in advice.reason
    assert "7.4 likely poses a particle" in advice.reason
    fit.particles.entropy[:] = 0.1
    fit.particles.winner[:] = HEADS
    fit.particles.candidates[:] = random_rotations(HEADS, torch.Generator().manual_seed(3))
    advice = advisor.advise()
    assert not advice.ready
    assert "heads still learn" in advice.reason
    turned = exponential_map(torch.tensor([0.0, 0.3, 0.0])) @ fit.particles.rotations
    fit.particles.candidates[:, 1] = turned
    advice = advisor.advise()
    assert advice.ready
    assert advice.reason.startswith("ready")
    assert "100 % of particles" in advice.reason
    fit.encoder = None
    fit.particles.candidates = fit.particles.candidates[:, :0]
    assert advisor.advise().ready


def test_agreement_of_the_nearest_head(truth):
    fit = make_fit(truth, "quick")
    rows = torch.arange(30)
    fit.particles.candidates[:, 2] = fit.particles.rotations
    assert agreement(fit, rows, fit.particles.rotations[:30]) == 1
    fit.particles.candidates[:15, 2] = exponential_map(torch.tensor([1.0, 0, 0])) @ fit.particles.rotations[:15]
    fit.particles.candidates[:, :2] = fit.particles.candidates[:, 2:]
    assert agreement(fit, rows, fit.particles.rotations[:30]) == pytest.approx(0.5)


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
    fit.band.now = fit.band.encoding
    fit.particles.entropy[:] = 0.1
    advisor = SwitchAdvisor(fit)
    for share in agreed:
        monkeypatch.setattr(switching, "agreement", lambda *_, share=share: share)
        advice = advisor.advise()
    assert advice.ready == ready
    assert ("learn no more" in advice.reason) == ready
    assert advisor.agreed == agreed


def test_advice_without_a_posterior_of_the_method_looks_itself(truth):
    """The paper's method: the heads are compared with a search, not with themselves."""
    fit = make_fit(truth, "paper-cpu")
    fit.band.now = fit.band.encoding
    fit.particles.candidates[:] = random_rotations(HEADS, torch.Generator().manual_seed(3))
    fit.particles.winner[:] = 0
    advisor = SwitchAdvisor(fit)
    advice = advisor.advise()
    assert not advice.ready
    assert "heads still learn" in advice.reason
    fit.particles.candidates[:, 1] = fit.particles.rotations
    assert advisor.advise().ready


def test_a_drawn_pose_is_not_given_up_for_a_worse_one(truth):
    """Without a search, heads that know nothing must not take it away; nor who it was from."""
    fit = make_fit(truth, "quick")
    fit.settings = dataclasses.replace(
        fit.settings, posterior=dataclasses.replace(fit.settings.posterior, search_at_switch=False)
    )
    rotations, shifts, right = proposals(truth)
    rows = torch.arange(COUNT)
    fit.particles.record_poses(rows, rotations[rows, right], shifts[rows, right])
    fit.particles.winner[:] = HEADS
    kept = fit.particles.rotations.clone()
    fit.encoder = Proposer(
        random_rotations(COUNT * HEADS, torch.Generator().manual_seed(9)).reshape(rotations.shape), shifts, 25
    )
    choose(fit)
    same = (fit.particles.rotations == kept).all(-1).all(-1)
    assert float(same.float().mean()) > 0.95
    assert torch.equal(fit.particles.winner == HEADS, same)


def test_a_policy_gives_its_reason():
    ready, waiting = SwitchAdvice(True, "ready: all is well"), SwitchAdvice(False, "not yet")
    assert automatic(3, ready) == "automatic: ready: all is well"
    assert automatic(3, waiting) is None
    assert by_hand(3, ready) is None
    assert [AfterEpochs(3)(epoch, ready) for epoch in (2, 3, 4)] == [None, "after 3 epochs", None]
    for switch, policy in ((3, AfterEpochs(3)), ("automatic", automatic), ("by-hand", by_hand)):
        assert policy_of(ScheduleSettings(switch=switch)) == policy
