"""cryoSPARC .cs files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_cryospin.geometry.angles import euler_from_rotation, rotation_from_euler
from napari_cryospin.io.files import MissingStacksError
from napari_cryospin.io.open import open_particles
from napari_cryospin.io.star.particles import write_particles

UIDS = np.array([50, 20, 90, 10], dtype=np.uint64)


def save(path: Path, fields: dict[str, Any]) -> Path:
    """A structured array of these fields as cryoSPARC stores it."""
    arrays = {name: np.asarray(values) for name, values in fields.items()}
    table = np.empty(len(arrays["uid"]), [(name, values.dtype, values.shape[1:]) for name, values in arrays.items()])
    for name, values in arrays.items():
        table[name] = values
    with path.open("wb") as file:
        np.save(file, table, allow_pickle=True)
    return path


@pytest.fixture
def blob() -> dict[str, Any]:
    return {
        "uid": UIDS,
        "blob/path": np.array([b">stack.mrcs"] * 4),
        "blob/idx": np.array([0, 5, 2, 1], np.uint32),
        "blob/shape": np.full((4, 2), 16, np.uint32),
        "blob/psize_A": np.full(4, 2.0, np.float32),
        "blob/sign": np.array([-1, 1, -1, -1], np.float32),
    }


@pytest.fixture
def alignments() -> dict[str, Any]:
    """Passthrough fields in another order, made at twice the pixel size; its first particle is not in the set."""
    return {
        "uid": np.array([7, 10, 20, 50, 90], dtype=np.uint64),
        "alignments3D/pose": np.array([[0, 0, 0], [0, 0, 0], [0.4, -0.7, 1.1], [0.1, 0.2, 0.3], [0, 0, 1]], np.float32),
        "alignments3D/shift": np.array([[9, 9], [1, 0], [2, 0], [5, 1], [0, 9]], np.float32),
        "alignments3D/psize_A": np.full(5, 4.0, np.float32),
        "alignments3D/split": np.array([0, 1, 0, 1, 0], np.uint32),
    }


def test_fields(project: Path, blob: dict[str, Any], images: np.ndarray) -> None:
    particles = open_particles(save(project / "a.cs", blob))
    np.testing.assert_array_equal(particles.slice_index, [0, 5, 2, 1])
    np.testing.assert_array_equal(particles.contrast, [-1, 1, -1, -1])
    np.testing.assert_array_equal(particles.read_images([0, 1]), [-images[0], images[5]])
    assert particles.ctf is None
    assert "CTF is off" in particles.notes[0]
    assert particles.rotations is None
    assert particles.half_sets is None


def test_passthrough_is_joined_by_uid(project: Path, blob: dict[str, Any], alignments: dict[str, Any]) -> None:
    path, other = save(project / "a.cs", blob), save(project / "b.cs", alignments)
    particles = open_particles(path, passthrough=[other])
    np.testing.assert_allclose(particles.shifts, [[20, 4], [8, 0], [0, 36], [4, 0]])
    angles = euler_from_rotation(particles.rotations[1])
    np.testing.assert_allclose(angles, [-117.038986, 43.750877, -176.528749], atol=1e-4)
    np.testing.assert_array_equal(particles.half_sets, [2, 1, 1, 2])
    np.testing.assert_array_equal(particles.select([2]).table.column("alignments3D/shift"), [[0, 9]])


def test_a_bad_value_in_passthrough_names_that_file_and_the_particle(
    project: Path, blob: dict[str, Any], alignments: dict[str, Any]
) -> None:
    shifts = np.array(alignments["alignments3D/shift"], dtype=np.float32)
    shifts[1] = np.nan
    spoilt = alignments | {"alignments3D/shift": shifts}
    path, other = save(project / "a.cs", blob), save(project / "b.cs", spoilt)
    with pytest.raises(ValueError, match=rf"b.cs: uid {spoilt['uid'][1]}, alignments3D/shift: found nan"):
        open_particles(path, passthrough=[other])


SHEET = """
group: {{description: All particles, name: particles, title: Particles, type: particle}}
results:
  alignments3D: {{metafile: '>b.cs', num_items: 4, type: particle.alignments3D}}
  blob: {{metafile: '{blob}', num_items: 4, type: particle.blob}}
version: v4.4.1
"""


def test_a_group_is_its_files(project: Path, blob: dict[str, Any], alignments: dict[str, Any]) -> None:
    """Whichever comes first in the sheet, and whether named from beside it or from the project above."""
    save(project / "a.cs", blob)
    save(project / "b.cs", alignments)
    expected = open_particles(project / "a.cs", passthrough=[project / "b.cs"])
    for name in (">a.cs", f"{project.name}/a.cs"):
        (project / "g.csg").write_text(SHEET.format(blob=name))
        particles = open_particles(project / "g.csg")
        np.testing.assert_array_equal(particles.shifts, expected.shifts)
        np.testing.assert_array_equal(particles.slice_index, expected.slice_index)
        assert particles.source == project / "a.cs"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "results: {blob: {metafile: '>x.cs'}, ctf: {metafile: J1/y.cs}}",
            "neither beside it nor above: x.cs, J1/y",
        ),
        ("results: {movie: {metafile: '>x.cs'}}", "found the results movie, expected blob"),
        ("results: {blob: 3}", "not a readable .csg"),
        ("a list of: [", "not a readable .csg"),
        ("text", "not a readable .csg"),
        ("", "not a readable .csg"),
    ],
)
def test_bad_groups(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "g.csg").write_text(text)
    with pytest.raises((ValueError, FileNotFoundError), match=f"g.csg: .*{message}"):
        open_particles(tmp_path / "g.csg")


def test_particle_that_passthrough_lacks(project: Path, blob: dict[str, Any], alignments: dict[str, Any]) -> None:
    fewer = {name: values[:-1] for name, values in alignments.items()}
    path, other = save(project / "a.cs", blob), save(project / "b.cs", fewer)
    with pytest.raises(ValueError, match=r"b.cs: 1 particles of .*a.cs are not in it; the first has uid 90"):
        open_particles(path, passthrough=[other])


def test_real_file(shared_data: Path) -> None:
    """Against what an independent parser reads."""
    path = shared_data / "files" / "cryosparc_P12_J24_001_particles.cs"
    expected = np.load(path.with_name("cryosparc_P12_J24_001_expected.npz"))
    particles = open_particles(path, require_stacks=False)
    np.testing.assert_allclose(particles.rotations, expected["rot"], atol=1e-6)
    np.testing.assert_allclose(particles.shifts, expected["trans"] * 180 * 2.95, atol=1e-4)
    np.testing.assert_allclose(particles.shifts[0], [33.43641, -5.39297], atol=1e-5)
    np.testing.assert_allclose(euler_from_rotation(particles.rotations[0]), [-157.808487, 118.790972, 34.683300])
    ctf = particles.ctf
    columns = (ctf.defocus_u, ctf.defocus_v, ctf.defocus_angle, ctf.voltage, ctf.spherical_aberration)
    np.testing.assert_allclose(np.stack(columns, axis=-1), expected["ctf"][:, 2:7], atol=1e-4)
    np.testing.assert_array_equal(np.unique(particles.half_sets), [1, 2])
    np.testing.assert_array_equal(particles.contrast, -1)


def test_all_missing_stacks_of_the_real_file(shared_data: Path) -> None:
    with pytest.raises(MissingStacksError) as raised:
        open_particles(shared_data / "files" / "cryosparc_P12_J24_001_particles.cs")
    assert len(raised.value.missing) == 50


def test_real_images_and_the_same_ctf_as_the_star(shared_data: Path) -> None:
    folder = shared_data / "stacks"
    cs, star = (open_particles(folder / f"empiar_10076_7.{suffix}") for suffix in ("cs", "star"))
    np.testing.assert_array_equal(cs.read_images([3]), -star.read_images([3]))
    np.testing.assert_allclose(cs.ctf.defocus_angle, star.ctf.defocus_angle, atol=1e-4)
    np.testing.assert_allclose(cs.ctf.defocus_u, star.ctf.defocus_u, atol=1e-2)


def test_written_as_star(project: Path, blob: dict[str, Any], alignments: dict[str, Any], images: np.ndarray) -> None:
    path, other = save(project / "a.cs", blob), save(project / "b.cs", alignments)
    particles = open_particles(path, passthrough=[other])
    write_particles(project / "out.star", particles, particles.rotations, particles.shifts)
    again = open_particles(project / "out.star")
    np.testing.assert_allclose(again.rotations, particles.rotations, atol=1e-6)
    np.testing.assert_allclose(again.shifts, particles.shifts, atol=1e-6)
    np.testing.assert_array_equal(again.half_sets, particles.half_sets)
    np.testing.assert_array_equal(again.read_images([1]), images[[5]])


@pytest.mark.parametrize(
    ("field", "values", "message"),
    [
        ("blob/idx", [0, 6, 1, 2], "row 2: found image 7 of .*expected 1 to 6"),
        ("blob/psize_A", [2.0, 2.0, 0.0, 2.0], "row 3, blob/psize_A: found 0, expected a pixel size above 0"),
        ("blob/psize_A", [2.0, np.nan, 2.0, 2.0], "row 2, blob/psize_A: found nan, expected a number"),
        ("blob/shape", np.full((4, 2), 32), "row 1: found a box of 16 px in .*expected 32"),
        ("blob/shape", [[16, 16], [16, 18]] * 2, "row 2, blob/shape: found .16, 18., expected a square"),
        ("blob/sign", [1.0, 0.0, 1.0, 1.0], "row 2, blob/sign: found 0, expected 1 or -1"),
        ("uid", np.array([1, 2, 1, 3], np.uint64), "uid 1 occurs 2 times"),
    ],
)
def test_bad_values(project: Path, blob: dict[str, Any], field: str, values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_particles(save(project / "a.cs", blob | {field: values}))


def test_bad_files(project: Path, blob: dict[str, Any]) -> None:
    path = project / "a.cs"
    for missing in ("blob/path", "blob/psize_A"):
        save(path, {name: values for name, values in blob.items() if name != missing})
        with pytest.raises(ValueError, match=f"no field {missing}"):
            open_particles(path)
    save(path, {name: values[:0] for name, values in blob.items()})
    with pytest.raises(ValueError, match="no rows"):
        open_particles(path)
    path.write_text("nothing of the kind")
    with pytest.raises(ValueError, match=r"found text, expected a .cs file"):
        open_particles(path)
    save(path, {"uid": np.array([{}, []], dtype=object)})
    with pytest.raises(ValueError, match=r"not a readable .cs file \(a table of numbers"):
        open_particles(path)


def test_euler_angles_survive(project: Path, blob: dict[str, Any]) -> None:
    pose = np.array([[0.337506778, 0.927292252, 1.621109060]] * 4)
    particles = open_particles(save(project / "a.cs", blob | {"alignments3D/pose": pose}))
    np.testing.assert_allclose(particles.rotations[0], rotation_from_euler([30, 50, 70]), atol=1e-8)
