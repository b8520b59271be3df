"""The prior of shifts follows the particles whose poses are certain, and neither junk nor wrong poses."""

import math

import pytest
import torch

from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.engine.shift_prior import ShiftPrior
from napari_cryospin.settings import PRESETS

COUNT, SPREAD = 400, 6.0


@pytest.fixture
def fit(make_phantom, simulate) -> Fit:
    """Half of the particles are certain, with normal shifts; those of the others are spread over the whole range."""
    particles = simulate(make_phantom(24), count=COUNT, snr=1.0).particles
    settings = PRESETS["quick"]
    fit = Fit(PreparedImages(particles, settings.preparation, torch.arange(COUNT)), settings, torch.Generator())
    generator = torch.Generator().manual_seed(3)
    state, largest = fit.particles, fit.shift_range.largest
    state.shifts = SPREAD * torch.randn(COUNT, 2, generator=generator)
    state.shifts[::2] = largest * (2 * torch.rand(COUNT // 2, 2, generator=generator) - 1)
    state.entropy[:] = 0.0
    state.entropy[::2] = 2.0
    return fit


def test_the_spread_is_that_of_certain_particles(fit):
    assert ShiftPrior.of(fit).spread == pytest.approx(SPREAD, rel=0.15)


def test_junk_does_not_count(fit):
    fit.particles.entropy[:] = 0.0
    fit.particles.record_belonging(torch.arange(0, COUNT, 2), torch.full((COUNT // 2,), 0.1))
    assert ShiftPrior.of(fit).spread == pytest.approx(SPREAD, rel=0.15)


def test_few_certain_particles_are_not_relied_upon(fit):
    fit.particles.entropy[20:] = 2.0
    all_shifts = fit.particles.shifts
    assert ShiftPrior.of(fit).spread == pytest.approx(1.4826 * float(all_shifts.abs().median()))


def test_centred_particles_are_known_to_a_pixel_only(fit):
    fit.particles.shifts.zero_()
    assert ShiftPrior.of(fit).spread == fit.images.pixel_size


def test_the_density_is_a_normal_one():
    prior = ShiftPrior(spread=2.0, largest=50.0)
    shifts = torch.tensor([[0.0, 0.0], [2.0, 0.0], [3.0, -4.0]])
    normal = torch.distributions.Normal(0.0, 2.0).log_prob(shifts).sum(-1)
    torch.testing.assert_close(prior.log_density(shifts), normal - normal[0])


@pytest.mark.parametrize(
    ("largest", "reach"), [(50.0, 6.0), (5.0, 5.0), (0.0, 0.0)], ids=["spread", "limited", "not searched"]
)
def test_shifts_are_tried_as_far_as_particles_lie(largest, reach):
    tried = ShiftPrior(spread=2.0, largest=largest).trial_shifts(1.0, torch.device("cpu"))
    furthest = float(tried.norm(dim=-1).max())
    assert furthest == pytest.approx(reach, abs=1e-5)
    expected = sum(math.hypot(x, y) <= reach for x in range(-7, 8) for y in range(-7, 8))
    assert len(tried) == expected


def test_neighbours_are_tried_where_the_spread_is_small():
    assert len(ShiftPrior(spread=0.1, largest=50.0).trial_shifts(1.0, torch.device("cpu"))) == 9
