"""A symmetric molecule: poses of the asymmetric unit alone, centring along the axis, reconstruction, resumption."""

import copy
import dataclasses

import pytest
import torch

from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.engine.near_symmetry import near_symmetries
from napari_cryospin.engine.reconstruction import Reconstruction
from napari_cryospin.engine.sampling import PoseSearch, unit_size
from napari_cryospin.engine.volume_steps import WienerStep
from napari_cryospin.evaluation.pose_error import rotation_errors
from napari_cryospin.geometry.so3 import random_rotations
from napari_cryospin.geometry.symmetry import NO_SYMMETRY, point_group
from napari_cryospin.physics.fourier import map_to_hartley
from napari_cryospin.settings import PRESETS, Settings
from support.same_state import assert_same
from support.simulated import symmetric_phantom


def settings_with(symmetry: str, preset: str = "quick", **schedule) -> Settings:
    settings = PRESETS[preset]
    return dataclasses.replace(
        settings,
        volume=dataclasses.replace(settings.volume, symmetry=symmetry),
        schedule=dataclasses.replace(settings.schedule, **schedule),
        machine=dataclasses.replace(settings.machine, device="cpu"),
    )


@pytest.fixture(scope="module")
def stack(simulate):
    """Particles of a molecule with the symmetry D3."""
    return simulate(symmetric_phantom(32, "D3", blobs=3), count=300, snr=1.0, shift_sd=3.0)


def fit_of(particles, symmetry: str) -> Fit:
    settings, rows = settings_with(symmetry), torch.arange(len(particles))
    return Fit(PreparedImages(particles, settings.preparation, rows), settings, torch.Generator().manual_seed(0))


def test_poses_of_the_asymmetric_unit_alone_are_searched(stack):
    fit = fit_of(stack.particles, "O")  # whether or not the molecule is octahedral
    for turn in (None, random_rotations(1, fit.generator)[0]):
        searched = PoseSearch(fit, turn, band=9).fine.rotations
        assert bool(fit.symmetry.in_unit(searched).all())
        assert len(searched) == pytest.approx(unit_size(9, fit.symmetry), rel=0.15)
    assert unit_size(9, fit.symmetry) == 4608 / 24


@pytest.mark.parametrize(("name", "moved"), [("C1", (1.0, -2.0, 3.0)), ("C2", (0.0, 0.0, 3.0)), ("O", (0.0, 0.0, 0.0))])
def test_a_map_is_centred_where_its_symmetry_leaves_it_free(stack, name, moved):
    fit = fit_of(stack.particles, name)
    off_centre = torch.tensor([1.0, -2.0, 3.0])
    rotations = fit.particles.rotations.clone()
    fit.particles.record_poses(torch.arange(len(fit)), rotations, rotations[:, :2] @ off_centre)
    WienerStep(fit).centre()
    left = rotations[:, :2] @ (off_centre - torch.tensor(moved))
    torch.testing.assert_close(fit.particles.shifts, left, atol=0.1, rtol=0)


def test_symmetries_of_the_group_are_no_near_symmetries():
    lattice = map_to_hartley(symmetric_phantom(32, "D3"), 2)
    assert len(near_symmetries(lattice, 2, 9, group=NO_SYMMETRY)) == 5
    assert not len(near_symmetries(lattice, 2, 9, group=point_group("D3")))
    assert len(near_symmetries(lattice, 2, 9, group=point_group("C3"))) == 1  # the two-folds are copies of each other


def test_a_symmetric_molecule_is_reconstructed(stack):
    """With the axes where the convention has them; results have poses of the asymmetric unit."""
    reconstruction = Reconstruction(stack.particles, settings_with("D3"))
    while not reconstruction.finished:
        reconstruction.advance()
    found = reconstruction.results().particles
    errors = rotation_errors(found.rotations, stack.particles.rotations[found.rows], symmetry="D3")
    assert errors.within_10 > 0.9
    group = point_group("D3")
    assert bool(group.in_unit(torch.from_numpy(found.rotations)).all())
    turn = torch.from_numpy(errors.alignment).double()
    turned = turn.T @ group.rotations(turn) @ turn  # the true map's axes in the frame of the found one
    apart = (turned[:, None] - group.rotations(turn)).flatten(-2).norm(dim=-1).amin(1)
    assert float(apart.max()) < 0.1


@pytest.mark.parametrize("preset", ["quick", "paper-cpu"])
def test_a_resumed_symmetric_run_is_the_same(stack, preset):
    settings = settings_with("D3", preset, epochs=4, switch=2, batch_size=50)
    whole = Reconstruction(stack.particles, settings)
    kept = None
    while not whole.finished:
        whole.advance()
        if whole.step == 9:
            kept = copy.deepcopy(whole.state_dict())
    resumed = Reconstruction(stack.particles, settings)
    resumed.load_state_dict(kept)
    while not resumed.finished:
        resumed.advance()
    assert_same(resumed.state_dict(), whole.state_dict())
