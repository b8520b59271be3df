"""Winner takes all: with a graph for the winner alone it is the plain minimum over heads."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from napari_cryospin.engine.auto_encoding import AutoEncoding
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.engine.losses import image_errors, take, teaching_loss, winner_takes_all
from napari_cryospin.engine.methods import METHODS
from napari_cryospin.engine.near_symmetry import with_mates
from napari_cryospin.geometry.so3 import exponential_map, random_rotations
from napari_cryospin.models.encoder import Encoder
from napari_cryospin.physics.fourier import from_half_plane, to_half_plane
from napari_cryospin.settings import PRESETS


def test_errors_are_the_sums_of_equation_3():
    generator = torch.Generator().manual_seed(0)
    predicted = torch.randn(3, 2, 5, generator=generator, dtype=torch.complex64)
    images = torch.randn(3, 5, generator=generator, dtype=torch.complex64)
    weights = torch.rand(3, 5, generator=generator) + 0.5
    squared = image_errors(predicted, images, weights)
    absolute = image_errors(predicted, images, weights, "absolute")
    for b, m in ((0, 0), (1, 1), (2, 0)):
        difference = (predicted[b, m] - images[b]).abs()
        torch.testing.assert_close(squared[b, m], (weights[b] * difference.square()).sum())
        torch.testing.assert_close(absolute[b, m], (weights[b].sqrt() * difference).mean())
    best, winner = winner_takes_all(squared)
    assert torch.equal(best, squared.min(1).values)
    assert torch.equal(take(squared, winner), best)


@pytest.mark.parametrize("kind", ["squared", "absolute"])
def test_derivative_is_finite_where_the_image_is_met(kind):
    images = torch.randn(2, 4, dtype=torch.complex64)
    predicted = images[:, None].clone().requires_grad_()
    image_errors(predicted, images, torch.ones(2, 4), kind).sum().backward()
    assert bool(predicted.grad.isfinite().all())


@pytest.mark.parametrize("kind", ["squared", "absolute"])
def test_one_graph_for_the_winner_gives_the_plain_minimum(kind, make_phantom, simulate):
    """Value, and gradient of every weight of encoder and volume, of one step against `min` with all graphs built."""
    particles = simulate(make_phantom(16), count=24, snr=0.5, shift_sd=3.0).particles
    settings = PRESETS["paper-cpu"]
    settings = dataclasses.replace(
        settings,
        encoder=dataclasses.replace(settings.encoder, heads=3, shifts=True),
        volume=dataclasses.replace(settings.volume, loss=kind),
    )
    fit = Fit(PreparedImages(particles, settings.preparation, torch.arange(24)), settings, torch.Generator())
    stage, rows = METHODS["cryospin"].first_stage(fit), torch.arange(24)
    batch = fit.batch(rows)
    rotations, shifts = fit.encoder.train()(fit.encoder_images(rows))
    errors = image_errors(fit.project(batch, rotations, shifts), batch.images, batch.weights, kind)
    per_point = len(batch.points) if kind == "squared" else 1
    loss = errors.min(1).values.mean()
    parameters = [*fit.encoder.parameters(), *fit.volume.parameters()]
    plain = torch.autograd.grad(loss / per_point, parameters)
    assert len(errors.argmin(1).unique()) > 1
    for learner in (*stage.learners, stage.volume_step):
        for group in learner.optimiser.param_groups:
            group["lr"] = 0.0  # the step leaves the weights, and their gradients to be compared
    metrics = stage.step(rows)
    assert metrics["loss"] == pytest.approx(float(loss.detach()) / fit.noise_error(len(batch.points)), rel=1e-5)
    assert torch.equal(fit.particles.winner, errors.argmin(1).to(fit.particles.winner))
    for parameter, expected in zip(parameters, plain, strict=True):
        scale = float(expected.abs().max()) + 1e-6
        torch.testing.assert_close(parameter.grad, expected, atol=2e-4 * scale, rtol=1e-3)


def with_heads(particles, method: str, **encoder) -> tuple[Fit, AutoEncoding]:
    """A fit and its first stage, whose steps leave all weights as they are."""
    settings = PRESETS["paper-cpu"]
    settings = dataclasses.replace(
        settings, method=method, encoder=dataclasses.replace(settings.encoder, heads=1, shifts=True, **encoder)
    )
    images = PreparedImages(particles, settings.preparation, torch.arange(len(particles)))
    fit = Fit(images, settings, torch.Generator().manual_seed(0))
    stage = METHODS[method].first_stage(fit)
    for learner in (*stage.learners, stage.volume_step):
        for group in learner.optimiser.param_groups:
            group["lr"] = 0.0
    return fit, stage


def test_winner_takes_all_of_one_head_is_the_plain_loss(make_phantom, simulate):
    """cryoPoseNet's loss: the mean error of the one pose, and its gradient."""
    fit, stage = with_heads(simulate(make_phantom(16), count=24, snr=0.5, shift_sd=3.0).particles, "cryoposenet")
    rows = torch.arange(24)
    batch = fit.batch(rows)
    rotations, shifts = fit.encoder.train()(fit.encoder_images(rows))
    model = fit.project(batch, rotations[:, 0], shifts[:, 0])
    loss = ((model - batch.images).abs().square() * batch.weights).sum(-1).mean()
    parameters = [*fit.encoder.parameters(), *fit.volume.parameters()]
    plain = torch.autograd.grad(loss / len(batch.points), parameters)
    metrics = stage.step(rows)
    assert metrics["loss"] == pytest.approx(float(loss.detach()) / fit.noise_error(len(batch.points)), rel=1e-5)
    for parameter, expected in zip(parameters, plain, strict=True):
        scale = float(expected.abs().max()) + 1e-6
        torch.testing.assert_close(parameter.grad, expected, atol=2e-4 * scale, rtol=1e-3)


def test_cryoais_symmetrised_loss(make_phantom, simulate):
    """The better of an image and its half-turned copy, each compared with its own prediction (cryoAI, section 3.4).

    The copy is made of pixels here, and is compared with the model of the pose that was found in it.
    """
    particles = simulate(make_phantom(16), count=24, snr=0.5, shift_sd=3.0).particles
    fit, stage = with_heads(particles, "cryoai-explicit", half_turned=True)
    rows = torch.arange(24)
    batch = fit.batch(rows)
    pixels = from_half_plane(batch.images, batch.points, 16).numpy()
    turned = np.roll(np.rot90(pixels, 2, axes=(1, 2)), 1, axis=(1, 2)).copy()
    copy = to_half_plane(torch.from_numpy(turned), batch.points)
    seen = fit.encoder_images(rows)
    both = torch.cat((seen, torch.from_numpy(np.roll(np.rot90(seen.numpy(), 2, axes=(1, 2)), 1, axis=(1, 2)).copy())))
    single = copy_of(fit.encoder)
    rotations, shifts = (part[:, 0] for part in single.train()(both))
    own = image_errors(fit.project(batch, rotations[:24], shifts[:24])[:, None], batch.images, batch.weights)
    other = image_errors(fit.project(batch, rotations[24:], shifts[24:])[:, None], copy, batch.weights)
    errors = torch.cat((own, other), 1)
    metrics = stage.step(rows)
    assert metrics["loss"] == pytest.approx(
        float(errors.min(1).values.mean().detach()) / fit.noise_error(len(batch.points)), rel=1e-4
    )
    assert torch.equal(fit.particles.winner, errors.argmin(1).to(fit.particles.winner))
    assert sorted(fit.particles.winner.unique().tolist()) == [0, 1]
    assert fit.particles.candidates.shape == (24, 2, 3, 3)


def copy_of(encoder: Encoder) -> Encoder:
    """The same network, which sees images as they are alone."""
    single = copy.deepcopy(encoder)
    single.half_turned = False
    return single


def test_teaching_pulls_the_nearest_head_to_the_nearest_mate():
    generator = torch.Generator().manual_seed(4)
    heads = random_rotations(15, generator).reshape(5, 3, 3, 3).requires_grad_()
    turn = exponential_map(torch.tensor([0.0, 0.0, 2 * torch.pi / 3]))
    mates, none = torch.stack((turn, turn @ turn)), torch.zeros(0, 3, 3)
    small = exponential_map(0.1 * torch.randn(5, 3, generator=generator))
    drawn = heads[:, 1].detach() @ small @ turn  # the second head's proposal, nearly, but another mate of it
    shifts = torch.zeros(5, 3, 2)
    loss = teaching_loss(heads, shifts, with_mates(drawn, mates), shifts[:, 0], 0.0)
    expected = (small - torch.eye(3)).square().sum((-2, -1)).mean()
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-4)
    (gradient,) = torch.autograd.grad(loss, heads)
    assert gradient[:, 1].abs().amin(0).max() > 0
    assert not gradient[:, [0, 2]].any()
    assert teaching_loss(heads, shifts, with_mates(drawn, none), shifts[:, 0], 0.0) > 10 * loss
    further = teaching_loss(heads, shifts, with_mates(drawn, mates), shifts[:, 0] + 2, 10.0)
    assert float((further - loss).detach()) == pytest.approx(0.3 * 2 * 0.2**2, rel=1e-3)
