"""STAR's text: comments, keywords in either case, and blocks that no reader may leave out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_cryospin.io.open import open_particles
from napari_cryospin.io.star.particles import write_particles
from napari_cryospin.io.star.text import read_blocks, split_values

Write = Callable[..., Path]
FILE = """# version 30001

data_general{0}

_rlnFinalResolution{1} 3.4{2}

data_optics{0}

{3}{4}
_rlnOpticsGroup #1{5}
_rlnImagePixelSize #2
1 2.0{6}

data_particles

loop_
_rlnImageName #1
_rlnOpticsGroup #2
000001@stack.mrcs 1{7}
{8}
000003@stack.mrcs 1
"""


def written(folder: Path, *, at: int | None = None, text: str = "", loop: str = "loop_") -> Path:
    """A STAR file with a text at one of its places."""
    places = ["", "", "", loop, "", "", "", "", ""]
    if at is not None:
        places[at] = text
    (folder / "p.star").write_text(FILE.format(*places))
    return folder / "p.star"


@pytest.mark.parametrize("comment", [" # groups", "\t#", '  # it\'s 1 of "2"'])
@pytest.mark.parametrize("place", [0, 2, 4, 5, 6, 7, 8])
def test_comments_are_no_part_of_the_file(project: Path, place: int, comment: str) -> None:
    particles = open_particles(written(project, at=place, text=comment))
    assert particles.slice_index.tolist() == [0, 2]
    assert particles.pixel_sizes.tolist() == [2.0, 2.0]
    assert particles.table.blocks["general"] == {"rlnFinalResolution": "3.4"}
    assert particles.table.age == "30001"


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("a b # c", ["a", "b"]),
        ("a#b c", ["a#b", "c"]),
        ("'a # b' c # d", ["a # b", "c"]),
        ("\"#1\" '' #'x'", ["#1", ""]),
        ("1@it's.mrcs 2", ["1@it's.mrcs", "2"]),
        ("# a", []),
    ],
)
def test_values_of_a_line(line: str, values: list[str]) -> None:
    assert split_values(line) == values


def test_keywords_in_capitals(project: Path) -> None:
    path = written(project)
    text = path.read_text().replace("data_", "DATA_").replace("loop_", "Loop_").replace("optics", "OPTICS", 1)
    path.write_text(text)
    assert open_particles(path).pixel_sizes.tolist() == [2.0, 2.0]


@pytest.mark.parametrize("line", ["particles of Monday", "loop_", "_rlnImageName #1", "data_two words"])
def test_text_before_the_first_block_is_never_skipped(star: Path, line: str) -> None:
    star.write_text(f"# comment\n\n{line}\n{star.read_text()}")
    with pytest.raises(ValueError, match=rf"particles.star: line 3: found '{line}', expected data_ and a block's name"):
        open_particles(star)


@pytest.mark.parametrize(
    ("place", "text", "message"),
    [
        (1, " 3.4", "line 5, data_general: found .*, expected a label and its value"),
        (2, "\n_rlnFinalResolution 3.5", "line 6, data_general: found .*, expected rlnFinalResolution once"),
        (2, "\nsurplus", "line 6, data_general: found 'surplus', expected loop_ or a label"),
        (2, "\nloop_", "line 6, data_general: found 'loop_', expected one table or single values"),
        (4, "\nloop_", "line 10, data_optics: found 'loop_', expected one table"),
        (5, " surplus", "line 10, data_optics: found '_rlnOpticsGroup #1 surplus'"),
    ],
)
def test_what_stands_where_nothing_may(project: Path, place: int, text: str, message: str) -> None:
    path = written(project, at=place, text=text)
    if place == 5:
        path.write_text(path.read_text().replace("#1 surplus", "surplus"))
        message = "line 10, data_optics: found '_rlnOpticsGroup surplus', expected a label alone"
    with pytest.raises(ValueError, match=rf"p.star: {message}"):
        open_particles(path)


def block(name: str, *rows: int) -> str:
    return f"data_{name}\n\nloop_\n_rlnImageName #1\n" + "".join(f"{row}@stack.mrcs\n" for row in rows) + "\n"


def test_files_put_one_behind_the_other_are_refused(star: Path) -> None:
    star.write_text(star.read_text() * 2)
    with pytest.raises(ValueError, match="expected each block once") as raised:
        open_particles(star)
    lines = [number for number, line in enumerate(star.read_text().splitlines(), 1) if line.startswith("data_")]
    said = str(raised.value)
    assert str(star) in said
    assert f"data_optics 2 times (line {lines[0]}: 1 row, line {lines[2]}: 1 row)" in said
    assert f"data_particles 2 times (line {lines[1]}: 3 rows, line {lines[3]}: 3 rows)" in said


@pytest.mark.parametrize("names", [("", ""), ("particles", "Particles"), ("images", "x", "images")])
def test_repeated_blocks_are_refused(project: Path, names: tuple[str, ...]) -> None:
    (project / "p.star").write_text("".join(block(name, 1, 2) for name in names))
    with pytest.raises(ValueError, match=rf"found data_{names[0].lower()} 2 times \(line 1: 2 rows, line \d+: 2 rows"):
        open_particles(project / "p.star")


def test_repeated_optics_groups_are_refused(star: Path, optics: pd.DataFrame) -> None:
    """Of another microscope, say: RELION takes the first, a table by name the last."""
    star.write_text("data_optics\n\n_rlnImagePixelSize 9.0\n\n" + star.read_text())
    with pytest.raises(ValueError, match="data_optics 2 times"):
        open_particles(star)


def test_several_tables_of_particles_are_refused(project: Path) -> None:
    (project / "p.star").write_text(block("mic_1", 1, 2, 3) + block("mic_2", 4))
    with pytest.raises(
        ValueError, match=r"found 2 tables .*\(data_mic_1 of 3 rows, data_mic_2 of 1 rows\), expected one"
    ):
        open_particles(project / "p.star", pixel_size=2.0)


def test_empty_blocks_are_no_repetition(project: Path) -> None:
    (project / "p.star").write_text("data_\n\n" + block("", 1, 2))
    assert len(open_particles(project / "p.star", pixel_size=2.0)) == 2


def test_a_file_with_comments_is_written_with_all_its_values(project: Path) -> None:
    particles = open_particles(written(project, at=7, text=" # the best"))
    turned = np.broadcast_to(np.eye(3), (2, 3, 3))
    write_particles(project / "out.star", particles, turned, np.zeros((2, 2)))
    blocks, _ = read_blocks(project / "out.star")
    assert list(blocks) == ["general", "optics", "particles"]
    assert blocks["general"] == {"rlnFinalResolution": "3.4"}
    assert blocks["particles"]["rlnImageName"].tolist() == ["000001@stack.mrcs", "000003@stack.mrcs"]
