"""Near-symmetries of a map are found, and none where there is none."""

import pytest
import torch
from torch import Tensor

from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.engine.mates import MateTest
from napari_cryospin.engine.methods import METHODS
from napari_cryospin.engine.near_symmetry import near_symmetries
from napari_cryospin.engine.phases import FIRST_MATES_BAND, DecodingStanding, Phase, Task
from napari_cryospin.engine.pose_steps import GaussNewtonPoses
from napari_cryospin.engine.switching import agreement
from napari_cryospin.engine.volume_steps import WienerStep
from napari_cryospin.geometry.so3 import exponential_map, random_rotations, rotation_distance
from napari_cryospin.physics.fourier import half_plane, map_to_hartley
from napari_cryospin.physics.slicing import central_slices
from napari_cryospin.settings import PRESETS

BOX, PADDING, BAND = 32, 2, 10
AXIS = torch.nn.functional.normalize(torch.tensor([0.3, -0.5, 0.8]), dim=0)


def symmetric_map(order: int, defect: float = 0.0) -> Tensor:
    """Blobs, each with its copies about `AXIS`; `defect`: height of one blob that has none."""
    generator = torch.Generator().manual_seed(8)
    centres = torch.nn.functional.normalize(torch.randn(9, 3, generator=generator), dim=-1)
    centres = centres * (3 + 6 * torch.rand(9, 1, generator=generator))
    copies = [centres @ about(360 * k / order).T for k in range(order)]
    heights = torch.ones(9 * order + 1)
    heights[-1] = defect
    line = torch.arange(BOX) - BOX // 2
    everything = torch.cat((*copies, centres[:1].roll(1, 1)))
    x, y, z = (torch.exp(-((line - everything[:, axis, None]) ** 2) / 4.5) for axis in range(3))
    return torch.einsum("b,bx,by,bz->zyx", heights, x, y, z)


def about(degrees: float) -> Tensor:
    return exponential_map(torch.deg2rad(torch.tensor(degrees)) * AXIS)


def mate_test(fit: Fit) -> MateTest:
    return MateTest(fit, WienerStep(fit), GaussNewtonPoses(fit))


def mates_of(density: Tensor) -> Tensor:
    return near_symmetries(map_to_hartley(density, PADDING), PADDING, BAND)


@pytest.mark.parametrize("defect", [0.0, 0.7])
@pytest.mark.parametrize("order", [2, 3, 7])
def test_the_turns_of_a_symmetric_map(order, defect):
    """Also where one blob breaks the symmetry."""
    found = mates_of(symmetric_map(order, defect))
    assert len(found) == order - 1
    turns = [360.0 * k / order for k in range(1, order)]
    apart = torch.stack([rotation_distance(found, about(turn)) for turn in turns])
    assert float(apart.min(1).values.max()) < 7  # each turn is found, as near as the grid has it
    assert float(apart.min(0).values.max()) < 7


def test_a_map_without_symmetry_has_no_mates(make_phantom):
    assert mates_of(make_phantom(BOX)).shape == (0, 3, 3)


def test_mates_explain_an_image_alike():
    """`A` and `A Q`: the convention in which a mate is applied to a pose."""
    lattice, points = map_to_hartley(symmetric_map(3), PADDING), half_plane(BOX, BAND)
    rotations = random_rotations(5, torch.Generator().manual_seed(1))
    here = central_slices(lattice, rotations, points, PADDING)
    there = central_slices(lattice, rotations @ about(120.0), points, PADDING)
    wrong = central_slices(lattice, about(120.0) @ rotations, points, PADDING)
    assert float((there - here).norm() / here.norm()) < 0.05
    assert float((wrong - here).norm() / here.norm()) > 0.3


def test_a_symmetry_group_has_at_most_as_many_mates_as_asked_for():
    found = near_symmetries(map_to_hartley(symmetric_map(3), PADDING), PADDING, BAND, most=1)
    assert len(found) == 1


def test_the_test_waits_for_fine_poses_and_ends(make_phantom, simulate):
    particles = simulate(make_phantom(32), count=20, snr=5.0).particles
    settings = PRESETS["quick"]
    fit = Fit(PreparedImages(particles, settings.preparation, torch.arange(20)), settings, torch.Generator())
    test = mate_test(fit)
    for band, task in ((6, Task.NOTHING), (fit.band.full, Task.TEST_MATES), (FIRST_MATES_BAND, Task.TEST_MATES)):
        assert DecodingStanding(Phase.TESTING_MATES, 6, band).task(fit.band.full) is task
    fit.band.now = fit.band.full
    fit.volume.set_band(fit.band.now)
    fit.volume.forget(0)
    fit.particles.record_poses(torch.arange(20), torch.from_numpy(particles.rotations).float(), torch.zeros(20, 2))
    test.step.remake()
    before = fit.particles.rotations.clone()
    assert test.run() == {"mates": 0.0}  # no near-symmetry: over, and nothing was touched
    assert test.tally.over
    assert torch.equal(fit.particles.rotations, before)


def test_an_epoch_ends_with_a_look_for_near_symmetries(simulate):
    """Which of the mates a head proposes does not matter then."""
    particles = simulate(symmetric_map(3), count=200, snr=5.0).particles
    settings = PRESETS["quick"]
    fit = Fit(PreparedImages(particles, settings.preparation, torch.arange(200)), settings, torch.Generator())
    fit.particles.record_poses(torch.arange(200), torch.from_numpy(particles.rotations).float(), torch.zeros(200, 2))
    fit.volume.forget(0)
    stage = METHODS["cryospin"].first_stage(fit)
    stage.volume_step.remake()
    stage.end_epoch()
    assert len(fit.near_symmetries.rotations) == 0  # only the first shells are looked at yet
    fit.band.now = fit.band.encoding
    WienerStep(fit).remake(fit.band.now)
    fit.particles.candidates[:] = (fit.particles.rotations @ about(120.0))[:, None]
    assert agreement(fit, torch.arange(200), fit.particles.rotations) == 0
    stage.end_epoch()
    assert len(fit.near_symmetries.rotations) == 2
    assert agreement(fit, torch.arange(200), fit.particles.rotations) == 1
    other = Fit(fit.images, settings, torch.Generator())
    other.load_state_dict(fit.state_dict())
    assert torch.equal(other.near_symmetries.rotations, fit.near_symmetries.rotations)


def test_an_exact_symmetry_is_known_after_two_rounds_and_its_mates_are_mixed(simulate):
    """Always the best would keep on sorting; a mate is drawn, and the poses stay right modulo the symmetry."""
    particles = simulate(symmetric_map(3), count=200, snr=0.5).particles
    settings = PRESETS["quick"]
    fit = Fit(PreparedImages(particles, settings.preparation, torch.arange(200)), settings, torch.Generator())
    true = torch.from_numpy(particles.rotations).float()
    fit.particles.record_poses(torch.arange(200), true, torch.zeros(200, 2))
    fit.band.now = fit.band.full
    fit.volume.set_band(fit.band.now)
    fit.volume.forget(0)
    test = mate_test(fit)
    test.step.remake()
    found = test.run()
    assert found["mates"] == 2
    assert 0.3 < found["mates_changed"] < 0.9
    assert not test.tally.over
    test.run()
    assert test.tally.over
    turns = torch.stack([about(120.0 * k) for k in range(3)])
    apart = rotation_distance(fit.particles.rotations[:, None], true[:, None] @ turns).amin(1)
    assert float(apart.median()) < 3


def test_mates_are_tested_on_a_device_as_on_the_cpu(pretend_device, simulate):
    particles = simulate(symmetric_map(3), count=30, snr=2.0, shift_sd=2.0).particles
    settings, rows = PRESETS["quick"], torch.arange(30)
    answers = []
    for device in ("cpu", pretend_device):
        fit = Fit(PreparedImages(particles, settings.preparation, rows, device), settings, torch.Generator())
        poses = (torch.from_numpy(values).float().to(device) for values in (particles.rotations, particles.shifts))
        fit.particles.record_poses(rows, *poses)
        fit.volume.forget(0)
        test = mate_test(fit)
        test.step.remake(fit.band.full)
        fit.band.now = fit.band.full
        found = test.run()
        poses = fit.particles.rotations.cpu(), fit.particles.shifts.cpu()
        answers.append((found, *poses, fit.volume.sums.cpu()))
    (expected, *tensors), (found, *others) = answers
    assert expected["mates"] == 2
    assert found == expected
    for one, other in zip(tensors, others, strict=True):
        assert torch.equal(one, other)
