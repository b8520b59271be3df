"""Exports of a run with several classes, and of one of its classes."""

from __future__ import annotations

import re
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import starfile
from scipy.spatial.transform import Rotation

from napari_cryospin.driving.results import write_results
from napari_cryospin.exporters.run_results import open_results
from napari_cryospin.exporters.selection import Selection
from napari_cryospin.exporters.table import export_run
from napari_cryospin.io.open import open_particles
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import Status
from napari_cryospin.runs.record_file import RecordFile
from napari_cryospin.runs.results import Results
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import Settings
from support.records import epoch_record, particle_record

BOX, CLASSES = 16, 3


def results_of(count: int, classes: int = CLASSES) -> Results:
    """Results whose particle `i` is in class `i % classes + 1`, and whose map of class k is full of k."""
    rng = np.random.default_rng(0)
    numbers = np.arange(count) % classes + 1
    arrays = {
        "rotations": Rotation.random(count, random_state=1).as_matrix(),
        "shifts": rng.normal(0, 5, (count, 2)),
        "error": rng.uniform(1, 2, count),
        "class_number": numbers,
        "class_probability": rng.dirichlet(np.ones(classes), count),
        "max_probability": rng.uniform(0, 1, count),
    }
    record = particle_record(count, **arrays)

    def made(number: int, **fields) -> Results:
        density = np.full((BOX,) * 3, float(number))
        maps = {"map": density, "filtered_map": density, "pixel_size": 2.0, "resolution": 9.0}
        return Results(**maps, epoch=7, **fields)

    parts = tuple(made(k, particles=record.select(np.flatnonzero(numbers == k))) for k in range(1, classes + 1))
    return made(1, particles=record, classes=parts)


@pytest.fixture
def star(write_star, optics, rows) -> Path:
    return write_star({"optics": optics, "particles": rows})


@pytest.fixture
def run(star, tmp_path) -> RunFolder:
    folder = RunFolder.create(tmp_path / "run", RunInput(particles=star), Settings())
    particles = open_particles(star, require_stacks=False)
    write_results(folder.results_path, results_of(len(particles)), particles)
    folder.write_status(Status(state="finished"))
    return folder


def value_of(path: Path) -> float:
    with mrcfile.open(path) as file:
        return float(file.data.mean())


def test_each_class_has_a_folder_of_results(run):
    count = len(open_results(run))
    for number in range(1, CLASSES + 1):
        own = run.of_class(number)
        assert own.results_path == run.path / "results" / f"class_{number}"
        assert value_of(own.results_path / "map.mrc") == number
        assert list(open_results(own).record.rows) == list(range(number - 1, count, CLASSES))
        table = starfile.read(own.results_path / "particles.star", always_dict=True)["particles"]
        assert set(table["rlnClassNumber"]) == {number}
    with pytest.raises(ValueError, match="found class 4; the run has 3, expected 1 to that"):
        run.of_class(4)


def test_fewer_classes_leave_no_results_of_older_ones(run, star):
    particles = open_particles(star, require_stacks=False)
    write_results(run.results_path, results_of(len(particles), classes=2), particles)
    assert run.classes == 2
    assert not (run.results_path / "class_3").exists()


def test_relion_gets_numbers_and_probabilities(run, tmp_path):
    (path,) = export_run(run, "relion", tmp_path / "all.star").paths
    table, record = starfile.read(path, always_dict=True)["particles"], open_results(run).record
    np.testing.assert_array_equal(table["rlnClassNumber"], record.class_number)
    for number in range(1, CLASSES + 1):
        found = table[f"cryospinClassProbability{number}"]
        np.testing.assert_allclose(found, record.class_probability[:, number - 1], atol=1e-5)


def test_an_earlier_job_s_probabilities_are_not_carried_over(run, tmp_path):
    (path,) = export_run(run, "relion", tmp_path / "all.star").paths
    again = open_particles(path, require_stacks=False)
    folder = RunFolder.create(tmp_path / "next", RunInput(particles=path), Settings())
    one = results_of(len(again), classes=1)
    record = particle_record(len(again), rotations=one.particles.rotations, shifts=one.particles.shifts)
    write_results(
        folder.results_path,
        Results(map=one.map, filtered_map=one.map, pixel_size=2.0, resolution=9.0, particles=record),
        again,
    )
    table = starfile.read(folder.results_path / "particles.star", always_dict=True)["particles"]
    assert not [name for name in table if "Class" in name]
    assert folder.classes == 1


@pytest.mark.parametrize("by", ["selection", "class"])
def test_one_star_a_class(run, tmp_path, by):
    whole = open_results(run).record
    choice = {"selection": Selection(expression="class == 2")} if by == "selection" else {"class_number": 2}
    (path,) = export_run(run, "relion", tmp_path / "two.star", **choice).paths
    found = open_particles(path, require_stacks=False)
    expected = whole.select(np.flatnonzero(whole.class_number == 2))
    np.testing.assert_allclose(found.rotations, expected.rotations, atol=1e-5)
    np.testing.assert_allclose(found.shifts, expected.shifts, atol=1e-4)


def test_selection_by_the_probability_of_the_own_class(run):
    results = open_results(run)
    own = results.record.class_probability[np.arange(len(results)), results.record.class_number - 1]
    chosen = Selection(expression="class_probability > 0.3 and not class == 3").positions(results)
    assert list(chosen) == list(np.flatnonzero((own > 0.3) & (results.record.class_number != 3)))


def test_cryosparc_gets_alignments_to_all_classes(run, tmp_path):
    dataset = pytest.importorskip("cryosparc.dataset").Dataset
    exported = export_run(run, "cryosparc", tmp_path / "out")
    found, record = dataset.load(exported.paths[1]), open_results(run).record
    count = len(record)
    np.testing.assert_allclose(found["alignments3D_multi/class_posterior"], record.class_probability, atol=1e-6)
    np.testing.assert_array_equal(found["alignments3D_multi/class"], np.tile(np.arange(CLASSES), (count, 1)))
    np.testing.assert_array_equal(found["alignments3D/class"], record.class_number - 1)
    assert found["alignments3D_multi/shift"].shape == (count, CLASSES, 2)
    poses = Rotation.from_rotvec(np.asarray(found["alignments3D_multi/pose"], float)[:, 1]).as_matrix()
    np.testing.assert_allclose(poses.transpose(0, 2, 1), record.rotations, atol=1e-6)
    assert "alignments3D_multi:" in exported.paths[0].read_text()
    ours = open_particles(exported.paths[1], require_stacks=False)
    np.testing.assert_allclose(ours.rotations, record.rotations, atol=1e-6)


def test_chimerax_opens_the_maps_of_all_classes(run, tmp_path):
    script = export_run(run, "chimerax", tmp_path / "out").paths[0]
    text = script.read_text()
    opened = [name for name in re.findall(r'open "([^"]+)"', text) if name.endswith(".mrc")]
    assert opened == [f"class_{number}.mrc" for number in range(1, CLASSES + 1)]
    assert [value_of(script.parent / name) for name in opened] == [1, 2, 3]
    assert "# Other classes: show #2-3 models" in text


@pytest.mark.parametrize("to", ["chimerax", "maps", "emdb"])
def test_the_maps_of_one_class(run, tmp_path, to):
    export_run(run, to, tmp_path / "out", class_number=2)
    assert value_of(next((tmp_path / "out").glob("map*.mrc"))) == 2


def test_classes_are_counted_once_and_without_reading_maps(star, tmp_path, monkeypatch):
    folder = RunFolder.create(tmp_path / "run", RunInput(particles=star), Settings())
    maps = tuple(np.full((4, 4, 4), float(number)) for number in range(1, CLASSES + 1))
    folder.write_history(epoch_record(3, map=maps[0], class_maps=maps))
    shapes = []
    read = RecordFile.shape
    monkeypatch.setattr(RecordFile, "shape", lambda file, name: shapes.append(name) or read(file, name))
    monkeypatch.setattr(RecordFile, "array", lambda _, name: pytest.fail(f"{name} was read"))
    assert folder.of_class(2).class_number == 2
    assert shapes == ["class_maps"]
    with pytest.raises(ValueError, match="found class 4; the run has 3, expected 1 to that"):
        folder.of_class(4)


def test_classes_of_a_run_that_goes_on(star, tmp_path):
    folder = RunFolder.create(tmp_path / "run", RunInput(particles=star), Settings())
    count = len(open_particles(star, require_stacks=False))
    record = results_of(count).particles
    maps = tuple(np.full((4, 4, 4), float(number)) for number in range(1, CLASSES + 1))
    folder.write_history(epoch_record(3, record, map=maps[0], class_maps=maps))
    results = open_results(folder.of_class(2))
    assert list(results.record.rows) == list(range(1, count, CLASSES))
    assert results.live
