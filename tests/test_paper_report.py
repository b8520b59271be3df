"""The comparison of methods (benchmarks/paper): its runs are possible, and its tables say what was measured."""

import argparse
import csv
import dataclasses
import json
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_cryospin.io.mrc import write_map
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.settings import settings_from

ROOT = Path(__file__).resolve().parents[1]
COUNT = 120


@pytest.fixture(autouse=True)
def from_the_root(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))


def part(name: str):
    return import_module(f"benchmarks.paper.{name}")


def run(method: str, medians: list[float], **others) -> dict:
    rows = [
        {"epoch": k + 1, "stage": "auto-encoding", "seconds": 3.0 * (k + 1), "mean": 2 * value, "median": value}
        | {"within_10": 0.5, "resolution": 30.0 - k}
        for k, value in enumerate(medians)
    ]
    found = {"method": method, "molecule": "hsp", "seed": 0, "rows": rows, "verdict": "converged", "peak_gib": 1.5}
    found |= {"elapsed": 3.0 * len(rows) + 0.5, "threads": 2, "finished": True}
    return found | {"parameters": {"encoder": 4_000_000, "volume": 1_000_000}} | others


FAILED = {"method": "cryoai", "molecule": "hsp", "seed": 0, "rows": [], "failed": "MemoryError: <too much>"}


def test_every_contender_is_a_run_that_the_settings_admit():
    cases = part("cases")
    for scale in cases.SCALES.values():
        for method in cases.CONTENDERS:
            settings = part("measure").settings_of(cases.Case(method, "hsp", 2), scale.name, 1)
            assert settings.machine.seed == 2
            assert not settings.encoder.shifts
            assert method in (settings.method, "quick", "cryospin-4-heads")
            assert settings.encoder.heads == 4 or method != "cryospin-4-heads"


def test_the_amortised_branch_differs_by_the_switch_alone():
    """It is the same run until the switch, and has all the time that the other one has."""
    cases = part("cases")
    for name in ("cpu", "full"):
        own, other = (
            part("measure").settings_of(cases.Case(method, "hsp", 0), name, 1)
            for method in ("cryospin", "fully-amortized")
        )
        assert dataclasses.replace(other, method="cryospin", schedule=own.schedule) == own
        assert other.schedule.epochs >= own.schedule.epochs
        assert other.schedule.batch_size == own.schedule.batch_size


def test_runs_are_chosen_by_method_molecule_and_seed():
    cases = part("cases")
    scale = cases.SCALES["cpu"]
    assert len(cases.cases(scale, ["quick", "cryoai"])) == 2 * 3
    assert len(cases.cases(scale, list(cases.CONTENDERS))) == 11 * 3
    others = cases.cases(scale, list(cases.CONTENDERS), ["hsp", "spike"])
    assert len(others) == 11 * 3 + 10 * 3  # Four heads: the first molecule only.
    assert [case.name for case in cases.cases(cases.SCALES["full"])] == [
        f"{molecule}_quick_0" for molecule in ("hsp", "spike", "spliceosome")
    ]
    few = cases.cases(scale, ["em"], ["spike"], [4, 5])
    assert [case.name for case in few] == ["spike_em_4", "spike_em_5"]
    assert scale.folder != dataclasses.replace(scale, count=7).folder


def test_all_runs_fit_into_the_budget():
    """Even if runs take a tenth more than their limit: start of the process, images, comparison with the truth."""
    cases = part("cases")
    scale = cases.SCALES["cpu"]
    ending = ("quick", "search", "em", "known-poses")  # They take a quarter of it at most.
    runs = cases.cases(scale, list(cases.CONTENDERS))
    limited = [case for case in runs if case.method not in ending]
    seconds = (len(limited) + 0.25 * (len(runs) - len(limited))) * 1.1 * scale.limit
    assert seconds / scale.jobs <= cases.CPU_BUDGET
    assert scale.jobs * scale.threads == 2


def test_times_are_those_after_which_errors_stay_small():
    tables = part("tables")
    assert tables.time_to(run("quick", [40, 4, 9, 4.5, 1]), 5) == 12
    assert tables.time_to(run("quick", [40, 4, 9]), 5) is None
    assert tables.time_to(FAILED, 5) is None
    assert tables.seconds_an_epoch(run("quick", [40, 4, 9]), "auto-encoding") == 3
    assert tables.seconds_an_epoch(run("quick", [40, 4, 9]), "auto-decoding") is None
    sparse = run("quick", [40, 4])
    sparse["rows"][1] |= {"epoch": 5, "seconds": 15.0}  # Epochs 2 to 4 were not kept.
    assert tables.seconds_an_epoch(sparse, "auto-encoding") == 3


def test_table_1_has_the_run_of_the_median_error_and_counts_failures():
    runs = [run("quick", [40.0, last], seed=seed) for seed, last in enumerate([1.0, 9.0, 3.0])]
    runs[1]["finished"] = False
    head, *rows = part("tables").table_1([*runs, {**FAILED, "method": "quick", "seed": 3}])
    found = dict(zip(head, rows[-1], strict=True))
    assert (found["method"], found["mean"], found["median"]) == ("quick", 6.0, 3.0)
    assert (found["came to 5 degrees"], found["came to 2 degrees"]) == ("2 of 4", "1 of 4")
    assert (found["time to 5 degrees (s)"], found["time to 2 degrees (s)"]) == (6.0, 6.0)
    assert found["peak memory (GiB)"] == 1.5
    assert found["outcome"] == "2 finished, 1 reached in the time given, 1 failed"
    assert ["hsp", "cryoAI, published", 45.83, 61.86] in [row[:4] for row in rows]
    assert not any(row[0] == "spike" for row in rows)


def comparison(runs: list[dict], out: Path):
    return part("drawing").Comparison(runs, part("cases").SCALES["cpu"], out)


def test_the_report_stands_alone_and_failures_stand_in_it(tmp_path):
    write_report = part("report").write_report
    page = write_report(comparison([run("quick", [40.0, 1.25]), FAILED], tmp_path), 7, figures=False).read_text()
    assert page.count("<svg") == 2
    assert "failed: MemoryError: &lt;too much&gt;" in page
    assert "7 runs are not made yet" in page
    assert "src=" not in page
    assert "45.8" in page
    table = list(csv.reader((tmp_path / "table_1_runs.csv").open()))
    quick = ["hsp", "quick", "0", "2.5", "1.25", "0.5", "29.0", "6.0", "6.0", "6.0", "6.5", "1.5"]
    assert [*quick, "converged", "finished"] in table
    costs = {row[0]: row[1:] for row in csv.reader((tmp_path / "table_2.csv").open())}
    assert costs["quick"] == ["3.0", "", "1.5", "5.0", "4.0", "1.0"]
    assert "cryoai" not in costs
    assert len(list(csv.reader((tmp_path / "fig_3.csv").open()))) == 3


def test_a_figure_that_cannot_be_drawn_costs_nothing_else(tmp_path):
    """The folders of these runs do not exist."""
    runs = [run("cryospin", [40.0, 1.25]), run("cryospin-4-heads", [50.0])]
    page = part("report").write_report(comparison(runs, tmp_path), 0, figures=True).read_text()
    assert page.count("Not drawn") == 3
    assert "paths are not drawn, no run of both methods came beyond the switch" in page
    assert page.count("<svg") == 3  # Fig. 3, and errors against epochs.


@pytest.fixture
def stem(tmp_path, make_phantom) -> Path:
    """Beginning of the names of simulated particles."""
    (tmp_path / "maps").mkdir()
    write_map(tmp_path / "maps" / "spliceosome.mrc", make_phantom(16).numpy(), 6.0)
    options = argparse.Namespace(out=tmp_path, maps=tmp_path / "maps", ctf=None)
    scale = dataclasses.replace(part("cases").SCALES["look"], count=COUNT)
    return part("__main__").simulate("spliceosome", scale, options)


def known_poses(stem: Path):
    case = part("cases").Case("known-poses", "spliceosome", 0)
    folder = stem.parent / "run"
    return part("measure").measured(case, "look", stem, folder, 1), part("rows").TrueRun(folder, stem, "spliceosome")


def test_rows_come_from_the_folder_of_a_run(stem):
    found, true = known_poses(stem)
    assert (found["finished"], found["parameters"]) == (True, {})
    assert found["elapsed"] >= found["rows"][-1]["seconds"]
    assert found["rows"] == part("rows").rows_of(true)
    assert [row["epoch"] for row in found["rows"]] == [1, 2]
    ends = [line["elapsed"] for line in RunFolder(true.folder).read_metrics() if line.get("epoch_ended")]
    assert [row["seconds"] for row in found["rows"]] == ends
    assert found["rows"][-1]["median"] < 0.01
    assert found["rows"][-1]["within_10"] == 1
    assert 12 <= found["rows"][-1]["resolution"] < 20  # Nyquist is 12 A.


def test_rows_tell_errors_after_an_alignment(stem):
    """Poses of an epoch are turned as a whole, which is no error, and each by 3 degrees, which is one."""
    _, true = known_poses(stem)
    folder = RunFolder(true.folder)
    record = folder.history(2).record()
    frame = Rotation.from_euler("zyz", [40, 70, 10], degrees=True).as_matrix()
    axes = np.random.default_rng(0).normal(size=(COUNT, 3))
    turns = Rotation.from_rotvec(3 * axes / np.linalg.norm(axes, axis=1, keepdims=True), degrees=True).as_matrix()
    poses = dataclasses.replace(record.particles, rotations=record.particles.rotations @ turns @ frame)
    folder.write_history(dataclasses.replace(record, epoch=2, particles=poses))
    row = part("rows").rows_of(true)[-1]
    assert row["mean"] == pytest.approx(3, abs=0.15)
    brought = part("switch_figures").directions_in(true, 2, true, 1)
    angles = np.degrees(np.arccos(np.clip((brought * record.particles.rotations[:, 2]).sum(1), -1, 1)))
    assert angles.max() < 3.5
    true = part("switch_figures").true_direction(true, folder.history(2).record(), 5)
    assert np.degrees(np.arccos(np.clip(true @ poses.rotations[5, 2], -1, 1))) < 3.5


def test_examples_are_the_first_particles_whose_paths_show():
    angles = np.radians([0.5, 3.0, 20.0, 7.0, 2.5, 4.0, 5.0])
    before = np.tile([0.0, 0.0, 1.0], (7, 1))
    after = np.stack([np.sin(angles), np.zeros(7), np.cos(angles)], axis=1)
    assert part("switch_figures").examples(before, after).tolist() == [1, 3, 4, 5]


def test_the_switch_is_the_last_epoch_before_it():
    switch_epoch = part("switch_figures").switch_epoch
    switched = run("cryospin", [40.0, 30.0, 2.0])
    assert switch_epoch(switched) is None
    switched["rows"][2]["stage"] = "auto-decoding"
    assert switch_epoch(switched) == 2


def test_maps_are_compared_in_some_epochs_and_in_the_last():
    epochs_with_map = part("rows").epochs_with_map
    assert epochs_with_map((1, 2, 5)) == {1, 2, 5}
    chosen = epochs_with_map(tuple(range(1, 101)))
    assert 100 in chosen
    assert len(chosen) == part("rows").RESOLUTIONS
    assert set(np.diff(sorted(chosen))) == {12}


def test_a_run_is_ended_by_its_limit_and_an_interrupted_one_goes_on(stem):
    measure = part("measure")
    settings = settings_from("known-poses", epochs=30, batch_size=10, shifts=False, threads=1, device="cpu")
    folder = measure.begun(stem.parent / "late", measure.input_of(stem, settings), settings)
    measure.drive_until(folder, 0.0)
    status = folder.read_status()
    assert (status.state, folder.finished) == ("stopped", False)
    assert status.step < 30 * COUNT / 10
    assert not list(folder.results_path.glob("*"))
    measure.drive_until(measure.begun(folder.path, Path("not read again"), settings), None)
    assert folder.finished
    ended = [line["epoch"] for line in folder.read_metrics() if line.get("epoch_ended")]
    assert ended == list(range(1, 31))


def arguments(tmp_path: Path, *more: str) -> list[str]:
    maps = ["--maps", str(tmp_path / "maps"), "--out", str(tmp_path), "--scale", "look", "--count", str(COUNT)]
    return ["paper", *maps, "--methods", "quick", "search", *more]


def test_what_is_there_already_is_not_made_again(stem, tmp_path, monkeypatch, capsys):
    command, made = part("__main__"), []

    def measure(case, scale, options, out):
        made.append((case.name, scale.count))
        others = {"molecule": case.molecule, "seed": case.seed}
        out.write_text(json.dumps(run(case.method, [3.0]) | others if case.method == "quick" else FAILED | others))

    monkeypatch.setattr(command, "measure", measure)
    monkeypatch.setattr(sys, "argv", arguments(tmp_path, "--seeds", "1"))
    command.main()
    assert sorted(made) == [("spliceosome_quick_1", COUNT), ("spliceosome_search_1", COUNT)]
    command.main()  # A failed run stands as failed.
    assert len(made) == 2
    (tmp_path / "runs" / f"look_{COUNT}" / "spliceosome_search_1.json").unlink()
    monkeypatch.setattr(sys, "argv", arguments(tmp_path, "--seeds", "1", "--report"))
    command.main()
    assert len(made) == 2
    assert "1 runs are not made yet" in (tmp_path / "report.html").read_text()
    monkeypatch.setattr(sys, "argv", arguments(tmp_path, "--seeds", "0", "--report"))
    command.main()
    assert "2 runs are not made yet" in (tmp_path / "report.html").read_text()
    table = list(csv.reader((tmp_path / "table_1_runs.csv").open()))
    assert [row[:3] for row in table[1:]] == [["spliceosome", "quick", "1"]]  # What lies there is told, wanted or not.
    monkeypatch.setattr(sys, "argv", arguments(tmp_path, "--seeds", "1"))
    command.main()
    assert made[2:] == [("spliceosome_search_1", COUNT)]
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "report.html")


def test_a_killed_run_has_failed_and_an_interrupted_one_is_left_to_go_on(tmp_path, monkeypatch):
    command, cases = part("__main__"), part("cases")
    case, scale, out = cases.Case("cryoai", "hsp", 0), cases.SCALES["cpu"], tmp_path / "one.json"
    options = argparse.Namespace(out=tmp_path)
    for code in (-2, 130, -15, 1):
        monkeypatch.setattr(command.subprocess, "run", lambda *_, code=code: SimpleNamespace(returncode=code))
        with pytest.raises(KeyboardInterrupt):
            command.measure(case, scale, options, out)
        assert not out.exists()
    monkeypatch.setattr(command.subprocess, "run", lambda *_: SimpleNamespace(returncode=-9))
    command.measure(case, scale, options, out)
    assert "SIGKILL" in json.loads(out.read_text())["failed"]
