"""The audit at the end of a run, and the verdicts that whole small runs end with."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from napari_cryospin.engine.audit import audit, commonest_mate, scrambled, told_apart
from napari_cryospin.engine.evidence import map_skewness, summed_up
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.engine.reconstruction import Reconstruction
from napari_cryospin.geometry.so3 import random_rotations, rotation_distance
from napari_cryospin.geometry.symmetry import point_group
from napari_cryospin.settings import PRESETS
from support.simulated import in_memory

QUICK = PRESETS["quick"]
SETTINGS = dataclasses.replace(
    QUICK,
    method="search",
    encoder=dataclasses.replace(QUICK.encoder, shifts=False),
    schedule=dataclasses.replace(QUICK.schedule, epochs=12, decoding_epochs=6, batch_size=100),
    machine=dataclasses.replace(QUICK.machine, device="cpu"),
)


def run_to_its_end(particles):
    made = Reconstruction(particles, SETTINGS)
    while not made.finished:
        made.advance()
    return made.results()


def points_on_a_sphere(size):
    """A map of eighty small blobs at random on a sphere, which has detail in all shells."""
    line = torch.arange(size) - size // 2
    where = torch.stack(torch.meshgrid(line, line, line, indexing="ij"), dim=-1).float()
    points = 12 * torch.nn.functional.normalize(torch.randn(80, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    return sum(torch.exp(-(where - point).square().sum(-1) / 1.3) for point in points)


@pytest.fixture(scope="module")
def fit(make_phantom, simulate):
    """A fit at the true poses."""
    found = simulate(make_phantom(32), count=300, snr=0.5, seed=1)
    images = PreparedImages(found.particles, SETTINGS.preparation, torch.arange(300))
    made = Fit(images, SETTINGS, torch.Generator().manual_seed(0), uses_encoder=False)
    made.particles.rotations[:] = torch.from_numpy(found.particles.rotations).float()
    made.band.now = 11
    return made


def test_images_tell_the_right_map_from_a_scrambled_one(fit):
    before = {name: value.clone() for name, value in vars(fit.particles).items() if isinstance(value, torch.Tensor)}
    state = fit.generator.get_state()
    found = audit(fit)
    assert float(found.gain.median()) > 20
    assert float(found.entropy.median()) < 0.05
    assert float((rotation_distance(found.found, torch.eye(3)) < 20).float().mean()) > 0.95
    assert float(found.sign_lead.median()) > 3
    assert torch.equal(fit.generator.get_state(), state)
    for name, value in before.items():
        assert torch.equal(getattr(fit.particles, name).nan_to_num(-9), value.nan_to_num(-9))


@pytest.mark.parametrize(("junk", "audited"), [(0.3, 210), (0.4, 300)])
def test_junk_of_a_class_is_not_audited_unless_it_is_more_than_a_third(fit, junk, audited):
    """Poses of junk are found again by chance only, and say nothing of the map."""
    made, count = copy.copy(fit), round(300 * junk)
    made.particles = copy.deepcopy(fit.particles)
    chosen = torch.randperm(300, generator=torch.Generator().manual_seed(2))[:count]
    made.particles.rotations[chosen] = random_rotations(count, torch.Generator().manual_seed(3))
    made.particles.trust[chosen] = 0
    assert len(audit(made).found) == 300  # Without classes all images are.
    made.number = 0
    found = audit(made).found
    assert len(found) == audited
    again = float((rotation_distance(found, torch.eye(3)) < 20).float().mean())
    assert again > 0.95 if audited < 300 else again < 0.7


def test_a_molecule_that_is_hollow_to_coarse_shells_is_told_by_finer_ones(simulate):
    """Up to twelve shells it is round, so that few images tell the map there: their masks mix neighbouring shells."""
    transform = torch.fft.fftn(torch.fft.ifftshift(points_on_a_sphere(48)))
    line = torch.fft.fftfreq(48) * 48
    radius = (line[:, None, None] ** 2 + line[:, None] ** 2 + line**2).sqrt()
    # It holds little of the power, so that the noise is no stronger than the detail.
    round_part = 0.05 * torch.exp(-radius.square() / 40) * transform[0, 0, 0].real
    hollow = torch.fft.fftshift(torch.fft.ifftn(torch.where(radius <= 12, round_part, transform)).real)
    found = simulate(hollow, count=150, snr=5.0, seed=1)
    images = PreparedImages(found.particles, SETTINGS.preparation, torch.arange(150))
    made = Fit(images, SETTINGS, torch.Generator().manual_seed(0), uses_encoder=False)
    made.particles.rotations[:] = torch.from_numpy(found.particles.rotations).float()
    made.band.now = 22
    closely = audit(made)
    made.band.now = 11
    coarsely = audit(made)
    assert (len(coarsely.gain), len(closely.gain)) == (150, 100)
    assert told_apart(coarsely.gain) < 0.3 < 0.9 < told_apart(closely.gain)
    assert float((rotation_distance(closely.found, torch.eye(3)) < 10).float().mean()) > 0.9


def test_poses_at_random_are_not_found_again_however_many_copies_count_as_one(fit):
    """Of an octahedral map, one pose in twenty lies within 20 degrees of any other, or of a copy of it."""
    made = copy.copy(fit)
    made.volume = copy.copy(fit.volume)
    made.volume.symmetry = point_group("O")
    turns = random_rotations(300, torch.Generator().manual_seed(0))
    turns = made.symmetry.nearest_copy(turns, torch.eye(3).expand(300, 3, 3))
    looked = audit(fit)
    assert summed_up(made, dataclasses.replace(looked, found=turns))["found_again"] < 0.1
    assert summed_up(made, dataclasses.replace(looked, found=torch.eye(3).expand(300, 3, 3)))["found_again"] == 1


def test_a_few_poses_at_random_are_not_found_again_either(fit):
    """Of a hundred turns at random, one in five has another one within 20 degrees."""
    looked = audit(fit)
    few = {name: getattr(looked, name)[:100] for name in ("gain", "entropy", "mate_lead", "mate_difference")}
    turns = random_rotations(100, torch.Generator().manual_seed(0))
    assert summed_up(fit, dataclasses.replace(looked, found=turns, **few))["found_again"] < 0.05


def test_the_opposite_sign_of_the_defocus_fits_worse_than_the_right_one(fit):
    with fit.images.opposite_defocus():
        given = fit.images.ctf(torch.arange(3))
        assert float(audit(fit).sign_lead.median()) < -3
    assert not torch.equal(fit.images.ctf(torch.arange(3)), given)


def test_images_of_noise_do_not_tell_their_map_from_a_scrambled_one():
    noise = np.random.default_rng(0).standard_normal((300, 32, 32), dtype=np.float32)
    images = PreparedImages(in_memory(noise, 3.0), SETTINGS.preparation, torch.arange(300))
    made = Fit(images, SETTINGS, torch.Generator().manual_seed(0), uses_encoder=False)
    made.band.now = 11
    found = audit(made)
    assert float((found.gain > 3).float().mean()) < 0.2
    assert not len(found.sign_lead)  # no CTF, no sign


def test_a_scrambled_map_keeps_the_power_of_each_shell():
    generator = torch.Generator().manual_seed(0)
    line = torch.linspace(-1, 1, 33)
    smooth = torch.einsum("x,y,z->zyx", *(torch.cos(line * turn) for turn in (2.0, 3.0, 5.0)))
    turned = scrambled(smooth, random_rotations(4, generator), 2, 2.0)
    radius = (line[:, None, None] ** 2 + line[:, None] ** 2 + line**2).sqrt() * 16
    for shell in range(3, 15):
        here = (radius >= shell - 0.5) & (radius < shell + 0.5)
        powers = [float(each[here].square().mean()) for each in (smooth, turned)]
        assert powers[1] == pytest.approx(powers[0], rel=0.15)
    assert float((smooth - turned).abs().max()) > 0.3


def test_the_commonest_mate_is_the_turn_that_many_poses_share():
    half_turn = torch.from_numpy(Rotation.from_rotvec([0, 0, np.pi]).as_matrix()).float()
    chance = random_rotations(60, torch.Generator().manual_seed(0))
    own = torch.eye(3).expand(100, 3, 3)
    wobble = torch.from_numpy(Rotation.from_rotvec(np.random.default_rng(0).normal(0, 0.05, (20, 3))).as_matrix())
    found = commonest_mate(torch.cat((own, chance, half_turn @ wobble.float())))
    assert float(rotation_distance(found, half_turn)) < 5
    assert torch.equal(commonest_mate(own), torch.eye(3))


def test_skewness_tells_bright_from_dark_protein(make_phantom):
    density = make_phantom(32).numpy()
    assert map_skewness(density) > 1
    assert map_skewness(-density) == pytest.approx(-map_skewness(density))
    assert np.isnan(map_skewness(np.zeros((8, 8, 8))))


def test_a_clean_run_converges_and_tells_its_resolution(make_phantom, simulate):
    results = run_to_its_end(simulate(make_phantom(32), count=400, snr=0.5, seed=3).particles)
    assert results.verdict.kind == "converged", results.verdict.sentence
    assert np.isfinite(results.resolution)


def test_a_run_of_noise_is_not_determined_and_tells_no_resolution():
    noise = np.random.default_rng(0).standard_normal((300, 32, 32), dtype=np.float32)
    results = run_to_its_end(in_memory(noise, 3.0))
    assert results.verdict.kind == "not determined"
    assert results.verdict.evidence["told_apart"] < 0.2
    assert np.isnan(results.resolution)


def test_dark_protein_is_not_converged(make_phantom, simulate):
    found = simulate(make_phantom(32), count=400, snr=0.5, seed=3)
    particles = dataclasses.replace(found.particles, open_stack=lambda path: -found.images)
    verdict = run_to_its_end(particles).verdict
    assert verdict.kind == "not determined"
    assert any("wrong sign" in reason for reason in verdict.reasons), verdict.sentence
