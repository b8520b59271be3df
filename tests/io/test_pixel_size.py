"""Pixel sizes that a file does not say: given by the user, kept in what is written, and never against the file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_cryospin.advice import Advice, with_options
from napari_cryospin.io.open import open_particles
from napari_cryospin.io.star.particles import write_particles

Write = Callable[..., Path]


@pytest.fixture
def flat(write_star: Write, rows: pd.DataFrame) -> Callable[..., Path]:
    """Writes a file of RELION 3.0 with further columns."""

    def write(**columns: object) -> Path:
        table = rows.drop(columns=["rlnOpticsGroup", "rlnOriginXAngst", "rlnOriginYAngst"])
        shared = {"rlnVoltage": 300.0, "rlnSphericalAberration": 2.7, "rlnAmplitudeContrast": 0.1}
        return write_star({"": table.assign(rlnOriginX=[1.0, -2.0, 0.5], rlnOriginY=0.0, **shared, **columns)})

    return write


@pytest.fixture
def grouped(write_star: Write, optics: pd.DataFrame, rows: pd.DataFrame) -> Callable[..., Path]:
    """Writes a file of RELION 3.1 whose optics groups say other things than the pixel size of the images."""

    def write(**columns: object) -> Path:
        return write_star({"optics": optics.drop(columns="rlnImagePixelSize").assign(**columns), "particles": rows})

    return write


FOUND = [
    ("flat", {}, "nor rlnDetectorPixelSize with rlnMagnification"),
    ("flat", {"rlnMagnification": "50000"}, "found rlnMagnification (50000), which tells it together with"),
    ("flat", {"rlnPixelSize": "1.5"}, "found rlnPixelSize (1.5), which may be that of a reference"),
    ("grouped", {"rlnMicrographPixelSize": "0.83"}, "found rlnMicrographPixelSize (0.83), which is that of the micro"),
    ("grouped", {"rlnMicrographOriginalPixelSize": "0.4"}, "found rlnMicrographOriginalPixelSize (0.4), which is"),
    ("grouped", {"rlnPixelSize": "unknown"}, "found rlnPixelSize (unknown)"),
]


@pytest.mark.parametrize(("form", "columns", "message"), FOUND)
def test_what_is_found_instead_is_named_with_the_way_out(request, form, columns, message) -> None:
    path = request.getfixturevalue(form)(**columns)
    with pytest.raises(ValueError, match="no pixel size") as raised:
        open_particles(path)
    advice = raised.value.args[0]
    assert isinstance(advice, Advice)
    assert advice.options == ("pixel_size",)
    assert message in str(advice)
    assert with_options(advice, {"pixel_size": "--pixel-size"}.get).endswith("of the images (--pixel-size)")


@pytest.mark.parametrize(("form", "columns", "message"), FOUND)
def test_the_size_given_is_taken(request, form, columns, message) -> None:
    particles = open_particles(request.getfixturevalue(form)(**columns), pixel_size=2.5)
    np.testing.assert_allclose(particles.pixel_sizes, 2.5)
    assert "the file says no pixel size; 2.5 A is used, as given" in particles.notes
    assert not any("10000" in note for note in particles.notes)
    if form == "flat":  # origins there are in pixels
        np.testing.assert_allclose(particles.shifts[:, 0], [2.5, -5.0, 1.25])


@pytest.mark.parametrize(("form", "columns", "message"), FOUND)
@pytest.mark.parametrize("version", ["same", "3.1"])
def test_what_is_written_says_the_size(request, project, form, columns, message, version) -> None:
    particles = open_particles(request.getfixturevalue(form)(**columns), pixel_size=2.5)
    write_particles(project / "out.star", particles, particles.rotations, particles.shifts, form=version)
    again = open_particles(project / "out.star")
    np.testing.assert_allclose(again.pixel_sizes, 2.5, rtol=1e-6)
    np.testing.assert_allclose(again.shifts, particles.shifts, atol=1e-5)
    if version == "same":  # what the file said stays
        frame = again.table.particles if form == "flat" else again.table.optics
        assert {name: frame[name].iloc[0] for name in columns} == columns


def test_the_same_size_is_no_contradiction(star: Path, flat: Callable[..., Path]) -> None:
    assert open_particles(star, pixel_size=2.0).pixel_sizes.tolist() == [2.0] * 3
    assert open_particles(star, pixel_size=2.005).pixel_sizes.tolist() == [2.0] * 3  # rounded; the file counts
    path = flat(rlnMagnification=50000, rlnDetectorPixelSize=10)
    assert open_particles(path, pixel_size=2.0).pixel_sizes.tolist() == [2.0] * 3
    with pytest.raises(ValueError, match=r"row 1: says a pixel size of 2 A; expected none or the same, found 1.9 A"):
        open_particles(path, pixel_size=1.9)


def test_one_of_several_groups_that_says_another_size(write_star: Write, optics: pd.DataFrame, rows: pd.DataFrame):
    two = pd.concat([optics, optics.assign(rlnOpticsGroup=2, rlnImagePixelSize=1.5)])
    path = write_star({"optics": two, "particles": rows.assign(rlnOpticsGroup=[1, 1, 2])})
    with pytest.raises(ValueError, match=r"row 3: says a pixel size of 1.5 A; expected none or the same, found 2 A"):
        open_particles(path, pixel_size=2.0)


@pytest.mark.parametrize("size", [0.0, -1.0, float("nan"), float("inf")])
def test_a_size_that_is_none(flat: Callable[..., Path], size: float) -> None:
    with pytest.raises(ValueError, match=r"pixel size: found .*, expected a pixel size above 0 A"):
        open_particles(flat(), pixel_size=size)


def test_a_cryosparc_file_without_one(project: Path) -> None:
    fields = [("uid", "u8"), ("blob/path", "S20"), ("blob/idx", "u4"), ("blob/psize_A", "f4")]
    table = np.array([(1, b"stack.mrcs", 0, 2.0), (2, b"stack.mrcs", 1, 2.0)], dtype=fields)
    with (project / "a.cs").open("wb") as file:
        np.save(file, table)
    assert open_particles(project / "a.cs", pixel_size=2.0).pixel_sizes.tolist() == [2.0] * 2
    with pytest.raises(ValueError, match=r"says a pixel size of 2 A; expected none or the same, found 3 A"):
        open_particles(project / "a.cs", pixel_size=3.0)
    with (project / "a.cs").open("wb") as file:
        np.save(file, table[["uid", "blob/path", "blob/idx"]])
    assert open_particles(project / "a.cs", pixel_size=3.0).pixel_sizes.tolist() == [3.0] * 2
