"""The comparison of methods (benchmarks/paper): its runs are possible, and its tables say what was measured."""

import csv
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def paper(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import paper
    from benchmarks.paper import __main__, cases, report

    del __main__
    return paper, cases, report


def run(method: str, medians: list[float], **others) -> dict:
    rows = [
        {"epoch": k + 1, "stage": "auto-encoding", "seconds": 3.0 * (k + 1), "mean": 2 * value, "median": value}
        | {"within_10": 0.5, "resolution": 30.0 - k}
        for k, value in enumerate(medians)
    ]
    found = {"method": method, "molecule": "hsp", "seed": 0, "rows": rows, "verdict": "converged", "peak_gib": 1.5}
    return found | {"parameters": 5_000_000, "threads": 2} | others


def test_every_contender_is_a_run_that_the_settings_admit(paper):
    from napari_cryospin.settings import settings_from

    _, cases, _ = paper
    for scale in cases.SCALES.values():
        for method in cases.CONTENDERS:
            preset, changes = cases.overrides(cases.Case(method, "hsp", 2), scale)
            settings = settings_from(preset, **changes)
            assert settings.machine.seed == 2
            assert not settings.encoder.shifts
            assert method in (settings.method, "quick")
    assert len(cases.cases(cases.SCALES["cpu"], ["quick", "cryoai"], 3)) == 2 * 3 * 3


def test_times_are_those_after_which_errors_stay_small(paper):
    _, _, report = paper
    assert report.time_to(run("quick", [40, 4, 9, 4.5, 1]), 5) == 12
    assert report.time_to(run("quick", [40, 4, 9]), 5) is None
    assert report.seconds_an_epoch(run("quick", [40, 4, 9]), "auto-encoding") == 3
    assert report.seconds_an_epoch(run("quick", [40, 4, 9]), "auto-decoding") is None


def test_the_report_stands_alone_and_failures_stand_in_it(paper, tmp_path):
    _, _, report = paper
    failed = {"method": "cryoai", "molecule": "hsp", "seed": 0, "rows": [], "failed": "MemoryError: <too much>"}
    page = report.write_report([run("quick", [40.0, 1.25]), failed], "cpu", 7, tmp_path).read_text()
    assert page.count("<svg") == 2
    assert "failed: MemoryError: &lt;too much&gt;" in page
    assert "7 runs are not made yet" in page
    assert "src=" not in page
    assert "45.8" in page
    table = list(csv.reader((tmp_path / "table_1.csv").open()))
    assert ["hsp", "quick", "0", "2.5", "1.25", "0.5", "29.0", "6.0", "6.0", "6.0", "converged"] in table
    costs = {row[0]: row[1:] for row in csv.reader((tmp_path / "table_2.csv").open())}
    assert costs["quick"] == ["3.0", "", "1.5", "5.0"]
    assert "cryoai" not in costs


def test_what_is_there_already_is_not_made_again(paper, tmp_path, monkeypatch, capsys):
    from benchmarks.paper import __main__ as command

    made = []

    def measure(case, options, out):
        made.append(case.name)
        out.write_text(json.dumps(run(case.method, [3.0]) | {"molecule": case.molecule}))

    monkeypatch.setattr(command, "measure", measure)
    arguments = ["paper", "--maps", ".", "--out", str(tmp_path), "--scale", "look", "--methods", "quick", "search"]
    monkeypatch.setattr(sys, "argv", arguments)
    command.main()
    assert made == ["spliceosome_quick_0", "spliceosome_search_0"]
    (tmp_path / "runs" / "look" / "spliceosome_search_0.json").unlink()
    command.main()
    assert made[2:] == ["spliceosome_search_0"]
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "report.html")
