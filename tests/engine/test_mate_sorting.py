"""Particles are sorted among their mates by all images together, and an exact symmetry is told from a near one."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.engine.mate_sorting import (
    REAL_DIFFERENCE,
    lanczos,
    leading_weights,
    sort_mates,
    sorted_already,
    symmetry_broken,
)
from napari_cryospin.engine.mated_particles import PARTS, MatedParticles
from napari_cryospin.engine.pose_steps import GaussNewtonPoses
from napari_cryospin.engine.volume_steps import WienerStep
from napari_cryospin.geometry.so3 import exponential_map, rotation_distance
from napari_cryospin.settings import PRESETS

BOX, BAND, COUNT = 32, 10, 800
HALF_TURN = exponential_map(torch.tensor([0.0, 0.0, torch.pi]))


def twofold_map(defect: float) -> Tensor:
    """Make a map of blobs and their copies about z, with one blob that has no copy."""
    generator = torch.Generator().manual_seed(8)
    centres = torch.nn.functional.normalize(torch.randn(9, 3, generator=generator), dim=-1)
    centres = centres * (3 + 6 * torch.rand(9, 1, generator=generator))
    everything = torch.cat((centres, centres @ HALF_TURN.T, torch.tensor([[6.0, 1.0, 2.0]])))
    heights = torch.tensor([1.0] * 18 + [defect])
    line = torch.arange(BOX) - BOX // 2
    x, y, z = (torch.exp(-((line - everything[:, axis, None]) ** 2) / 4.5) for axis in range(3))
    return torch.einsum("b,bx,by,bz->zyx", heights, x, y, z)


def unsorted_fit(simulate, defect: float, snr: float, symmetry: str = "C1", share: float = 0.5) -> tuple[Fit, Tensor]:
    """Make a fit of which a share of the particles sits at the half-turned mate; and its true rotations."""
    particles = simulate(twofold_map(defect), count=COUNT, snr=snr).particles
    settings = PRESETS["quick"]
    settings = dataclasses.replace(settings, volume=dataclasses.replace(settings.volume, symmetry=symmetry))
    fit = Fit(PreparedImages(particles, settings.preparation, torch.arange(COUNT)), settings, torch.Generator())
    true = torch.from_numpy(particles.rotations).float()
    turned = torch.rand(COUNT, generator=torch.Generator().manual_seed(3)) < share
    stored = torch.where(turned[:, None, None], true @ HALF_TURN, true)
    fit.particles.record_poses(torch.arange(COUNT), stored, torch.zeros(COUNT, 2))
    fit.band.now = BAND
    fit.volume.set_band(BAND)
    WienerStep(fit).remake()
    return fit, true


def mated(fit: Fit) -> MatedParticles:
    return MatedParticles.of(fit, GaussNewtonPoses(fit), torch.arange(COUNT), HALF_TURN[None], BAND)


def right(fit: Fit, true: Tensor) -> float:
    """Share of the particles at their own side, up to a half turn of all."""
    share = float((rotation_distance(fit.particles.rotations, true) < 20).float().mean())
    return max(share, 1 - share)


@pytest.fixture(scope="module")
def near(simulate) -> tuple[Fit, Tensor]:
    return unsorted_fit(simulate, defect=0.8, snr=1.0)


def test_lanczos_finds_the_leading_eigenvector():
    generator = torch.Generator().manual_seed(1)
    matrix = torch.randn(60, 60, generator=generator)
    matrix = matrix + matrix.T
    _, vectors = np.linalg.eigh(matrix.double().numpy())
    found = lanczos(lambda vector: (matrix @ vector.flatten()).view(20, 3), torch.randn(20, 3, generator=generator), 50)
    assert float(found.norm()) == pytest.approx(1, abs=1e-4)
    assert abs(float(found.flatten() @ torch.from_numpy(vectors[:, -1]).float())) > 0.9999
    short = lanczos(lambda vector: 2 * vector, torch.ones(5), 12)  # the basis is complete after one vector
    assert torch.allclose(short.abs(), torch.full((5,), 5**-0.5))


def test_no_particle_is_compared_with_itself(near):
    """Whatever the weights of a part are, what it is compared with stays; those held out weigh nothing at all."""
    particles = mated(near[0])
    generator = torch.Generator().manual_seed(2)
    weights = torch.randn(COUNT, 2, generator=generator)
    one = particles.difference(weights)
    sizes = [sum(len(batch.rows) for batch in batches) for batches in particles.batches]
    assert sum(sizes) == COUNT
    assert len(sizes) == PARTS + 1
    other = weights.clone()
    other[: sizes[0]] *= -1
    other[particles.held_out] *= -1
    two = particles.difference(other)
    assert float((one[0] - two[0]).norm() / one[0].norm()) < 1e-4
    assert float((one[1] - two[1]).norm() / one[1].norm()) > 0.1


def test_two_images_agree_about_their_mates_in_either_order(near):
    """The matrix of particles by particles is symmetric."""
    particles = mated(near[0])
    generator = torch.Generator().manual_seed(4)
    one, two = (torch.randn(COUNT, 2, generator=generator) * (particles.trust > 0)[:, None] for _ in range(2))
    forth, back = (particles.compare(particles.difference(each)).overlap.sum(-1) for each in (one, two))
    apart = float((forth * two).sum()) - float((back * one).sum())
    assert abs(apart) < 0.01 * float(forth.norm() * two.norm())


def test_evenly_mixed_particles_are_sorted(simulate, near):
    fit, true = near
    assert right(fit, true) < 0.55
    assert not sorted_already(mated(fit))
    weights = leading_weights(mated(fit))
    assert torch.allclose(weights.mean(1), torch.zeros(COUNT), atol=1e-5)
    found = sort_mates(fit, GaussNewtonPoses(fit))
    assert found.certainty > REAL_DIFFERENCE
    assert 0.3 < found.changed < 0.7
    assert right(fit, true) > 0.95
    WienerStep(fit).remake()
    poses = fit.particles.rotations.clone()
    assert sort_mates(fit, GaussNewtonPoses(fit)) is None  # they are sorted already
    assert torch.equal(fit.particles.rotations, poses)


def test_particles_beyond_the_largest_number_are_sorted_too(simulate, monkeypatch):
    monkeypatch.setattr("napari_cryospin.engine.mate_sorting.MOST_SORTED", 500)
    fit, true = unsorted_fit(simulate, defect=0.6, snr=1.0)
    sort_mates(fit, GaussNewtonPoses(fit))
    assert right(fit, true) > 0.95


def test_a_handful_of_particles_is_no_reason_to_fail(simulate, monkeypatch):
    monkeypatch.setitem(globals(), "COUNT", 5)  # so few that some parts are empty
    fit, _ = unsorted_fit(simulate, defect=0.6, snr=5.0)
    assert sort_mates(fit, GaussNewtonPoses(fit)) is None or not fit.particles.rotations.isnan().any()


def test_particles_that_count_nothing_are_left_alone(simulate):
    fit, _ = unsorted_fit(simulate, defect=0.6, snr=5.0)
    fit.particles.trust[:] = 0
    poses = fit.particles.rotations.clone()
    found = sort_mates(fit, GaussNewtonPoses(fit))
    assert found is None or not found.changed
    assert torch.equal(fit.particles.rotations, poses)


def test_an_exact_symmetry_is_left_alone(simulate):
    fit, _ = unsorted_fit(simulate, defect=0.0, snr=0.5)
    poses, state = fit.particles.rotations.clone(), fit.generator.get_state()
    found = sort_mates(fit, GaussNewtonPoses(fit))
    assert found.certainty < REAL_DIFFERENCE
    assert not found.changed
    assert torch.equal(fit.particles.rotations, poses)
    assert torch.equal(fit.generator.get_state(), state)


@pytest.mark.parametrize(("defect", "broken"), [(0.0, False), (0.6, True)])
def test_an_imposed_symmetry_that_is_not_exact_is_noticed(simulate, defect, broken):
    fit, _ = unsorted_fit(simulate, defect=defect, snr=1.0, symmetry="C2")
    assert (symmetry_broken(fit, GaussNewtonPoses(fit)) > REAL_DIFFERENCE) is broken


def test_a_map_without_symmetry_has_none_to_break(near):
    assert np.isnan(symmetry_broken(near[0], GaussNewtonPoses(near[0])))


def test_mates_are_sorted_on_a_device_as_on_the_cpu(pretend_device, simulate):
    particles = simulate(twofold_map(0.6), count=200, snr=2.0, shift_sd=2.0).particles
    settings, rows = PRESETS["quick"], torch.arange(200)
    answers = []
    for device in ("cpu", pretend_device):
        fit = Fit(PreparedImages(particles, settings.preparation, rows, device), settings, torch.Generator())
        true, shifts = (torch.from_numpy(values).float() for values in (particles.rotations, particles.shifts))
        true[::2] = true[::2] @ HALF_TURN
        fit.particles.record_poses(rows.to(device), true.to(device), shifts.to(device))
        fit.band.now = BAND
        fit.volume.set_band(BAND)
        WienerStep(fit).remake()
        answers.append((sort_mates(fit, GaussNewtonPoses(fit)), fit.particles.rotations.cpu()))
    assert answers[0][0] == answers[1][0]
    assert torch.equal(answers[0][1], answers[1][1])
