"""RELION STAR files that cannot be used: the message names file, row and column."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_cryospin.io.files import MissingStacksError
from napari_cryospin.io.open import open_particles
from support.stacks import write_stack

Write = Callable[..., Path]


@pytest.fixture
def refused(write_star: Write, optics: pd.DataFrame, rows: pd.DataFrame) -> Callable[..., str]:
    """Message about a file whose tables were changed."""

    def message(optics_changes: dict | None = None, drop: str | None = None, **changes: object) -> str:
        table = rows.assign(**changes).drop(columns=[drop] if drop in rows else [])
        groups = optics.assign(**(optics_changes or {})).drop(columns=[drop] if drop in optics else [])
        path = write_star({"optics": groups, "particles": table})
        with pytest.raises(ValueError) as raised:
            open_particles(path)
        assert str(path) in str(raised.value)
        return str(raised.value)

    return message


def test_all_missing_stacks(write_star: Write, optics: pd.DataFrame, rows: pd.DataFrame) -> None:
    names = ["1@a.mrcs", "1@b.mrcs", "1@stack.mrcs"]
    path = write_star({"optics": optics, "particles": rows.assign(rlnImageName=names)})
    with pytest.raises(MissingStacksError) as raised:
        open_particles(path)
    assert raised.value.missing == ("a.mrcs", "b.mrcs")


def test_index_beyond_the_stack(refused: Callable[..., str]) -> None:
    message = refused(rlnImageName=["1@stack.mrcs", "7@stack.mrcs", "2@stack.mrcs"])
    assert "row 2: found image 7 of" in message
    assert "expected 1 to 6" in message


@pytest.mark.parametrize(
    "name", ["0@stack.mrcs", "stack.mrcs", "x@stack.mrcs", "1.5@stack.mrcs", "1@", "-1@stack.mrcs"]
)
def test_image_name(refused: Callable[..., str], name: str) -> None:
    message = refused(rlnImageName=["1@stack.mrcs", name, "2@stack.mrcs"])
    assert f"row 2, rlnImageName: found {name!r}, expected NUMBER@STACK" in message


@pytest.mark.parametrize("field", ["rlnDefocusV", "rlnVoltage", "rlnSphericalAberration", "rlnOriginYAngst"])
def test_column_missing(refused: Callable[..., str], field: str) -> None:
    assert f"no column {field}" in refused(drop=field)


def test_pixel_size_missing(refused: Callable[..., str]) -> None:
    assert "no pixel size" in refused(drop="rlnImagePixelSize")


def test_image_name_missing(refused: Callable[..., str]) -> None:
    assert "no table with a column rlnImageName (found data_optics, data_particles)" in refused(drop="rlnImageName")


@pytest.mark.parametrize("field", ["rlnDefocusU", "rlnAnglePsi", "rlnOriginXAngst", "rlnOpticsGroup"])
@pytest.mark.parametrize("value", ["nan", "inf", "text"])
def test_value_that_is_no_number(refused: Callable[..., str], field: str, value: str) -> None:
    assert f"row 3, {field}: found {value!r}, expected a number" in refused(**{field: ["1", "1", value]})


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_pixel_size(refused: Callable[..., str], value: float) -> None:
    message = refused({"rlnImagePixelSize": value})
    assert f"row 1, rlnImagePixelSize: found {value:g}, expected a pixel size above 0" in message


def test_nan_in_optics(refused: Callable[..., str]) -> None:
    assert "optics row 1, rlnVoltage: found 'nan'" in refused({"rlnVoltage": "nan"})


def test_box_not_as_stated(refused: Callable[..., str]) -> None:
    message = refused({"rlnImageSize": 32})
    assert "row 1: found a box of 16 px in" in message
    assert "expected 32 px" in message


@pytest.mark.parametrize("box", [14, 17])
def test_box_odd_or_too_small(write_star: Write, refused: Callable[..., str], box: int) -> None:
    stack = np.random.default_rng(0).normal(size=(6, box, box))
    write_stack(write_star({}).parent / "stack.mrcs", stack, 2.0)
    assert f"found a box of {box} px, expected an even one of at least 16 px" in refused({"rlnImageSize": box})


def test_images_that_are_not_square(write_star: Write, refused: Callable[..., str]) -> None:
    folder = write_star({}).parent
    write_stack(folder / "stack.mrcs", np.zeros((6, 16, 18)), 2.0)
    with pytest.raises(ValueError, match="images of 18 x 16 px; expected square ones"):
        open_particles(write_star({"": pd.DataFrame({"rlnImageName": ["1@stack.mrcs"]})}))


def test_optics_group_that_does_not_exist(refused: Callable[..., str]) -> None:
    assert "row 2, rlnOpticsGroup: found 5, expected one of data_optics: 1" in refused(rlnOpticsGroup=[1, 5, 1])


def test_mixed_treatment(refused: Callable[..., str]) -> None:
    assert "expected 0 or 1, the same for all" in refused(rlnCtfDataArePhaseFlipped=[0, 1, 0])


@pytest.mark.parametrize(
    "text",
    ["", "\n\n", "no star file", "data_particles\n\nloop_\n_rlnImageName #1\n", "data_a\n\n_rlnFoo 3\n", "data_\n"],
)
def test_empty_star(tmp_path: Path, text: str) -> None:
    path = tmp_path / "empty.star"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"empty.star: "):
        open_particles(path)


def test_row_with_values_left_out(star: Path) -> None:
    lines = star.read_text().splitlines()
    row = next(number for number, line in enumerate(lines) if line.startswith("000001@"))
    lines[row] = "\t".join(lines[row].split("\t")[:5])
    star.write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match="data_particles, row 2: found 5 values, expected 12"):
        open_particles(star)


def test_row_with_values_too_many(star: Path) -> None:
    star.write_text(star.read_text().replace("000001@", "surplus 000001@"))
    with pytest.raises(ValueError, match=r"particles.star: data_particles, row 2: found 13 values, expected 12"):
        open_particles(star)


def test_column_that_occurs_twice(star: Path) -> None:
    star.write_text(star.read_text().replace("_someNumber", "_rlnMicrographName"))
    with pytest.raises(ValueError, match=r"particles.star: data_particles: column rlnMicrographName occurs twice"):
        open_particles(star)


def test_bytes_that_are_no_text(star: Path) -> None:
    star.write_bytes(star.read_bytes().replace(b"1e3", b"\xff\xfe"))
    with pytest.raises(ValueError, match=r"particles.star: not a readable STAR file"):
        open_particles(star)


def test_file_is_read_anew_after_a_failure(star: Path) -> None:
    good = star.read_text()
    star.write_text(good.replace("000001@", "surplus 000001@"))
    with pytest.raises(ValueError):
        open_particles(star)
    star.write_text(good)
    assert len(open_particles(star)) == 3


def test_folder_and_unknown_type(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="found a folder, expected a file"):
        open_particles(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nothing.star"):
        open_particles(tmp_path / "nothing.star")
    (tmp_path / "a.txt").touch()
    with pytest.raises(ValueError, match=r"type '.txt', expected one of .star, .cs, .csg, .mrcs, .mrc"):
        open_particles(tmp_path / "a.txt")


def test_options_that_do_not_fit(star: Path) -> None:
    with pytest.raises(ValueError, match="passthrough"):
        open_particles(star, passthrough=[star])
    with pytest.raises(ValueError, match="row 1: says a pixel size of 2 A; expected none or the same, found 1 A"):
        open_particles(star, pixel_size=1.0)


def test_volts_are_no_kilovolts(refused: Callable[..., str]) -> None:
    for found in ("300000", "0", "0.3", "-300"):  # volts, none, megavolts
        message = refused({"rlnVoltage": float(found)})
        assert f"row 1, rlnVoltage: found {found}, expected a voltage of 10 to 3000 kV (3 such rows)" in message


def test_ctf_in_other_units(refused: Callable[..., str]) -> None:
    percent = refused({"rlnAmplitudeContrast": 10.0})
    assert "rlnAmplitudeContrast: found 10, expected an amplitude contrast of 0 to 1, as a fraction" in percent
    assert "row 1, rlnDefocusU: found 1e+12, expected a defocus in A" in refused(rlnDefocusU=1e12)
    assert "expected a spherical aberration in mm" in refused({"rlnSphericalAberration": 2.7e7})
