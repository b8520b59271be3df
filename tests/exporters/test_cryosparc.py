"""Particles for cryoSPARC: read again by our reader, by cryosparc-tools and by plain numpy."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import starfile
import yaml
from scipy.spatial.transform import Rotation

from napari_cryospin.exporters.run_results import RunResults, open_results
from napari_cryospin.exporters.selection import Selection
from napari_cryospin.exporters.table import export_run
from napari_cryospin.io.cryodrgn import write_ctf
from napari_cryospin.io.open import open_particles
from napari_cryospin.settings import PreparationSettings, Settings

Dataset = pytest.importorskip("cryosparc.dataset").Dataset


def load(path: Path) -> np.ndarray:
    return np.load(path, allow_pickle=False, max_header_size=2**30)


def check_poses(path: Path, results: RunResults, pixel_size: float) -> None:
    """Poses as cryosparc-tools reads them, by cryoSPARC's definition of a pose."""
    found = Dataset.load(path)
    rotations = Rotation.from_rotvec(np.asarray(found["alignments3D/pose"], dtype=float)).as_matrix()
    np.testing.assert_allclose(rotations.transpose(0, 2, 1), results.record.rotations, atol=1e-6)
    np.testing.assert_allclose(found["alignments3D/psize_A"], pixel_size, rtol=1e-6)
    shifts = np.asarray(found["alignments3D/shift"], dtype=float) * pixel_size
    np.testing.assert_allclose(shifts, results.record.shifts, rtol=1e-6, atol=1e-6)


def test_real_file_round_trip(shared_data, make_run, tmp_path):
    source = shared_data / "files" / "cryosparc_P12_J24_001_particles.cs"
    before = load(source)
    run = make_run(source, np.random.default_rng(0).permutation(len(before)))
    results = open_results(run)
    sheet, data = export_run(run, "cryosparc", tmp_path / "out").paths
    after = load(data)
    kept = [name for name in before.dtype.names if not name.startswith("alignments3D/")]
    assert [name for name in after.dtype.names if not name.startswith("alignments3D/")] == kept
    for name in kept:
        assert after[name].dtype == before[name].dtype
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    assert set(before.dtype.names) <= set(after.dtype.names)
    np.testing.assert_array_equal(after["alignments3D/split"], before["alignments3D/split"])
    np.testing.assert_allclose(after["alignments3D/error"], results.record.error)
    check_poses(data, results, 2.95)
    ours = open_particles(data, require_stacks=False)
    np.testing.assert_allclose(ours.rotations, results.record.rotations, atol=1e-6)
    np.testing.assert_allclose(ours.shifts, results.record.shifts, atol=1e-5)
    group = yaml.safe_load(sheet.read_text())
    assert group["group"]["type"] == "particle"
    expected = {"metafile": ">particles.cs", "num_items": len(before)}
    assert group["results"] == {
        name: expected | {"type": f"particle.{name}"} for name in ("alignments3D", "blob", "ctf")
    }


def test_passthrough_fields_and_selection(shared_data, make_run, tmp_path):
    """Fields of passthrough files go with the particles; half sets of the run become splits."""
    source = shared_data / "files" / "cryosparc_P12_J24_001_particles.cs"
    before = load(source)[:8]
    more = np.zeros(8, [("uid", "u8"), ("location/center_x_frac", "f4"), ("blob/psize_A", "f4")])
    more["uid"], more["location/center_x_frac"] = before["uid"], np.arange(8)
    main = tmp_path / "input" / "main.cs"
    main.parent.mkdir()
    for path, table in ((main, before), (main.with_name("more.cs"), more[::-1])):
        with path.open("wb") as file:
            np.save(file, table)
    halves = np.array([1, 2, 1, 2, 1, 1], np.int8)
    run = make_run(main, [7, 5, 4, 3, 1, 0], options={"passthrough": (main.with_name("more.cs"),)}, half_sets=halves)
    _, data = export_run(run, "cryosparc", tmp_path / "out", Selection(expression="row > 2")).paths
    after = load(data)
    np.testing.assert_array_equal(after["uid"], before["uid"][[3, 4, 5, 7]])
    np.testing.assert_array_equal(after["location/center_x_frac"], [3, 4, 5, 7])
    np.testing.assert_array_equal(after["blob/psize_A"], before["blob/psize_A"][[3, 4, 5, 7]])  # the first file's
    np.testing.assert_array_equal(after["alignments3D/split"], [1, 0, 1, 0])
    sheet = yaml.safe_load((tmp_path / "out" / "particles.csg").read_text())
    assert sheet["results"]["location"]["num_items"] == 4


def test_alignments_of_several_classes_are_left_out(shared_data, make_run, tmp_path):
    """They are poses in another frame, and jobs can be told to start at them."""
    source = shared_data / "files" / "cryosparc_P12_J24_001_particles.cs"
    before = load(source)[:6]
    more = np.zeros(6, [("uid", "u8"), ("alignments3D_multi/pose", "f4", (2, 3)), ("alignments2D/class", "u4")])
    more["uid"] = before["uid"]
    main = tmp_path / "input" / "main.cs"
    main.parent.mkdir()
    for path, table in ((main, before), (main.with_name("more.cs"), more)):
        with path.open("wb") as file:
            np.save(file, table)
    run = make_run(main, range(6), options={"passthrough": (main.with_name("more.cs"),)})
    exported = export_run(run, "cryosparc", tmp_path / "out")
    names = load(exported.paths[1]).dtype.names
    assert "alignments2D/class" in names
    assert not [name for name in names if name.startswith("alignments3D_multi")]
    assert "left out, as they are about poses of an earlier job: alignments3D_multi" in exported.notes


PICKED = {
    "location/micrograph_uid": ("u8", ()),
    "location/micrograph_path": ("S40", ()),
    "location/micrograph_shape": ("u4", (2,)),
    "location/center_x_frac": ("f4", ()),
    "location/center_y_frac": ("f4", ()),
}


def picked_input(shared_data: Path, folder: Path) -> tuple[Path, Path]:
    """Eight real particles with places in two micrographs of 400 rows and 300 columns, in a passthrough file."""
    before = load(shared_data / "files" / "cryosparc_P12_J24_001_particles.cs")[:8]
    more = np.zeros(8, [("uid", "u8"), *((name, *kind) for name, kind in PICKED.items())])
    more["uid"] = before["uid"]
    more["location/micrograph_path"] = [b">J2/b.mrc", b">J2/a.mrc"] * 4
    more["location/micrograph_shape"] = 400, 300
    more["location/center_x_frac"], more["location/center_y_frac"] = np.arange(8) / 10, 0.25
    folder.mkdir()
    for path, table in ((folder / "main.cs", before), (folder / "more.cs", more[::-1])):
        with path.open("wb") as file:
            np.save(file, table)
    return folder / "main.cs", folder / "more.cs"


def test_micrographs_and_coordinates_go_to_relion(shared_data, make_run, tmp_path):
    """As Structura's own example has it: fraction times the size along that axis, y from the same row."""
    main, more = picked_input(shared_data, tmp_path / "input")
    run = make_run(main, [7, 5, 4, 0], options={"passthrough": (more,)})
    exported = export_run(run, "relion", tmp_path / "out.star")
    rows = starfile.read(tmp_path / "out.star")["particles"]
    assert rows["rlnMicrographName"].tolist() == ["J2/b.mrc", "J2/b.mrc", "J2/a.mrc", "J2/a.mrc"]
    np.testing.assert_allclose(rows["rlnCoordinateX"], [0, 120, 150, 210], atol=1e-4)
    np.testing.assert_allclose(rows["rlnCoordinateY"], 100)
    assert any("y may run the other way" in note for note in exported.notes)


def test_that_there_are_no_micrographs_is_said(shared_data, make_run, tmp_path):
    main, _ = picked_input(shared_data, tmp_path / "input")
    exported = export_run(make_run(main, range(8)), "relion", tmp_path / "out.star")
    assert any(note.startswith("no rlnMicrographName") for note in exported.notes)


def test_micrographs_and_coordinates_come_back_from_relion(star, make_run, tmp_path):
    """Fractions of the sizes that the micrographs' headers say; without the micrographs all is left out, and said."""
    blocks = starfile.read(star)
    rows = blocks["particles"].assign(rlnCoordinateX=np.arange(12) * 5.0, rlnCoordinateY=np.arange(12) * 8.0)
    starfile.write(blocks | {"particles": rows}, star)
    run = make_run(star, range(12))
    exported = export_run(run, "cryosparc", tmp_path / "without")
    assert not [name for name in load(exported.paths[1]).dtype.names if name.startswith("location/")]
    assert any(note.startswith("micrograph names and coordinates are not carried over") for note in exported.notes)
    for number in range(3):
        with mrcfile.new(star.parent / f"mic{number}.mrc") as file:
            file.set_data(np.zeros((100, 60), np.float32))
    exported = export_run(run, "cryosparc", tmp_path / "out")
    found = load(exported.paths[1])
    np.testing.assert_allclose(found["location/center_x_frac"], np.arange(12) * 5 / 60, rtol=1e-6)
    np.testing.assert_allclose(found["location/center_y_frac"], np.arange(12) * 8 / 100, rtol=1e-6)
    np.testing.assert_array_equal(found["location/micrograph_shape"], [[100, 60]] * 12)
    assert found["location/micrograph_path"].tolist() == [f"mic{k // 4}.mrc".encode() for k in range(12)]
    assert len(np.unique(found["location/micrograph_uid"])) == 3
    assert not any("not carried over" in note for note in exported.notes)
    picks = open_particles(exported.paths[1], require_stacks=False).picks
    np.testing.assert_allclose(picks.coordinates, rows[["rlnCoordinateX", "rlnCoordinateY"]], rtol=1e-6)


def test_from_relion(shared_data, make_run, tmp_path):
    """A STAR file has no uids: they are made, with blob and ctf; the images are found through links."""
    source = shared_data / "stacks" / "relion31.star"
    settings = Settings(preparation=PreparationSettings(invert_contrast=True))
    options = {"data_dir": shared_data / "stacks"}
    run = make_run(source, range(5), settings=settings, options=options)
    out = tmp_path / "out"
    _, data = export_run(run, "cryosparc", out).paths
    old, new = open_particles(source, **options), open_particles(data.with_suffix(".csg"))
    found = Dataset.load(data)
    assert len(set(found["uid"])) == 5
    assert all(str(path).startswith(">stacks/") and str(path).endswith(".mrc") for path in found["blob/path"])
    np.testing.assert_array_equal(found["blob/sign"], -1)
    np.testing.assert_array_equal(found["blob/shape"], 256)
    np.testing.assert_array_equal(new.read_images([0, 4]), -old.read_images([0, 4]))
    check_poses(data, open_results(run), 2.806)
    for name, values in vars(old.ctf).items():
        np.testing.assert_allclose(getattr(new.ctf, name), values, rtol=1e-6, err_msg=name)
    export_run(run, "cryosparc", out, Selection(rows=[3]))  # once more: links give way, uids stay
    np.testing.assert_array_equal(load(data)["uid"], found["uid"][3:4])


def test_real_files_give_way_to_nothing(star, make_run, tmp_path):
    """A file where a link should go is not touched."""
    stack = tmp_path / "input" / "far" / "stack0.mrcs"
    stack.parent.mkdir()
    stack.write_bytes(b"images")  # opened by nobody here
    from napari_cryospin.io.cryosparc.write import _linked

    mine = tmp_path / "out" / "stacks" / "stack0.mrc"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    assert _linked([stack], tmp_path / "out").tolist() == [str(stack).encode()]
    assert mine.read_text() == "mine"


def test_an_image_twice_in_the_set(star, make_run, tmp_path):
    star.write_text(star.read_text().replace("000002@far/stack1", "000001@far/stack0"))
    run = make_run(star, range(12))
    _, data = export_run(run, "cryosparc", tmp_path / "out").paths
    assert len(np.unique(load(data)["uid"])) == 12


def test_sign_and_ctf_of_a_cs_file_stay_and_it_is_said(shared_data, make_run, tmp_path):
    source = shared_data / "stacks" / "empiar_10076_7.cs"
    before, pickle = load(source), tmp_path / "ctf.pkl"
    particles = open_particles(source)
    other = dataclasses.replace(particles.ctf, defocus_u=particles.ctf.defocus_u + 500)
    write_ctf(pickle, other, 320, float(particles.pixel_sizes[0]))
    settings = Settings(preparation=PreparationSettings(invert_contrast=True))
    run = make_run(source, range(7), settings=settings, options={"ctf": pickle})
    exported = export_run(run, "cryosparc", tmp_path / "out")
    after = load(exported.paths[1])
    np.testing.assert_array_equal(after["blob/sign"], before["blob/sign"])
    np.testing.assert_array_equal(after["ctf/df1_A"], before["ctf/df1_A"])
    assert any("blob/sign is that of empiar_10076_7.cs" in note for note in exported.notes)
    assert any("the run used ctf.pkl" in note for note in exported.notes)
    star = export_run(run, "relion", tmp_path / "out.star")  # a new file: as the run had it
    assert not any("ctf.pkl" in note or "dark" in note for note in star.notes)
    written = open_particles(tmp_path / "out.star")
    np.testing.assert_allclose(written.ctf.defocus_u, other.defocus_u, atol=1e-2)


def test_folders_with_letters_beyond_ascii(shared_data, make_run, tmp_path):
    folder = tmp_path / "Jürgen 冷冻"
    folder.mkdir()
    for name in ("empiar_10076_7.mrc", "empiar_10076_7.star"):
        shutil.copyfile(shared_data / "stacks" / name, folder / name)
    run = make_run(folder / "empiar_10076_7.star", range(7))
    (folder / "out" / "stacks").mkdir(parents=True)
    (folder / "out" / "stacks" / "empiar_10076_7.mrc").write_text("mine")  # no link: the path itself
    exported = export_run(run, "cryosparc", folder / "out")
    again = open_particles(exported.paths[1])
    np.testing.assert_array_equal(again.read_images([3]), open_particles(run.source.particles).read_images([3]))
