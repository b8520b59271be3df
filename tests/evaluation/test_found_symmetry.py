"""The symmetry of a map is found wherever its axes lie, and none where there is none."""

import numpy as np
import pytest
import torch

from napari_cryospin.evaluation.found_symmetry import aligned_map, symmetric_map, symmetry_of_map
from napari_cryospin.geometry.point_groups import group_matrices
from napari_cryospin.geometry.so3 import random_rotations
from napari_cryospin.io.mrc import read_map
from napari_cryospin.simulation.sample_maps import SAMPLE_MAPS
from support.simulated import symmetric_phantom, turned_phantom

PIXEL = 3.0
SHIFT = np.array([3.0, -2.0, 4.0])  # Angstrom


def turned(name: str, seed: int, shift=SHIFT) -> tuple[np.ndarray, np.ndarray]:
    rotation = random_rotations(1, torch.Generator().manual_seed(seed))[0].double().numpy()
    blobs = 6 if len(group_matrices(name)) < 6 else 3
    return turned_phantom(32, name, rotation, shift, blobs).numpy(), rotation


def off_axis(found, rotation: np.ndarray) -> float:
    """Largest angle, degrees, from an axis of the group as it was found to the nearest true one."""
    group = group_matrices(found.name)
    there, here = (turn @ group @ turn.T for turn in (rotation, found.rotation.T))
    apart = np.linalg.norm(here[:, None] - there[None], axis=(-2, -1)).min(1).max()
    return float(np.degrees(apart / np.sqrt(8)))  # |R - 1| = sqrt(8) sin(angle / 2), twice the tilt of a two-fold


@pytest.mark.parametrize(("name", "seed"), [("C3", 1), ("D2", 2), ("D7", 3), ("T", 4), ("O", 5), ("I2", 6), ("C12", 7)])
def test_axes_are_found_at_any_orientation(name, seed):
    density, rotation = turned(name, seed)
    best = symmetry_of_map(density, PIXEL, resolution=9.6).best
    assert best.name == name
    assert best.exact
    assert best.score > 0.99
    assert off_axis(best, rotation) < 1
    free = np.diagonal(group_matrices(name).mean(0)) < 0.5  # along the others the centre is free
    meeting = (best.rotation @ SHIFT + best.shift)[free]
    np.testing.assert_allclose(meeting, 0, atol=0.5)


@pytest.mark.parametrize("name", ["C3", "D7", "I2"])
def test_noise_hides_nothing_of_half_maps(name):
    density, rotation = turned(name, 8)
    noise = np.random.default_rng(0).normal(size=(2, *density.shape)) * density.std()
    noisy = density + noise
    half_maps = symmetry_of_map(noisy[0], PIXEL, second=noisy[1], resolution=9.6).best
    assert half_maps.name == name
    assert half_maps.exact
    assert off_axis(half_maps, rotation) < 1
    alone = symmetry_of_map(noisy[0], PIXEL, name, resolution=9.6).candidates[0]
    assert 0.5 < alone.score < 0.9  # one map cannot tell noise from what is not symmetric


@pytest.mark.parametrize("shells", [6, 10, 16])
def test_the_spliceosome_has_none(shells):
    density, pixel_size = read_map(SAMPLE_MAPS["spliceosome"])
    assert symmetry_of_map(density, pixel_size, resolution=64 * pixel_size / shells).best is None


def test_noise_has_none():
    noise = np.random.default_rng(1).normal(size=(2, 32, 32, 32))
    assert symmetry_of_map(noise[0], PIXEL).best is None
    report = symmetry_of_map(noise[0], PIXEL, second=noise[1])
    assert report.best is None
    assert "half maps agree too little" in report.text


def blob(*radii: float) -> np.ndarray:
    line = np.arange(32) - 16.0
    z, y, x = np.meshgrid(line, line, line, indexing="ij")
    return np.exp(-((x / radii[0]) ** 2 + (y / radii[1]) ** 2 + (z / radii[2]) ** 2)).astype(np.float32)


@pytest.mark.parametrize("radii", [(7, 7, 7), (5, 5, 10), (5, 7, 10)])
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_a_featureless_blob_has_none(radii, noise):
    density = blob(*radii) + noise * np.random.default_rng(2).normal(size=(32, 32, 32)).astype(np.float32)
    assert symmetry_of_map(density, PIXEL).best is None


def test_a_near_symmetry_shows_as_such():
    """One blob too many: C2 is found, with a score below exact."""
    density, _ = turned("C2", 9)
    extra = turned_phantom(32, "C1", np.eye(3), np.zeros(3), 1, seed=7).numpy()
    found = symmetry_of_map(density + 2 * extra, PIXEL, resolution=9.6).best
    assert found.name == "C2"
    assert not found.exact
    assert 0.7 < found.score < 0.95
    assert "nearly like C2" in found.text


def test_hsp90_is_less_than_exact_and_the_spike_is():
    scores = []
    for name, group in (("hsp90", "C2"), ("spike", "C3")):
        density, pixel_size = read_map(SAMPLE_MAPS[name])
        found = symmetry_of_map(density, pixel_size, resolution=64 * pixel_size / 24).best
        assert found.name == group
        scores.append(found.score)
    assert 0.85 < scores[0] < 0.95
    assert scores[1] > 0.99


@pytest.mark.parametrize("name", ["D3", "I1"])
def test_a_map_is_turned_to_the_convention(name):
    density, _ = turned(name, 10)
    found = symmetry_of_map(density, PIXEL, name, resolution=9.6).candidates[0]
    aligned = aligned_map(density, PIXEL, found)
    symmetric = symmetric_map(aligned, name)
    assert np.abs(aligned - symmetric).max() < 0.05 * aligned.max()
    as_it_lies = symmetric_map(density, name)
    assert np.abs(density - as_it_lies).max() > 0.2 * density.max()
    here = symmetric_phantom(32, name, 3).numpy()
    np.testing.assert_allclose(symmetric_map(here, name), here, atol=0.05 * here.max())


def test_few_shells_tell_nothing():
    density, _ = turned("C3", 1)
    report = symmetry_of_map(density, PIXEL, resolution=19.2)
    assert report.best is None
    assert report.text == "no symmetry can be told: 19.2 A are 5 shells of the box; expected at least 6"


def test_a_resolution_coarser_than_the_box_tells_nothing():
    """Halves that do not agree anywhere have an infinite one."""
    for resolution in (1e6, np.inf):
        report = symmetry_of_map(np.zeros((16, 16, 16), np.float32), 2.0, resolution=resolution)
        assert "0 shells" in report.obstacle


def test_refusals():
    density = blob(5, 7, 9)
    with pytest.raises(ValueError, match="expected a group with an axis"):
        symmetry_of_map(density, PIXEL, "C1")
    with pytest.raises(ValueError, match="expected a point group"):
        symmetry_of_map(density, PIXEL, "X3")
    with pytest.raises(ValueError, match="expected even cubes of one size"):
        symmetry_of_map(density[1:], PIXEL)
