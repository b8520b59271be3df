"""The record of a run's particles: its arrays are what they say, belong together, and cannot be written to."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from napari_cryospin.runs.epoch_record import EpochFile, EpochRecord
from napari_cryospin.runs.particle_record import ARRAY_SPECS, OPTIONAL_ARRAYS, ParticleRecord, head_share
from napari_cryospin.runs.record_file import RECORD_VERSION
from napari_cryospin.runs.results import ResultsRecord, epoch_of_results
from napari_cryospin.runs.snapshot import Snapshot
from support.records import epoch_record, particle_record

COUNT, HEADS = 5, 3


def full_record(**changes) -> ParticleRecord:
    rng = np.random.default_rng(0)
    arrays = {name: rng.uniform(0, 9, COUNT) for name in ARRAY_SPECS}
    arrays |= {"rows": np.array([7, 3, 9, 1, 4]), "half_sets": np.array([1, 1, 1, 2, 2])}
    arrays |= {"rotations": rng.normal(size=(COUNT, 3, 3)), "shifts": rng.normal(size=(COUNT, 2))}
    arrays |= {"candidates": rng.normal(size=(COUNT, HEADS, 3, 3)), "candidate_shifts": np.ones((COUNT, HEADS, 2))}
    arrays |= {"class_number": np.array([1, 2, 2, 1, 1]), "class_probability": np.full((COUNT, 2), 0.5)}
    return ParticleRecord(**(arrays | changes))


def test_arrays_have_the_types_that_the_record_names():
    record = full_record(rotations=np.zeros((COUNT, 3, 3), np.float32))
    for name, spec in ARRAY_SPECS.items():
        assert record.arrays[name].dtype in spec.dtypes, name
        assert record.arrays[name].shape[0] == COUNT, name
    assert record.rotations.dtype == np.float32
    assert record.shifts.dtype == np.float64
    assert (record.rows.dtype, record.candidates.dtype) == (np.int64, np.float16)


def test_arrays_are_the_records_own():
    entropy = np.zeros(COUNT, np.float32)
    record = full_record(entropy=entropy)
    entropy += 1
    assert record.entropy.max() == 0
    for name, array in record.arrays.items():
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 1
        assert dataclasses.replace(record).arrays[name] is array  # what cannot be written to is not copied


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("winner", np.zeros(COUNT + 1)),
        ("rotations", np.zeros((COUNT, 3))),
        ("shifts", np.zeros((COUNT, 3))),
        ("candidates", np.zeros((COUNT, 3, 3))),
        ("entropy", np.zeros((COUNT, 1))),
    ],
)
def test_an_array_of_another_shape_is_refused_by_name(name, values):
    with pytest.raises(ValueError, match=rf"{name} has shape \({', '.join(map(str, values.shape))}.*expected \(5"):
        full_record(**{name: values})


def test_particles_are_chosen_with_all_that_is_known_of_them():
    record = full_record()
    assert record.has_halves
    assert record.position(9) == 2
    with pytest.raises(ValueError, match="particle 6: the run does not use this row; expected one of 1 to 10"):
        record.position(5)
    second, ordered = record.of_half(2), record.in_order_of_rows()
    assert second.rows.tolist() == [1, 4]
    assert ordered.rows.tolist() == [1, 3, 4, 7, 9]
    for name, array in record.arrays.items():
        np.testing.assert_array_equal(second.arrays[name], array[3:])
        np.testing.assert_array_equal(ordered.arrays[name], array[[3, 1, 4, 0, 2]])


def test_shares_of_the_heads():
    best, winner = [0, 0, 2, -1, 1, 0], [3, 0, 2, -1, 3, 0]
    expected = [0.6, 0.2, 0.2, 2 / 6]
    np.testing.assert_allclose(head_share(best, winner, 3), expected, rtol=1e-6)
    record = particle_record(6, best_head=best, winner=winner)
    np.testing.assert_allclose(record.head_share(3), expected, rtol=1e-6)
    assert head_share([], [], 2).tolist() == [0, 0, 0]
    assert head_share([-1], [-1], 2).tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="best_head is not known"):
        particle_record(6).head_share(3)


@pytest.mark.parametrize("halves", [False, True])
def test_an_epoch_survives_its_file_and_single_arrays_can_be_read(tmp_path, halves):
    rng = np.random.default_rng(1)
    maps = tuple(rng.normal(size=(4, 4, 4)).astype(np.float16) for _ in range(2))
    known = {"half_maps": maps if halves else (), "noise": rng.uniform(size=(2, 2)), "max_shift": 3.25}
    record = epoch_record(7, full_record(), map=maps[0], **known, stage="auto-decoding", pixel_size=1.5, band=6)
    record.save(tmp_path / "epoch.npz")
    file = EpochFile(tmp_path / "epoch.npz")
    assert (file.epoch, file.stage, file.pixel_size) == (7, "auto-decoding", 1.5)
    assert [one.dtype for one in file.maps()] == [np.float32] * (1 + halves)
    np.testing.assert_array_equal(file.maps(), maps[: 1 + halves])
    read = file.record()
    assert (read.epoch, read.stage, read.band, read.max_shift) == (7, "auto-decoding", 6, 3.25)
    np.testing.assert_array_equal(read.maps, record.maps)
    np.testing.assert_array_equal(read.noise, record.noise)
    for name, array in record.particles.arrays.items():
        np.testing.assert_array_equal(read.particles.arrays[name], array)
        assert read.particles.arrays[name].dtype == array.dtype
    some = file.particles("entropy").arrays
    assert set(some) == {*ARRAY_SPECS} - {*OPTIONAL_ARRAYS} | {"entropy"}


def test_only_what_is_asked_for_is_read(tmp_path):
    """Other arrays of the file may even be damaged."""
    epoch_record(1, full_record()).save(tmp_path / "epoch.npz")
    content = (tmp_path / "epoch.npz").read_bytes()
    place = content.index(b"candidates.npy") + 200
    (tmp_path / "epoch.npz").write_bytes(content[:place] + b"torn" + content[place + 4 :])
    file = EpochFile(tmp_path / "epoch.npz")
    np.testing.assert_array_equal(file.particles("error").rotations, full_record().rotations)
    with pytest.raises(ValueError, match=r"epoch\.npz: damaged"):
        file.particles("candidates")


def test_results_keep_epoch_and_stage(tmp_path):
    ResultsRecord(epoch=4, stage="auto-decoding", particles=full_record()).save(tmp_path / "particles.npz")
    read = ResultsRecord.load(tmp_path / "particles.npz")
    assert (read.epoch, read.stage, epoch_of_results(tmp_path / "particles.npz")) == (4, "auto-decoding", 4)
    assert set(read.particles.arrays) == set(ARRAY_SPECS)
    with np.load(tmp_path / "particles.npz") as file:
        assert int(file["version"]) == RECORD_VERSION


def test_a_record_of_a_later_version_is_refused(tmp_path):
    np.savez(tmp_path / "epoch.npz", version=RECORD_VERSION + 1, epoch=1)
    for read in (EpochFile(tmp_path / "epoch.npz").record, lambda: Snapshot.load(tmp_path / "epoch.npz")):
        with pytest.raises(ValueError, match=rf"epoch\.npz.*version is {RECORD_VERSION + 1}; expected at most"):
            read()


def test_a_file_that_lacks_an_array_is_refused_by_name(tmp_path):
    np.savez(tmp_path / "particles.npz", version=RECORD_VERSION, epoch=1, stage="auto-encoding", rows=np.arange(3))
    with pytest.raises(ValueError, match=r"particles\.npz.*half_sets, rotations, shifts, winner missing"):
        ResultsRecord.load(tmp_path / "particles.npz")


@pytest.mark.parametrize("halves", [1, 2])
def test_each_particle_has_the_map_of_its_class_and_half(tmp_path, halves):
    maps = [np.full((4, 4, 4), value) for value in range(2 * halves)]
    record = epoch_record(
        particles=full_record(half_sets=np.array([1, 1, 2, 2, 1]) * (halves == 2)),
        map=maps[0],
        half_maps=tuple(maps[:2]) if halves == 2 else (),
        class_maps=tuple(maps),
        noise=np.arange(2 * halves).reshape(halves, 2),
    )
    record.save(tmp_path / "epoch_0001.npz")
    read = EpochRecord.load(tmp_path / "epoch_0001.npz")
    file = EpochFile(tmp_path / "epoch_0001.npz")
    assert read.classes == file.classes == 2
    shown = [read.all_maps[read.map_of(position)][0, 0, 0] for position in range(COUNT)]
    assert shown == ([0, 1, 1, 0, 0] if halves == 1 else [0, 2, 3, 1, 0])
    for number in (1, 2):
        values = [each[0, 0, 0] for each in file.maps(number)]
        assert values == [each[0, 0, 0] for each in read.maps_of_class(number)]
        assert values == list(range((number - 1) * halves, number * halves))
        assert list(read.particles.of_class(number).rows) == ([7, 1, 4] if number == 1 else [3, 9])
    for wrong in (0, 3):
        with pytest.raises(ValueError, match=f"class {wrong}.* expected 1 to 2"):
            read.maps_of_class(wrong)
        with pytest.raises(ValueError, match=f"class {wrong}: the run has 2 classes; expected 1 to 2"):
            read.particles.of_class(wrong)
