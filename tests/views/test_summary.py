"""The summary of a run: what it says of results that are made up, so that the right words are known."""

import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.results import Results
from napari_cryospin.runs.source import RunInput
from napari_cryospin.runs.verdict import Verdict
from napari_cryospin.settings import Settings
from napari_cryospin.views.summary import bias_of, run_summary
from support.records import particle_record

COUNT = 4000
RIGHT = Verdict(kind="converged", reasons=("images tell the map from a scrambled copy of it",))
WRONG = Verdict(kind="not determined", reasons=("most poses are open",), next_steps=("another seed", "more particles"))


def ball(box: int = 24) -> np.ndarray:
    grid = np.indices((box,) * 3) - box // 2
    return np.exp(-(grid**2).sum(0) / 20).astype(np.float32)


def results(rotations=None, **changes) -> Results:
    rotations = Rotation.random(COUNT, random_state=0).as_matrix() if rotations is None else rotations
    count = len(rotations)
    record = particle_record(
        count,
        rotations=rotations,
        entropy=np.where(np.arange(count) < 0.75 * count, 0.1, 2.0),
        belongs=np.where(np.arange(count) < 0.9 * count, 0.9, 0.1),
    )
    made = Results(
        map=ball(), filtered_map=ball(), pixel_size=4.0, resolution=12.0, verdict=RIGHT, particles=record, epoch=7
    )
    return dataclasses.replace(made, **changes)


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path / "my-run", RunInput(particles=tmp_path / "p.star"), Settings())


def rows(summary):
    return {row.name: row for row in summary.rows}


def suggested(summary):
    return [one.text for one in summary.suggestions]


def test_a_good_run_says_so_and_what_next(folder):
    found = run_summary(folder, results())
    assert (found.name, found.tone) == ("my-run", "good")
    assert "guide only" in rows(found)["Resolution"].text
    assert rows(found)["Views"].tone == "good"
    assert "E_od 0.99" in rows(found)["Views"].text
    assert "0.8 or more is good, below 0.5" in rows(found)["Views"].about
    assert rows(found)["Sure of"].text.startswith("75 % of the particles")
    assert rows(found)["Junk"].text == "10 % of the images"
    assert suggested(found) == [
        "Refine in RELION or cryoSPARC",
        "Measure the resolution",
        "Drop the worst images",
        "Run again with another seed",
    ]
    assert found.picture[..., 3].any()
    for row in found.rows:
        assert row.text in found.text
    assert "Verdict: converged" in found.text


def test_half_sets_are_gold_and_are_compared_in_all_directions(folder):
    noise = np.random.default_rng(0).standard_normal((2, 24, 24, 24)).astype(np.float32)
    signal = np.random.default_rng(1).standard_normal((24, 24, 24)).astype(np.float32)
    found = run_summary(folder, results(half_maps=tuple(signal + 0.2 * one for one in noise)))
    assert "gold standard" in rows(found)["Resolution"].text
    assert "cFAR 0.9" in rows(found)["Views"].text
    assert "Measure the resolution" not in suggested(found)


def test_where_poses_are_not_determined_nothing_is_claimed(folder):
    found = run_summary(folder, results(verdict=WRONG, resolution=float("nan")))
    assert found.tone == "doubtful"
    assert "not told" in rows(found)["Resolution"].text
    assert rows(found)["Views"].tone == "plain"
    assert "Å" not in found.text
    assert suggested(found)[0] == "Make the poses sure first"
    assert "another seed, or more particles" in found.suggestions[0].how
    assert "Refine in RELION or cryoSPARC" not in suggested(found)


@pytest.mark.parametrize(("words", "advised"), [("looks like", True), ("looks nearly like", False)])
def test_only_an_exact_symmetry_is_advised(folder, words, advised):
    advice = f"the map {words} C2 (0.91); images fit the map averaged so worse by 0.8 nats each"
    found = run_summary(folder, results(looks_like=advice))
    assert rows(found)["Symmetry"].text == f"C1; {advice}"
    assert ("Impose the symmetry" in suggested(found)) is advised


def test_poses_are_not_praised_where_mates_were_not_told_apart(folder):
    made = Verdict(kind="ambiguous", reasons=("the map looks nearly the same after a turn",), next_steps=("more",))
    assert rows(run_summary(folder, results(verdict=made)))["Sure of"].tone == "plain"
    assert rows(run_summary(folder, results()))["Sure of"].tone == "good"


def test_crowded_views_are_told(folder):
    rng = np.random.default_rng(0)
    tilt = np.degrees(np.arccos(rng.uniform(np.cos(np.radians(25)), 1, COUNT)))
    angles = np.stack((rng.uniform(0, 360, COUNT), tilt, rng.uniform(0, 360, COUNT)), axis=-1)
    crowded = Rotation.from_euler("ZYZ", angles, degrees=True).as_matrix().transpose(0, 2, 1)
    found = run_summary(folder, results(crowded))
    assert rows(found)["Views"].tone == "doubtful"
    assert "E_od 0.2" in rows(found)["Views"].text
    assert "Record more views" in suggested(found)


def test_symmetric_copies_count_as_views():
    """Of an octahedral molecule, poses of one asymmetric unit are as good as views from everywhere."""
    rng = np.random.default_rng(0)
    tilt = np.degrees(np.arccos(rng.uniform(np.cos(np.radians(40)), 1, COUNT)))
    angles = np.stack((rng.uniform(0, 360, COUNT), tilt, rng.uniform(0, 360, COUNT)), axis=-1)
    one_unit = Rotation.from_euler("ZYZ", angles, degrees=True).as_matrix().transpose(0, 2, 1)
    assert not bias_of(results(one_unit)).even_views
    assert bias_of(results(one_unit, symmetry="O")).even_views


def test_the_other_hand_is_the_mirrored_picture(folder):
    density = ball()
    density[14, 12, 20] += 3
    made = results(filtered_map=density)
    one, other = (run_summary(folder, made, flipped=flipped).picture for flipped in (False, True))
    assert not np.array_equal(one, other)
