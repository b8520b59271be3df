"""Results against a truth: rows matched by image, frames and hands aligned, maps laid on each other by the poses."""

from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import napari_cryospin
from napari_cryospin.evaluation.against_truth import align_truth, compare_maps, compare_poses, evaluate_results
from napari_cryospin.evaluation.map_alignment import apply_alignment
from napari_cryospin.geometry.hand import HAND_FLIP, flip_hand
from napari_cryospin.geometry.point_groups import group_matrices
from napari_cryospin.io.files import MissingStacksError
from napari_cryospin.io.located import PixelSizeMissingError
from napari_cryospin.io.mrc import read_map, write_map
from napari_cryospin.io.open import open_particles, open_same_images
from napari_cryospin.io.star.particles import write_particles
from napari_cryospin.simulation.files import write_simulation
from napari_cryospin.simulation.images import SimulationSettings

SAMPLE_MAP = Path(napari_cryospin.__file__).parent / "data" / "spliceosome_64.mrc"
FRAME = Rotation.from_euler("ZYZ", [20, 40, 60], degrees=True).as_matrix()
TRANSLATION = np.array([17.0, -9.0, 4.0])  # A


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    out = tmp_path_factory.mktemp("simulated") / "particles"
    files = write_simulation(SAMPLE_MAP, out, SimulationSettings(count=60, box=32, snr=None, shift_sd=10.0))
    return open_particles(files.truth)


def found_poses(truth, flipped):
    """What a perfect run would have found whose map has `FRAME.T @ (p + TRANSLATION)` for `p`, or the mirror image."""
    rotations = truth.rotations @ FRAME
    shifts = truth.shifts + (truth.rotations @ TRANSLATION)[:, :2]
    return (HAND_FLIP @ rotations if flipped else rotations), shifts


@pytest.mark.parametrize("flipped", [False, True])
def test_rows_are_matched_by_image_and_frames_aligned(truth, flipped):
    rotations, shifts = found_poses(truth, flipped)
    some = np.random.default_rng(0).permutation(60)[:40]
    found = replace(truth.select(some), rotations=rotations[some], shifts=shifts[some])
    errors, moved = compare_poses(found, truth, "C1")
    assert errors.errors.max() < 1e-3
    assert errors.hand_flipped == flipped
    np.testing.assert_allclose(moved.translation, -TRANSLATION, atol=1e-2)
    assert moved.errors.max() < 1e-2


@pytest.mark.parametrize("flipped", [False, True])
def test_truth_in_the_runs_frame_while_half_of_the_poses_are_wrong(truth, flipped):
    rotations, _ = found_poses(truth, flipped)
    some = np.random.default_rng(0).permutation(60)[:50]
    poses = rotations[some]
    poses[::2] = Rotation.random(25, random_state=1).as_matrix()
    found = align_truth(some, poses, np.zeros(50, np.int8), truth, truth, "C1")
    np.testing.assert_allclose(found.rotations, rotations[some], atol=0.02)


def test_each_half_set_has_a_frame_of_its_own(truth):
    half_sets = np.repeat([1, 2], 30)
    poses = np.where((half_sets == 1)[:, None, None], *(found_poses(truth, flipped)[0] for flipped in (False, True)))
    found = align_truth(np.arange(60), poses, half_sets, truth, truth, "C1")
    np.testing.assert_allclose(found.rotations, poses, atol=1e-4)
    off = Rotation.from_rotvec([0, 0, np.radians(40)]).as_matrix()
    np.testing.assert_allclose(found.errors_of(np.stack([poses, off @ poses], 1)), [[0, 40]] * 60, atol=0.01)


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("symmetry", ["C3", "D6", "T", "O", "I"])
def test_poses_on_any_symmetric_copy_agree_and_the_nearest_copy_is_the_truth(truth, symmetry, flipped):
    group = group_matrices(symmetry)
    copies = group[np.random.default_rng(0).integers(len(group), size=60)]
    poses = truth.rotations @ copies @ FRAME
    poses = HAND_FLIP @ poses if flipped else poses
    off = Rotation.from_rotvec([0, 0, np.radians(5)]).as_matrix()
    poses[0] = off @ poses[0]
    found = align_truth(np.arange(60), poses, np.zeros(60, np.int8), truth, truth, symmetry)
    np.testing.assert_allclose(found.rotations[1:], poses[1:], atol=1e-3)
    np.testing.assert_allclose(off @ found.rotations[0], poses[0], atol=1e-3)


@pytest.mark.parametrize("symmetry", ["C1", "D6", "O", "I"])
def test_of_wrong_poses_no_truth_is_made_up(truth, symmetry):
    wrong = Rotation.random(60, random_state=2).as_matrix()
    assert align_truth(np.arange(60), wrong, np.zeros(60, np.int8), truth, truth, symmetry) is None
    mostly = np.where((np.arange(60) < 2)[:, None, None], truth.rotations, wrong)
    assert align_truth(np.arange(60), mostly, np.zeros(60, np.int8), truth, truth, symmetry) is None


def test_an_image_that_the_truth_lacks_is_named(truth):
    with pytest.raises(ValueError, match=r"particles_truth\.star: no row for image 60 of .*particles\.mrcs"):
        compare_poses(truth, truth.select(np.arange(59)), "C1")


def test_a_truth_without_poses_is_refused(truth):
    with pytest.raises(ValueError, match="no poses"):
        compare_poses(truth, replace(truth, rotations=None), "C1")


@pytest.mark.parametrize("flipped", [False, True])
def test_a_folder_of_results_is_compared_as_a_whole(truth, flipped, tmp_path):
    rotations, shifts = found_poses(truth, flipped)
    write_particles(tmp_path / "particles.star", truth, rotations, shifts)
    density, pixel_size = read_map(SAMPLE_MAP)
    moved = apply_alignment(density, FRAME.T, FRAME.T @ TRANSLATION, pixel_size)
    write_map(tmp_path / "map.mrc", flip_hand(moved) if flipped else moved, pixel_size)
    report = evaluate_results(tmp_path, truth.source, SAMPLE_MAP)
    assert report.numbers["rotation_error_median_degrees"] < 1e-2
    assert report.numbers["shift_error_median_angstrom"] < 1e-2
    assert report.map.at_nyquist_share(0.5) > 0.98  # two interpolations
    assert report.numbers["hand_flipped"] == flipped
    assert "rotation error median degrees" in report.text()


def test_a_true_map_without_a_pixel_size_is_named(truth, tmp_path):
    density, pixel_size = read_map(SAMPLE_MAP)
    write_map(tmp_path / "map.mrc", density, pixel_size)
    write_map(tmp_path / "bare.mrc", density, pixel_size)
    with mrcfile.open(tmp_path / "bare.mrc", "r+") as mrc:
        mrc.voxel_size = 0.0
    with pytest.raises(ValueError, match=r"bare\.mrc: the header states no pixel size"):
        evaluate_results(tmp_path, None, tmp_path / "bare.mrc")


def test_the_truth_may_lie_elsewhere(truth, tmp_path):
    write_particles(tmp_path / "particles.star", truth, truth.rotations, truth.shifts)
    moved = tmp_path / "elsewhere" / "truth.star"
    moved.parent.mkdir()
    moved.write_text(truth.source.read_text())
    with pytest.raises(MissingStacksError, match=r"truth\.star"):
        evaluate_results(tmp_path, moved, None)
    report = evaluate_results(tmp_path, moved, None, data_dir=truth.source.parent)
    assert report.numbers["rotation_error_median_degrees"] < 1e-2


def test_a_truth_without_a_pixel_size_has_that_of_the_run(truth, tmp_path):
    write_particles(tmp_path / "particles.star", truth, truth.rotations, truth.shifts)
    bare = truth.source.with_name("bare.star")
    bare.write_text(truth.source.read_text().replace("rlnImagePixelSize", "someOtherColumn"))
    report = evaluate_results(tmp_path, bare, None)
    assert report.numbers["rotation_error_median_degrees"] < 1e-2
    assert report.numbers["shift_error_median_angstrom"] < 1e-2
    mixed = replace(truth, pixel_sizes=np.r_[truth.pixel_sizes[:-1], 2 * truth.pixel_sizes[-1]])
    with pytest.raises(PixelSizeMissingError):
        open_same_images(bare, mixed)


def test_maps_of_other_sizes_are_refused(truth):
    density, pixel_size = read_map(SAMPLE_MAP)
    with pytest.raises(ValueError, match="expected the same"):
        compare_maps(density, pixel_size, density, 1.1 * pixel_size)
