"""Results as files: maps with the right header, the FSC, and the particles that were used with their new poses."""

import json
from types import MappingProxyType

import mrcfile
import numpy as np
import pytest
import starfile
from scipy.spatial.transform import Rotation

from napari_cryospin.cli.runs import share_text
from napari_cryospin.driving.results import write_results
from napari_cryospin.io.open import open_particles
from napari_cryospin.runs.results import Results
from support.records import particle_record
from support.stacks import write_stack

STAR = """
data_optics
loop_
_rlnOpticsGroup #1
_rlnImagePixelSize #2
_rlnImageSize #3
_rlnVoltage #4
_rlnSphericalAberration #5
_rlnAmplitudeContrast #6
1 2.0 16 300 2.7 0.1

data_particles
loop_
_rlnImageName #1
_rlnOpticsGroup #2
_rlnDefocusU #3
_rlnDefocusV #4
_rlnDefocusAngle #5
_myOwnColumn #6
"""


@pytest.fixture
def particles(tmp_path):
    write_stack(tmp_path / "images.mrcs", np.zeros((5, 16, 16), np.float32), 2.0)
    rows = "".join(f"{i + 1}@images.mrcs 1 {15000 + i} 14000 35 kept{i}\n" for i in range(5))
    (tmp_path / "particles.star").write_text(STAR + rows)
    return open_particles(tmp_path / "particles.star")


def make_results(arrays=MappingProxyType({}), **changes):
    rng = np.random.default_rng(0)
    values = {
        "map": rng.normal(size=(8, 8, 8)),
        "filtered_map": np.zeros((8, 8, 8)),
        "pixel_size": 4.0,
        "resolution": 12.0,
    }
    poses = {"rotations": Rotation.random(3, random_state=0).as_matrix(), "shifts": rng.normal(size=(3, 2))}
    record = particle_record(3, **{"rows": np.array([0, 2, 4]), **poses, **arrays})
    return Results(**{**values, **changes}, particles=record)


def test_particles_keep_their_rows_and_columns_and_get_the_poses(particles, tmp_path):
    results = make_results()
    write_results(tmp_path, results, particles)
    table = starfile.read(tmp_path / "particles.star")["particles"]
    assert list(table["myOwnColumn"]) == ["kept0", "kept2", "kept4"]
    assert "rlnLogLikeliContribution" not in table  # it is of the posterior, which is known once a run is over
    read = open_particles(tmp_path / "particles.star")
    np.testing.assert_allclose(read.rotations, results.particles.rotations, atol=1e-5)
    np.testing.assert_allclose(read.shifts, results.particles.shifts, atol=1e-4)


def test_maps_have_the_pixel_size_of_the_working_box(particles, tmp_path):
    results = make_results(
        half_maps=(np.ones((8, 8, 8)), np.zeros((8, 8, 8))), arrays={"half_sets": np.array([1, 2, 1])}
    )
    write_results(tmp_path, results, particles)
    with mrcfile.open(tmp_path / "map.mrc") as mrc:
        np.testing.assert_array_equal(mrc.data, results.map)
        assert mrc.voxel_size.x == pytest.approx(4.0)
    assert (tmp_path / "map_filtered.mrc").exists()
    assert (tmp_path / "half_map_2.mrc").exists()
    assert list(starfile.read(tmp_path / "particles.star")["particles"]["rlnRandomSubset"]) == [1, 2, 1]


def test_fsc_is_a_table(particles, tmp_path):
    curves = {"frequency": np.linspace(0, 0.125, 5), "unmasked": np.array([1, 0.9, 0.5, 0.2, 0.1])}
    curves["corrected"] = curves["unmasked"] ** 2
    write_results(tmp_path, make_results(fsc=curves), particles)
    table = np.genfromtxt(tmp_path / "fsc.csv", delimiter=",", names=True)
    np.testing.assert_allclose(table["corrected"], curves["corrected"], atol=1e-6)
    np.testing.assert_allclose(table["frequency"], curves["frequency"], atol=1e-6)
    assert {path.name for path in tmp_path.glob("fsc.*")} == {"fsc.csv", "fsc.star", "fsc.xml"}


def test_what_only_earlier_results_had_is_removed(particles, tmp_path):
    curves = {"frequency": np.linspace(0, 0.125, 5), "unmasked": np.ones(5), "corrected": np.ones(5)}
    halves = {"half_maps": (np.ones((8, 8, 8)), np.zeros((8, 8, 8))), "mask": np.ones((8, 8, 8)), "fsc": curves}
    write_results(tmp_path, make_results(sharpened_map=np.ones((8, 8, 8)), **halves), particles)
    (tmp_path / "notes.txt").write_text("the user's own")
    write_results(tmp_path, make_results(), particles)
    assert {path.name for path in tmp_path.iterdir() if path.suffix in (".mrc", ".txt") or "fsc" in path.name} == {
        "map.mrc", "map_filtered.mrc", "notes.txt"
    }  # fmt: skip


def test_figures_say_what_is_known_and_what_is_not(particles, tmp_path):
    write_results(
        tmp_path, make_results({"precision": np.array([2.0, np.nan, 4.0])}, resolution=float("nan")), particles
    )
    figures = json.loads((tmp_path / "postprocess.json").read_text())
    assert figures["resolution_angstrom"] is None
    assert not figures["gold_standard"]
    assert "no half sets" in figures["notes"][0]
    assert figures["precision_degrees"] == 3.0
    assert figures["share_showing_particle"] is None
    assert 0 < figures["fourier_space_sampled"] < 1
    cells = np.genfromtxt(tmp_path / "orientations.csv", delimiter=",", names=True)
    assert cells["particles"].sum() == 3
    assert not (tmp_path / "map_sharpened.mrc").exists()


def test_figures_say_what_share_of_the_images_shows_the_particle(particles, tmp_path):
    write_results(tmp_path, make_results({"belongs": np.array([1.0, 0.25, 0.25])}), particles)
    assert json.loads((tmp_path / "postprocess.json").read_text())["share_showing_particle"] == pytest.approx(0.5)
    assert share_text(tmp_path / "postprocess.json") == "50.0 % of the images show the particle"
