"""The pre-flight card, and the judgement of contrast."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_cryospin.checks.contrast import judge_contrast
from napari_cryospin.checks.image_survey import survey_images
from napari_cryospin.checks.preflight import preflight
from napari_cryospin.cli.console import with_flags
from napari_cryospin.io.open import open_particles
from napari_cryospin.settings import PRESETS, PreparationSettings, Settings, settings_from
from support.stacks import write_stack


def with_box(**preparation: object) -> Settings:
    return Settings(preparation=PreparationSettings(**preparation))


def blobs(sign: float) -> np.ndarray:
    """`(40, 32, 32)` a faint blob near the centre of noise."""
    rng = np.random.default_rng(0)
    axis = np.arange(32) - 16
    x, y = axis - rng.normal(0, 1, (40, 1)), axis - rng.normal(0, 1, (40, 1))
    blob = np.exp(-(y[:, :, None] ** 2 + x[:, None] ** 2) / 32)
    return (sign * blob + rng.normal(size=blob.shape)).astype(np.float32)


@pytest.mark.parametrize(("sign", "verdict"), [(1, "white"), (-1, "black"), (0, "unclear")])
def test_contrast(tmp_path: Path, sign: int, verdict: str) -> None:
    write_stack(tmp_path / "a.mrcs", blobs(sign), 2.0)
    particles = open_particles(tmp_path / "a.mrcs", pixel_size=2.0)
    contrast = judge_contrast(particles)
    assert contrast.verdict == verdict
    assert judge_contrast(particles, -1).difference == -contrast.difference
    card = preflight(particles, with_box())
    assert card.problems == ()
    assert ("--invert-contrast" in card.text(with_flags)) == (verdict == "black")
    assert ("a run wants it bright" in str(card)) == (verdict == "black")
    assert np.array_equal(particles.contrast, np.ones(40))  # judged, never changed


def test_contrast_of_real_particles(shared_data: Path) -> None:
    folder = shared_data / "stacks"
    star = preflight(open_particles(folder / "empiar_10076_7.star"), with_box())
    assert star.contrast.verdict == "black"
    assert "--invert-contrast" in star.text(with_flags)
    inverted = preflight(open_particles(folder / "empiar_10076_7.star"), with_box(invert_contrast=True))
    assert inverted.contrast.verdict == "white"
    # The .cs file says that protein is dark: images are inverted on reading.
    cs = preflight(open_particles(folder / "empiar_10076_7.cs"), with_box())
    assert cs.contrast.verdict == "white"
    assert any("dark in 7 images" in note for note in cs.notes)
    simulated = open_particles(folder / "10076_classD_32_sim.star", data_dir=folder)
    assert judge_contrast(simulated).verdict == "black"


def test_card(star: Path) -> None:
    card = preflight(open_particles(star), with_box())
    assert (card.count, card.used, card.optics_groups) == (3, 3, 1)
    assert (card.boxes, card.pixel_sizes) == ((16,), (2.0,))
    assert (card.working_box, card.working_pixel_size) == (16, 2.0)
    assert card.problems == ()
    text = str(card)
    for line in ("particles:     3", "box:           16 px at 2 A", "defocus 14500 to 16500 A, 300 kV, Cs 2.70 mm"):
        assert line in text
    assert "rotations, shifts of" in text


def test_missing_stacks_are_a_problem(shared_data: Path) -> None:
    path = shared_data / "files" / "relion5.star"
    card = preflight(open_particles(path, require_stacks=False), with_box())
    assert card.problems == ("2 of 2 stacks missing: toy_images_a.mrcs, toy_images_b.mrcs",)
    assert with_flags(card.problems[0]) == "2 of 2 stacks missing (--data-dir): toy_images_a.mrcs, toy_images_b.mrcs"
    assert card.contrast is None
    assert "448 px at 0.89 A" in str(card)


def test_missing_stack_of_unknown_box(write_star: Callable[..., Path], rows: pd.DataFrame) -> None:
    flat = rows[["rlnImageName"]].assign(rlnImageName="1@gone.mrcs", rlnDetectorPixelSize=2.0)
    card = preflight(open_particles(write_star({"": flat}), require_stacks=False), with_box())
    assert len(card.problems) == 1
    assert "unknown" in str(card)


def test_box_larger_than_the_particles(star: Path) -> None:
    card = preflight(open_particles(star), with_box(box=32))
    assert card.problems[0].startswith("box 32 px is larger than the particles' 16 px")
    assert "PROBLEM" in str(card)


BAD_IMAGES = (
    "2 images cannot be used; mend or leave out (--leave-out-bad): "
    "particle 1 (image 3 of stack.mrcs): all pixels are 7; "
    "particle 3 (image 6 of stack.mrcs): pixels that are no numbers"
)


@pytest.fixture
def bad_star(star: Path, images: np.ndarray) -> Path:
    """Three particles, the first and the last of which cannot be used."""
    images[2], images[5, 3, 3] = 7, np.nan
    write_stack(star.parent / "stack.mrcs", images, 2.0)
    return star


def test_images_that_cannot_be_used_are_one_problem(bad_star: Path) -> None:
    card = preflight(open_particles(bad_star), with_box())
    assert [with_flags(problem) for problem in card.problems] == [BAD_IMAGES]
    assert card.contrast is not None  # of the other
    assert card.contrast.count == 1
    assert "all 3 looked at" in str(card)


def test_images_that_cannot_be_used_are_left_out(bad_star: Path) -> None:
    card = preflight(open_particles(bad_star), with_box(leave_out_bad=True))
    assert card.problems == ()
    assert card.used == 1
    assert any(note.startswith("2 images cannot be used and left out: particle 1 (image 3") for note in card.notes)


def test_where_no_image_can_be_used_nothing_is_left_to_leave_out(star: Path, images: np.ndarray) -> None:
    write_stack(star.parent / "stack.mrcs", np.zeros_like(images), 2.0)
    for leave_out in (False, True):
        card = preflight(open_particles(star), with_box(leave_out_bad=leave_out))
        assert "3 images cannot be used" in card.problems[0]
        assert card.contrast is None


def test_survey_says_how_many_it_looked_at(tmp_path: Path) -> None:
    stack = np.random.default_rng(0).normal(size=(400, 16, 16)).astype(np.float32)
    stack[::25] = 0
    stack[7, 5, 5] = -90
    write_stack(tmp_path / "a.mrcs", stack, 2.0)
    particles = open_particles(tmp_path / "a.mrcs", pixel_size=2.0)
    everything = survey_images(particles, PreparationSettings())
    assert (everything.looked_at, everything.count) == (400, 400)
    assert list(everything.faults) == sorted(everything.faults) == list(range(0, 400, 25))
    assert everything.replaced == {7: 1}
    assert "hot or dead pixels in 1 of 400 images (1 pixel)" in everything.notes[0]
    assert "particles 8" in everything.notes[0]
    hasty = survey_images(particles, PreparationSettings(), seconds=0)
    assert hasty.looked_at == 25
    assert str(hasty) == "25 of 400 looked at, evenly spread; a run looks at all that it uses"


def test_many_bad_images_make_a_short_message(tmp_path: Path) -> None:
    stack = np.zeros((300, 16, 16), np.float32)
    stack[0] = np.random.default_rng(0).normal(size=(16, 16))
    write_stack(tmp_path / "a.mrcs", stack, 2.0)
    card = preflight(open_particles(tmp_path / "a.mrcs", pixel_size=2.0), with_box())
    assert card.problems[0].startswith("299 images cannot be used")
    assert card.problems[0].endswith("particle 11 (image 11 of a.mrcs): all pixels are 0; and 289 more")
    assert card.problems[0].count("particle ") == 10


def test_poses_that_a_method_takes_as_known_are_looked_for(tmp_path: Path) -> None:
    write_stack(tmp_path / "a.mrcs", blobs(1), 2.0)
    particles = open_particles(tmp_path / "a.mrcs", pixel_size=2.0)
    known = PRESETS["known-poses"]
    (problem,) = preflight(particles, known).problems
    assert problem.startswith("the poses are not known: found no rotations and no shifts; expected them in the file")
    rotated = dataclasses.replace(particles, rotations=np.tile(np.eye(3), (40, 1, 1)))
    card = preflight(rotated, known)
    assert "PROBLEM:       the poses are not known: found no shifts; expected" in card.text(with_flags)
    assert "or centred particles" in card.text(with_flags)
    assert preflight(rotated, settings_from("known-poses", shifts=False)).problems == ()
    assert preflight(particles, PRESETS["hierarchical"]).problems == ()


def test_a_subset_of_more_than_there_are_is_said(star: Path) -> None:
    card = preflight(open_particles(star), with_box(subset=1000))
    assert card.used == 3
    assert "subset of 1,000: there are 3 particles; all of them are used" in card.notes


@pytest.mark.parametrize(
    ("pixel_size", "done"),
    [
        (1.0, ""),
        (1.25, "; 1 of 32 px at 1.25 A, 40 A wide, cropped to 32 A"),
        (0.75, "; 1 of 32 px at 0.75 A, 24 A wide, padded to 32 A"),
    ],
)
def test_mixed_boxes(
    write_star: Callable[..., Path], optics: pd.DataFrame, rows: pd.DataFrame, pixel_size: float, done: str
) -> None:
    path = write_star({})
    write_stack(path.parent / "large.mrcs", np.random.default_rng(0).normal(size=(1, 32, 32)), pixel_size)
    second = optics.assign(rlnOpticsGroup=2, rlnImagePixelSize=pixel_size, rlnImageSize=32)
    names = ["1@stack.mrcs", "2@stack.mrcs", "1@large.mrcs"]
    table = rows.assign(rlnOpticsGroup=[1, 1, 2], rlnImageName=names)
    card = preflight(
        open_particles(write_star({"optics": pd.concat([optics, second]), "particles": table})), with_box()
    )
    assert card.problems == ()
    assert card.boxes == (16, 32)
    assert card.working_box == 16
    assert card.optics_groups == 2
    assert f"boxes or pixel sizes differ: all images are brought to the working box{done}" in card.notes


@pytest.mark.parametrize(
    ("preset", "changes", "noted"),
    [
        ("paper-cpu", {"teaching": 0.3}, True),
        ("quick", {"posterior_sample": False}, True),
        ("paper-cpu", {"teaching": 0.3, "posterior_sample": True}, False),
        ("paper-cpu", {}, False),
        ("hierarchical", {"teaching": 0.3}, False),  # It has no heads, so that teaching is not what its user asks for.
    ],
)
def test_teaching_without_a_teacher_is_noted(tmp_path, preset, changes, noted):
    write_stack(tmp_path / "a.mrcs", blobs(1), 2.0)
    particles = open_particles(tmp_path / "a.mrcs", pixel_size=2.0)
    card = preflight(particles, settings_from(preset, **changes))
    found = "teaching 0.3 has no effect: no pose is drawn from the posterior, which the heads could learn from"
    assert (f"{found} (--posterior-sample)" in card.text(with_flags)) == noted
    assert (found in card.notes) == noted
    assert card.problems == ()
