"""What is advised in a message is named as a flag on the command line, and every such flag exists."""

import numpy as np
import pytest

from napari_cryospin.advice import Advice
from napari_cryospin.cli import main
from napari_cryospin.cli.console import error_text, flag, with_flags
from napari_cryospin.io.mrc import write_map
from support.stacks import write_stack


def shown(arguments, capsys) -> str:
    main([str(argument) for argument in arguments])
    streams = capsys.readouterr()
    return streams.out + streams.err


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--data-dir", "nowhere"], "nowhere: no such folder (--data-dir)"),
        (["--pixel-size", "3"], "expected none or the same, found 3 A (--pixel-size)"),
        (["--box", "64"], "the particles' 32 px; expected at most that (--box)"),
        (["--max-shift", "999"], "expected at most half of the box, 32 A (--max-shift)"),
        (["--mask-radius", "1"], "a radius, no diameter (--mask-radius)"),
    ],
)
@pytest.mark.parametrize("command", ["inspect", "run"])
def test_flags_of_a_star_file(command, options, line, stack, tmp_path, capsys):
    out = ["-o", tmp_path / "out"] if command == "run" else []
    assert line in shown([command, stack, *out, *options], capsys)


@pytest.mark.parametrize("command", ["inspect", "run"])
def test_flag_of_missing_stacks(command, stack, tmp_path, capsys):
    (tmp_path / "images.mrcs").unlink()
    out = ["-o", tmp_path / "out"] if command == "run" else []
    assert "1 of 1 stacks missing (--data-dir): images.mrcs" in shown([command, stack, *out], capsys)


def test_flag_of_stacks_that_are_gone_before_a_run_goes_on(stack, run, tmp_path, capsys):
    (tmp_path / "images.mrcs").unlink()
    said = shown(["resume", run.path, "--particles", stack], capsys)
    assert "its parents and the data folder (--data-dir): images.mrcs\n" in said


@pytest.fixture
def moved(stack) -> int:
    """Thirty images in a stack each, none of which is there; how many there are."""
    header, *_ = stack.read_text().partition("1@images")
    values = "2.0 32 300 2.7 0.1 15000 14000 35"
    stack.write_text(header + "".join(f"1@Extract/{number}.mrcs {values}\n" for number in range(30)))
    return 30


def test_stacks_that_the_card_does_not_name_are_listed_in_a_file(stack, moved, tmp_path, capsys):
    said = shown(["inspect", stack], capsys)
    assert "30 of 30 stacks missing (--data-dir): all beneath Extract: 0.mrcs, 1.mrcs" in said
    assert "9.mrcs and 20 more\n" in said
    assert "--missing FILE lists all missing stacks in a file" in said
    before = stack.read_bytes()
    assert "expected '.txt'" in shown(["inspect", stack, "--missing", stack], capsys)
    assert stack.read_bytes() == before
    said = shown(["inspect", stack, "--missing", tmp_path / "missing.txt"], capsys)
    assert f"wrote {tmp_path / 'missing.txt'}: 30 missing stacks" in said
    assert (tmp_path / "missing.txt").read_text().split() == [f"Extract/{number}.mrcs" for number in range(moved)]


def test_stacks_of_a_run_are_listed_in_its_folder(stack, moved, run, capsys):
    said = shown(["resume", run.path, "--particles", stack], capsys)
    listed = run.path / "missing_stacks.txt"
    assert f"9.mrcs and 20 more; {listed} lists all of them" in said
    assert len(listed.read_text().splitlines()) == moved
    listed.unlink()
    listed.mkdir()  # cannot be written
    said = shown(["resume", run.path, "--particles", stack], capsys)
    assert said.endswith("9.mrcs and 20 more\n")


def test_flag_of_a_pixel_size_that_is_missing_leads_to_a_card(stack, capsys):
    stack.write_text(stack.read_text().replace("_rlnImagePixelSize", "_rlnPixelSize"))
    said = shown(["inspect", stack], capsys)
    assert "found rlnPixelSize (2.0), which may be that of a reference or of a micrograph" in said
    assert said.endswith("give that of the images (--pixel-size)\n")
    assert "32 px at 2.5 A" in shown(["inspect", stack, "--pixel-size", 2.5], capsys)


def test_flags_of_a_bare_stack(stack, tmp_path, capsys):
    images = tmp_path / "images.mrcs"
    assert "says no pixel size; give that of the images (--pixel-size)" in shown(["inspect", images], capsys)
    said = shown(["inspect", images, "--pixel-size", 2], capsys)
    assert "CTF is off: a bare stack says nothing of it (--ctf)" in said


def test_flag_of_dark_protein(tmp_path, capsys):
    axis = np.arange(32) - 16
    blob = np.exp(-np.add.outer(axis**2, axis**2) / 32)
    images = np.random.default_rng(0).normal(size=(40, 32, 32)) - blob
    write_stack(tmp_path / "dark.mrcs", images.astype(np.float32), 2.0)
    said = shown(["inspect", tmp_path / "dark.mrcs", "--pixel-size", 2], capsys)
    assert "darker than its surroundings; a run wants it bright (--invert-contrast)" in said


def test_flags_of_a_cryosparc_file(stack, tmp_path, capsys):
    fields = [("uid", "u8"), ("blob/path", "S20"), ("blob/idx", "u4"), ("blob/psize_A", "f4")]
    table = np.array([(1, b"images.mrcs", 0, 2.0), (2, b"images.mrcs", 1, 2.0)], dtype=fields)
    with (tmp_path / "p.cs").open("wb") as file:
        np.save(file, table)
    said = shown(["inspect", tmp_path / "p.cs"], capsys)
    assert "CTF is off: no file has ctf/ fields; a passthrough file may (--passthrough)" in said
    with (tmp_path / "p.cs").open("wb") as file:
        np.save(file, table[["uid", "blob/path", "blob/idx"]])
    said = shown(["inspect", tmp_path / "p.cs"], capsys)
    assert "no field blob/psize_A; a passthrough file may have it (--passthrough)" in said


def test_flag_of_orientations_to_draw_from(stack, tmp_path, capsys):
    write_map(tmp_path / "map.mrc", np.ones((16, 16, 16), np.float32), 2.0)
    for text in (stack.read_text(), stack.read_text().replace("_rlnImagePixelSize", "_someColumn")):
        stack.write_text(text)  # Angles need no pixel size.
        said = shown(["simulate", tmp_path / "map.mrc", tmp_path / "out", "--orientation-table", stack], capsys)
        assert "expected particles with angles to draw from (--orientation-table)" in said


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("run", ["data_dir", "passthrough", "ctf", "pixel_size", "box", "mask_radius", "invert_contrast", "max_shift"]),
        ("inspect", ["data_dir", "pixel_size", "half_sets"]),
        ("simulate", ["orientation_table"]),
        ("export", ["low_pass", "b_factor", "primary", "statistics"]),
    ],
)
def test_flags_that_are_named_are_those_of_the_parser(command, options, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    words = capsys.readouterr().out.replace(",", " ").split()
    assert {flag(option) for option in options} <= set(words)


def test_an_error_is_worded_with_its_flags():
    assert error_text(FileNotFoundError(Advice("no such folder", "data_dir"))) == "no such folder (--data-dir)"
    assert with_flags(Advice("no map", "half_sets", "b_factor")) == "no map (--half-sets or --b-factor)"
