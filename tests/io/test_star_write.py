"""RELION STAR files: writing."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
import pytest
import starfile

from napari_cryospin.geometry.angles import euler_from_rotation, rotation_from_euler
from napari_cryospin.io.open import open_particles
from napari_cryospin.io.star import text as star_text
from napari_cryospin.io.star.particles import read_star_particles, write_particles
from support.stacks import write_stack

Write = Callable[..., Path]
ANGLES = np.array([[10.0, 20.0, 30.0], [-40.0, 50.0, 60.0], [70.0, 80.0, -90.0]])
SHIFTS = np.array([[1.5, -2.5], [0.0, 4.0], [3.0, 3.0]])
SET = ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst"]


def texts(path: Path, block: str = "particles") -> pd.DataFrame:
    """A table as the text that is in the file."""
    blocks = starfile.read(path, always_dict=True)
    return starfile.read(path, always_dict=True, parse_as_string=list(blocks[block].columns))[block]


def test_every_other_column_is_kept(star: Path) -> None:
    out = star.parent / "out.star"
    particles = read_star_particles(star)
    write_particles(out, particles, rotation_from_euler(ANGLES), SHIFTS, extra_columns={"rlnExtra": np.arange(3)})
    before, after = texts(star), texts(out)
    pd.testing.assert_frame_equal(after[before.columns.drop(SET)], before.drop(columns=SET))
    pd.testing.assert_frame_equal(texts(out, "optics"), texts(star, "optics"))
    assert after["rlnExtra"].tolist() == ["0", "1", "2"]
    assert list(after.columns) == [*before.columns, "rlnExtra"]
    again = read_star_particles(out)
    np.testing.assert_allclose(euler_from_rotation(again.rotations), ANGLES, atol=1e-6)
    np.testing.assert_allclose(again.shifts, SHIFTS, atol=1e-6)


def test_selection_keeps_its_rows(star: Path, images: np.ndarray) -> None:
    out = star.parent / "out.star"
    chosen = read_star_particles(star).select([2, 0])
    write_particles(out, chosen, chosen.rotations, chosen.shifts)
    after = texts(out)
    assert after["rlnMicrographName"].tolist() == ["mic with space.mrc", "007"]
    assert after["someNumber"].tolist() == ["1e-12", "0.123456789012"]
    np.testing.assert_array_equal(read_star_particles(out).read_images([0, 1]), images[[5, 2]])


def test_one_half_set_is_none(write_star: Write, optics: pd.DataFrame, rows: pd.DataFrame) -> None:
    path = write_star({"optics": optics, "particles": rows.assign(rlnRandomSubset=[1, 2, 1])})
    out = path.parent / "out.star"
    for chosen, kept in (([0, 1], True), ([0, 2], False)):
        particles = read_star_particles(path).select(chosen)
        write_particles(out, particles, particles.rotations, particles.shifts)
        assert ("rlnRandomSubset" in texts(out)) == kept


def test_relion30_stays_30(write_star: Write, optics: pd.DataFrame, rows: pd.DataFrame) -> None:
    microscope = {name: optics[name][0] for name in ("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast")}
    flat = rows.drop(columns=["rlnOpticsGroup", "rlnOriginXAngst", "rlnOriginYAngst"]).assign(
        **microscope, rlnDetectorPixelSize=5.0, rlnMagnification=25000.0
    )
    path = write_star({"": flat})
    out = path.parent / "out.star"
    write_particles(out, read_star_particles(path), rotation_from_euler(ANGLES), SHIFTS)
    blocks = starfile.read(out, always_dict=True)
    assert list(blocks) == [""]
    np.testing.assert_allclose(blocks[""][["rlnOriginX", "rlnOriginY"]], SHIFTS / 2.0)
    assert "rlnOriginXAngst" not in blocks[""]
    np.testing.assert_allclose(read_star_particles(out).shifts, SHIFTS)


def test_relion30_becomes_31(write_star: Write, optics: pd.DataFrame, rows: pd.DataFrame) -> None:
    """Two microscopes and two magnifications: three optics groups, and every other column as it was."""
    flat = rows.drop(columns=["rlnOpticsGroup", "rlnOriginXAngst", "rlnOriginYAngst"]).assign(
        rlnVoltage=["300.0", "300.0", "200.00"],
        rlnSphericalAberration="2.7",
        rlnAmplitudeContrast="0.1",
        rlnDetectorPixelSize="5.0",
        rlnMagnification=["25000.0", "20000", "25000.0"],
        rlnOriginX="1.5",
        rlnOriginY="0",
        rlnPhaseShift="7.5",
    )
    path = write_star({"": flat})
    out, old = path.parent / "out.star", read_star_particles(path)
    write_particles(out, old, rotation_from_euler(ANGLES), SHIFTS, form="3.1")
    blocks = starfile.read(out, always_dict=True)
    assert list(blocks) == ["optics", "particles"]
    assert sorted(blocks["optics"]["rlnImagePixelSize"]) == [2.0, 2.0, 2.5]
    assert (blocks["optics"]["rlnImageSize"] == 16).all()
    assert "# version 30001" in out.read_text()
    moved = {"rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast", "rlnDetectorPixelSize"}
    moved |= {"rlnMagnification", "rlnOriginX", "rlnOriginY"}
    assert not moved & set(blocks["particles"].columns)
    kept = texts(path, "").columns.drop([*moved, *SET], errors="ignore")
    pd.testing.assert_frame_equal(texts(out)[kept], texts(path, "")[kept])
    new = read_star_particles(out)
    np.testing.assert_allclose(new.pixel_sizes, old.pixel_sizes)
    np.testing.assert_allclose(new.shifts, SHIFTS, atol=1e-6)
    for name, values in vars(old.ctf).items():
        np.testing.assert_allclose(getattr(new.ctf, name), values, err_msg=name)


def test_quotes_comments_and_single_values(project: Path) -> None:
    """Blocks without a loop, both quotes, `#` and quotes within a value, a comment between rows: as they were."""
    text = """# version 50001
data_optics
_rlnOpticsGroup 1
_rlnOpticsGroupName "my optics"
_rlnImagePixelSize 2.0
data_particles
loop_
_rlnImageName #1
_rlnOpticsGroup #2
_rlnMicrographName #3
_note #4
  1@stack.mrcs 1 mic#1.mrc 'two words'
# between
  2@stack.mrcs 1 5'end.mrc ""
"""
    (project / "a.star").write_text(text)
    particles = read_star_particles(project / "a.star")
    write_particles(project / "b.star", particles, rotation_from_euler(ANGLES[:2]), SHIFTS[:2])
    again = read_star_particles(project / "b.star")
    assert again.table.particles["rlnMicrographName"].tolist() == ["mic#1.mrc", "5'end.mrc"]
    assert again.table.particles["note"].tolist() == ["two words", ""]
    assert again.table.blocks["optics"] == particles.table.blocks["optics"]
    assert "# version 50001" in (project / "b.star").read_text()


def test_no_pixel_origins_beside_optics(write_star: Write, optics: pd.DataFrame, rows: pd.DataFrame) -> None:
    old = rows.rename(columns={"rlnOriginXAngst": "rlnOriginX", "rlnOriginYAngst": "rlnOriginY"})
    path = write_star({"optics": optics, "particles": old})
    particles = read_star_particles(path)
    assert "RELION itself takes these shifts as 0" in particles.notes[0]
    out = path.parent / "out.star"
    write_particles(out, particles, particles.rotations, particles.shifts)
    after = starfile.read(out)["particles"]
    assert not {"rlnOriginX", "rlnOriginY"} & set(after.columns)
    np.testing.assert_allclose(after[["rlnOriginXAngst", "rlnOriginYAngst"]], particles.shifts)


def test_block_order_and_other_blocks_are_kept(write_star: Write, optics: pd.DataFrame, rows: pd.DataFrame) -> None:
    path = write_star({"particles": rows, "general": pd.DataFrame({"rlnFoo": [1]}), "optics": optics})
    particles = read_star_particles(path)
    write_particles(path.parent / "out.star", particles, particles.rotations, particles.shifts)
    assert list(starfile.read(path.parent / "out.star")) == ["particles", "general", "optics"]


def test_names_stay_valid(star: Path, tmp_path_factory: pytest.TempPathFactory, images: np.ndarray) -> None:
    particles = read_star_particles(star)
    inside, outside = star.parent / "run" / "results" / "out.star", tmp_path_factory.mktemp("far") / "out.star"
    inside.parent.mkdir(parents=True)
    for out in (inside, outside):
        write_particles(out, particles, particles.rotations, particles.shifts)
        np.testing.assert_array_equal(read_star_particles(out).read_images([1]), images[[0]])
    assert texts(inside)["rlnImageName"].tolist() == texts(star)["rlnImageName"].tolist()
    assert texts(outside)["rlnImageName"][0] == f"000003@{star.parent / 'stack.mrcs'}"


def test_bare_stack_becomes_relion31(tmp_path: Path, images: np.ndarray) -> None:
    write_stack(tmp_path / "a.mrc", images[:3], 0.0)
    particles = open_particles(tmp_path / "a.mrc", pixel_size=2.0)
    out = tmp_path / "out.star"
    write_particles(out, particles, rotation_from_euler(ANGLES), SHIFTS)
    blocks = starfile.read(out)
    assert list(blocks) == ["optics", "particles"]
    # RELION takes .mrc for a map unless it is told that it is a stack.
    assert blocks["particles"]["rlnImageName"].tolist()[2] == "000003@a.mrc:mrcs"
    assert blocks["optics"]["rlnImageSize"].tolist() == [16]
    again = read_star_particles(out)
    np.testing.assert_allclose(again.shifts, SHIFTS)
    np.testing.assert_array_equal(again.read_images(range(3)), images[:3])


def test_failure_leaves_the_old_file(star: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: IO[str], table: pd.DataFrame) -> Iterator[int]:
        file.write("000001@stack.mrcs")
        yield 1
        raise OSError(28, "No space left on device")

    particles = read_star_particles(star)
    before = star.read_bytes()
    monkeypatch.setattr(star_text, "_write_rows", full)
    with pytest.raises(OSError, match="No space"):
        write_particles(star, particles, particles.rotations, particles.shifts)
    assert star.read_bytes() == before
    assert sorted(path.name for path in star.parent.iterdir()) == ["particles.star", "stack.mrcs"]


def test_nothing_given_is_changed(star: Path) -> None:
    particles = read_star_particles(star)
    before = particles.table.particles.copy()
    write_particles(star.parent / "out.star", particles, rotation_from_euler(ANGLES), SHIFTS)
    pd.testing.assert_frame_equal(particles.table.particles, before)
