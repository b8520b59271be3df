"""The judgement on runs, from numbers that were recorded on stacks with known answers (docs/verdict.md)."""

import dataclasses
import json
import math

import pytest

from napari_cryospin.evaluation.verdict import Evidence, judge_run
from napari_cryospin.runs.verdict import Verdict

CLEAN = Evidence(
    finished=True,
    entropy=0.0,
    turn=0.2,
    error_over_noise=1.0,
    held_out_entropy=0.0,
    gain=80.0,
    told_apart=1.0,
    found_again=1.0,
    skewness=3.8,
)
REAL_LIFE = dataclasses.replace(
    CLEAN, error_over_noise=1.04, held_out_entropy=0.05, gain=9.7, told_apart=0.74, found_again=0.88
)
HSP_MIXED = dataclasses.replace(
    REAL_LIFE,
    gain=20.2,
    told_apart=0.87,
    found_again=0.9,
    mate_lead=9.7,
    mate_better=0.14,
    mate_confirmed=0.61,
    skewness=1.9,
)
HSP_CLEAN = dataclasses.replace(CLEAN, gain=218.0, mate_lead=20.1, mate_better=0.0, mate_confirmed=0.66, skewness=2.7)
SPIKE = dataclasses.replace(
    REAL_LIFE, gain=17.3, told_apart=0.89, found_again=0.9, mate_lead=17.9, mate_better=0.05, mate_confirmed=0.79
)
HSP_OF_MANY = dataclasses.replace(
    REAL_LIFE, gain=35.1, told_apart=0.91, found_again=0.9, mate_lead=4.1, mate_better=0.11, mate_confirmed=0.49
)
NOISE = dataclasses.replace(
    CLEAN, held_out_entropy=0.63, gain=0.1, told_apart=0.0, found_again=0.62, error_over_noise=0.98, skewness=0.1
)
APOFERRITIN = dataclasses.replace(
    CLEAN, held_out_entropy=0.63, gain=0.5, told_apart=0.01, found_again=0.32, error_over_noise=0.98, skewness=1.7
)
TWO_MOLECULES = dataclasses.replace(CLEAN, gain=43.5, found_again=0.88, error_over_noise=1.275, skewness=2.8)


@pytest.mark.parametrize("evidence", [CLEAN, REAL_LIFE, HSP_CLEAN, SPIKE])
def test_right_runs_are_converged(evidence):
    verdict = judge_run(evidence)
    assert verdict.kind == "converged"
    assert verdict.tells_resolution
    assert not verdict.next_steps


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        (NOISE, "0 % of the images tell the map from a scrambled copy"),
        (APOFERRITIN, "the images leave most poses open"),
        (TWO_MOLECULES, "differ from the map by 27 % more than the noise"),
        (dataclasses.replace(CLEAN, skewness=-3.8), "wrong sign"),
        (dataclasses.replace(CLEAN, halves_agree=False), "two half sets do not agree"),
        (dataclasses.replace(CLEAN, turn=5.0), "planned epochs were used up"),
        (dataclasses.replace(CLEAN, found_again=0.3), "only 30 % of the poses are found again"),
    ],
)
def test_wrong_runs_are_not_determined(evidence, reason):
    verdict = judge_run(evidence)
    assert verdict.kind == "not determined"
    assert not verdict.tells_resolution
    assert any(reason in text for text in verdict.reasons), verdict.reasons
    assert verdict.next_steps
    assert len(set(verdict.next_steps)) == len(verdict.next_steps)


@pytest.mark.parametrize(("evidence", "better"), [(HSP_MIXED, 14), (HSP_OF_MANY, 11)])
def test_mates_that_images_do_not_tell_apart_are_ambiguous(evidence, better):
    verdict = judge_run(evidence)
    assert verdict.kind == "ambiguous"
    assert f"the mate better for {better} %" in verdict.reasons[0]


def test_a_small_lead_over_mates_is_ambiguous():
    assert judge_run(dataclasses.replace(HSP_CLEAN, mate_lead=8.3)).kind == "ambiguous"


def test_mates_that_are_the_same_are_not_ambiguous():
    """Where the map's own difference between mates is noise, images confirm nothing of it."""
    same = dataclasses.replace(CLEAN, mate_lead=2.0, mate_better=0.5, mate_confirmed=0.02)
    verdict = judge_run(same)
    assert verdict.kind == "converged"
    # An average of nearly equal sides looks like that, too.
    assert "poses are known up to that turn" in verdict.sentence
    assert "turn" not in judge_run(CLEAN).sentence


def test_particles_sorted_among_the_copies_of_a_symmetric_molecule_are_ambiguous():
    """A clean spike, and Hsp90 half of whose particles were at the wrong mate, have the same numbers."""
    for lead, better, confirmed in ((6.5, 0.15, 0.34), (3.4, 0.15, 0.36)):
        sorted_ = dataclasses.replace(CLEAN, mate_lead=lead, mate_better=better, mate_confirmed=confirmed)
        assert judge_run(sorted_).kind == "ambiguous"


def test_a_run_that_goes_on_is_open_or_not_determined_so_far():
    assert judge_run(Evidence()).kind == "open"
    assert judge_run(Evidence(entropy=0.02, turn=9.0)).kind == "open"  # poses may turn before the end
    assert judge_run(Evidence(entropy=0.8)).kind == "not determined"
    assert judge_run(Evidence(entropy=0.02, heads_agree=0.2)).kind == "not determined"


def test_what_the_audit_found_counts_for_more_than_the_runs_own_entropy():
    assert judge_run(dataclasses.replace(CLEAN, entropy=0.9)).kind == "converged"
    assert judge_run(dataclasses.replace(CLEAN, entropy=0.0, held_out_entropy=0.9)).kind == "not determined"


def test_a_verdict_survives_its_file():
    verdict = judge_run(NOISE)
    text = json.dumps(verdict.to_dict(), allow_nan=False)
    read = Verdict.from_dict(json.loads(text))
    assert (read.kind, read.reasons, read.next_steps) == (verdict.kind, verdict.reasons, verdict.next_steps)
    assert read.evidence["gain"] == 0.1
    assert read.evidence["mate_lead"] is None
    assert math.isnan(verdict.evidence["mate_lead"])


def test_the_sentence_has_kind_reasons_and_next_steps():
    sentence = judge_run(NOISE).sentence
    assert sentence.startswith("not determined: the images leave most poses open")
    assert "Try next: more particles" in sentence
    assert "--" not in sentence


def test_a_symmetry_is_not_proposed_where_the_map_was_given_one():
    flat = Evidence(entropy=0.8)
    assert any("symmetry" in step for step in judge_run(flat).next_steps)
    assert not any("symmetry" in step for step in judge_run(dataclasses.replace(flat, symmetric=True)).next_steps)


def test_a_broken_symmetry_is_ambiguous_and_a_lower_one_is_proposed():
    broken = judge_run(dataclasses.replace(CLEAN, symmetric=True, symmetry_broken=7.2))
    assert broken.kind == "ambiguous"
    assert "7 standard errors" in broken.reasons[0]
    assert broken.next_steps == ("a lower symmetry, or none",)
    assert judge_run(dataclasses.replace(CLEAN, symmetric=True, symmetry_broken=1.2)).kind == "converged"
    lagging = judge_run(dataclasses.replace(CLEAN, symmetric=True, symmetry_lag=2.1))
    assert lagging.kind == "not determined"
    assert "by 2.1 nats each" in lagging.reasons[0]
    assert "a lower symmetry, or none" in lagging.next_steps
