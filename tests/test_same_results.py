"""The comparison of two runs, which vouches for changes that must not alter results (benchmarks/same_results.py)."""

import json

import mrcfile
import numpy as np
import pytest

from support.scripts import load_script

same_results = load_script("benchmarks/same_results.py")

DENSITY = np.linspace(-1, 1, 64, dtype=np.float32).reshape(4, 4, 4)
POSES = {"rotations": np.eye(3, dtype=np.float32)[None], "error": np.array([0.5, np.nan]), "stage": np.array("one")}
METRICS = {"time": 1.0, "elapsed": 2.0, "step": 3, "loss": 0.25, "resolution": None}
STAR = "data_particles\n1 2 3\n"


def write_run(folder, density=DENSITY, poses=POSES, metrics=METRICS, star=STAR):
    """Write a small run folder."""
    for name in ("results", "history", "snapshots"):
        (folder / name).mkdir(parents=True)
    with mrcfile.new(folder / "results" / "map.mrc") as file:
        file.set_data(density)
    np.savez(folder / "results" / "particles.npz", **poses)
    np.savez(folder / "history" / "epoch_0001.npz", **poses)
    (folder / "results" / "particles.star").write_text(star)
    (folder / "metrics.jsonl").write_text(json.dumps(metrics) + "\n")
    (folder / "log.txt").write_text(str(folder))  # is not compared
    return folder


@pytest.fixture
def found(tmp_path):
    """Compare a run with one that differs in what is given: (file, name of the value) of each difference."""

    def compare(**changed):
        before, after = write_run(tmp_path / "before"), write_run(tmp_path / "after", **changed)
        return {(difference.file, difference.name) for difference in same_results.differences(before, after)}

    return compare


def test_equal_runs_have_no_difference(found):
    assert found() == set()


def test_clocks_new_arrays_and_wider_types_are_no_difference(found):
    wider = POSES | {"rotations": POSES["rotations"].astype(np.float64), "version": np.array(2)}
    assert found(metrics=METRICS | {"time": 5.0, "elapsed": 6.0}, poses=wider) == set()


def test_one_bit_of_a_map_is_a_difference(found):
    density = DENSITY.copy()
    density[1, 2, 3] = np.nextafter(density[1, 2, 3], np.float32(2))
    assert found(density=density) == {("results/map.mrc", "map")}


def test_other_places_of_nan_are_a_difference(found):
    both = {("results/particles.npz", "error"), ("history/epoch_0001.npz", "error")}
    assert found(poses=POSES | {"error": np.array([np.nan, 0.5])}) == both


def test_the_sign_of_zero_is_a_difference(found):
    zeros = POSES["rotations"].copy()
    zeros[0, 0, 1] = -0.0
    assert {name for _, name in found(poses=POSES | {"rotations": zeros})} == {"rotations"}


@pytest.mark.parametrize("change", [{"stage": np.array("two")}, {"stage": np.array(["one"])}])
def test_other_text_and_shape_are_differences(found, change):
    assert {name for _, name in found(poses=POSES | change)} == {"stage"}


def test_missing_array_is_a_difference(found):
    assert {name for _, name in found(poses={"error": POSES["error"]})} == {"rotations", "stage"}


def test_metrics_and_lines_of_text_are_compared(found):
    different = found(metrics=METRICS | {"loss": 0.250001, "resolution": 4.0}, star=STAR + "4 5 6\n")
    metrics = {("metrics.jsonl", f"line 1, {name}") for name in ("loss", "resolution")}
    assert different == metrics | {("results/particles.star", "line 3")}


def test_missing_file_is_a_difference(tmp_path):
    before, after = write_run(tmp_path / "before"), write_run(tmp_path / "after")
    (after / "history" / "epoch_0001.npz").unlink()
    (text,) = map(str, same_results.differences(before, after))
    assert text == "history/epoch_0001.npz: file: only before"


def test_renamed_array_is_found_under_its_new_name(tmp_path, monkeypatch):
    renamed = {"turns" if name == "rotations" else name: value for name, value in POSES.items()}
    before, after = write_run(tmp_path / "before"), write_run(tmp_path / "after", poses=renamed)
    monkeypatch.setitem(same_results.RENAMED, "rotations", "turns")
    assert list(same_results.differences(before, after)) == []
