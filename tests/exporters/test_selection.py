"""Which particles are chosen: against the same choice written in numpy."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from napari_cryospin.exporters.run_results import SELECTION_COLUMNS, RunResults, open_results
from napari_cryospin.exporters.selection import FORMER_NAMES, Selection
from napari_cryospin.geometry.angles import rotation_from_euler


@pytest.fixture
def results(star: Path, make_run) -> RunResults:
    """Nine of the twelve particles, in two half sets: half by half, as a run keeps them."""
    rows = np.array([0, 3, 5, 8, 11, 1, 2, 6, 10])
    halves = np.array([1] * 5 + [2] * 4, np.int8)
    unknown = np.arange(9, dtype=np.float32)
    unknown[4] = np.nan
    return open_results(make_run(star, rows, half_sets=halves, error=unknown))


def chosen(results: RunResults, expression: str) -> list[int]:
    return Selection(expression=expression).positions(results).tolist()


def test_particles_are_in_the_order_of_the_input(results):
    assert results.record.rows.tolist() == [0, 1, 2, 3, 5, 6, 8, 10, 11]
    assert results.record.half_sets.tolist() == [1, 2, 2, 1, 1, 2, 1, 2, 1]


def test_expressions(results):
    r = results.record
    cases = {
        "entropy < 1": r.entropy < 1,
        "entropy<1 and head==3": (r.entropy < 1) & (r.best_head == 2),
        "entropy > 2 or not (half_set == 1)": (r.entropy > 2) | (r.half_sets != 1),
        "0.5 <= entropy < 2.5": (r.entropy >= 0.5) & (r.entropy < 2.5),
        "row != 6": r.rows + 1 != 6,
        "winner >= 0 and log_likelihood > -500.0": r.log_likelihood > -500,
        "significant_samples <= 40 or max_probability > .9": (r.significant_samples <= 40) | (r.max_probability > 0.9),
        "shift < 5": np.linalg.norm(r.shifts, axis=1) < 5,
        "  tilt > 90\t": results.angles[:, 1] > 90,
    }
    for expression, expected in cases.items():
        assert 0 < expected.sum() <= 9, expression
        assert chosen(results, expression) == np.flatnonzero(expected).tolist(), expression


def test_what_is_not_known_holds_of_no_comparison(results):
    unknown = int(np.flatnonzero(np.isnan(results.record.error))[0])
    assert unknown not in chosen(results, "error > 3")
    assert unknown not in chosen(results, "error <= 3")
    assert unknown not in chosen(results, "error != 3")


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('true')",
        "entropy.real < 1",
        "entropy < (lambda: 1)()",
        "[entropy for entropy in (1,)] < 2",
        "entropy < 'a'",
        "entropy < True",
        "entropy + 1 < 2",
        "entropy",
        "entropie < 1",
        "entropy < 1 if 1 else 0",
        "entropy is 1",
        "entropy < ",
        "(" * 300 + "entropy < 1" + ")" * 300,
        "entropy := 3",
        "entropy < 1; head == 2",
        "\0",
    ],
)
def test_nothing_but_comparisons_is_understood(results, expression):
    with pytest.raises(ValueError, match="expected comparisons"):
        chosen(results, expression)


@pytest.mark.parametrize(
    ("word", "present"),
    FORMER_NAMES.items(),
)
def test_a_former_name_is_refused_with_the_present_one(results, word, present):
    with pytest.raises(ValueError, match=f"'{word}' is called {re.escape(present)} now"):
        chosen(results, f"entropy < 1 and {word} == 2")
    assert present.partition(",")[0] in SELECTION_COLUMNS


def test_heads_and_winners_count_from_1_and_0_is_none(results):
    best, winner = np.tile([-1, 0, 1], 3), np.tile([2, -1, 0], 3)
    record = dataclasses.replace(results.record, best_head=best, winner=winner)
    results = dataclasses.replace(results, record=record)
    assert chosen(results, "head == 0") == [0, 3, 6]
    assert chosen(results, "winner == 0") == [1, 4, 7]
    assert chosen(results, "winner == 3") == [0, 3, 6]
    for head in (0, 1):
        assert chosen(results, f"head == {head + 1}") == np.flatnonzero(record.best_head == head).tolist()


def test_direction(results):
    rot, tilt, _ = results.angles[4]
    assert Selection(direction=(rot, tilt, 0.01)).positions(results).tolist() == [4]
    towards = rotation_from_euler([rot, tilt, 0])[2]
    apart = np.degrees(np.arccos(np.clip(results.record.rotations[:, 2] @ towards, -1, 1)))
    for within in (60, 120):
        assert (
            Selection(direction=(rot, tilt, within)).positions(results).tolist()
            == np.flatnonzero(apart <= within).tolist()
        )
    assert len(Selection(direction=(0, 0, 180)).positions(results)) == 9
    with pytest.raises(ValueError, match="an angle of 0 or more"):
        Selection(direction=(0, 0, -1)).positions(results)


def test_random_draws_from_what_is_left(results):
    first = Selection(expression="half_set == 1", random=3, seed=4).positions(results)
    assert len(first) == 3
    assert (results.record.half_sets[first] == 1).all()
    assert first.tolist() == Selection(expression="half_set == 1", random=3, seed=4).positions(results).tolist()
    draws = {tuple(Selection(random=3, seed=seed).positions(results)) for seed in range(20)}
    assert len(draws) > 5
    with pytest.raises(ValueError, match="6 particles at random of 5"):
        Selection(expression="half_set == 1", random=6).positions(results)


def test_rows(results, tmp_path):
    path = tmp_path / "rows.txt"
    path.write_text("# chosen by eye\n12\n\n 2\n")
    assert results.record.rows[Selection(rows=path).positions(results)].tolist() == [1, 11]
    assert results.record.rows[Selection(rows=np.array([11, 1])).positions(results)].tolist() == [1, 11]
    with pytest.raises(ValueError, match="row 5 of the input is not one that the run uses"):
        Selection(rows=[4]).positions(results)
    path.write_text("1\n" + 30 * "9")
    with pytest.raises(ValueError, match=r"rows.txt: found '9+', expected a row of the input"):
        Selection(rows=path).positions(results)
    path.write_text("1\n0\n")
    with pytest.raises(ValueError, match=r"rows.txt: found '0', expected a row of the input, counted from 1"):
        Selection(rows=path).positions(results)
    with pytest.raises(FileNotFoundError):
        Selection(rows=tmp_path / "nothing.txt").positions(results)


def test_nothing_left(results):
    with pytest.raises(ValueError, match="none of the run's 9 particles is left"):
        chosen(results, "entropy > 100")


def test_what_the_run_does_not_know(star, make_run):
    results = open_results(make_run(star, [0, 1], finished=False))
    with pytest.raises(ValueError, match="does not know the particles' max_probability"):
        chosen(results, "max_probability > 0.5")
