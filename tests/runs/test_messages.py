"""Messages survive their way through a file, and nobody can write to a snapshot."""

import json

import numpy as np
import pytest

from napari_cryospin.runs.messages import Command, Event, Status
from napari_cryospin.runs.particle_record import ParticleRecord
from napari_cryospin.runs.snapshot import Snapshot


def make_snapshot(**changes):
    rng = np.random.default_rng(0)
    values = {
        "step": 12,
        "epoch": 3,
        "stage": "auto-encoding",
        "map": rng.normal(size=(8, 8, 8)),
        "pixel_size": 4.33,
        "band": 3,
        "noise": rng.uniform(1, 2, size=(2, 4)),
        "max_shift": 5.5,
        "particles": ParticleRecord(
            rows=np.array([0, 2, 4, 1, 3]),
            half_sets=np.array([1, 1, 1, 2, 2]),
            rotations=rng.normal(size=(5, 3, 3)).astype(np.float32),
            shifts=rng.normal(size=(5, 2)).astype(np.float32),
            winner=np.array([0, 1, 2, -1, 1]),
        ),
        "head_share": np.array([0.2, 0.4, 0.2, 0.0]),
        "loss": 1.5,
        "resolution": float("nan"),
        "switch_ready": True,
        "switch_reason": "entropy 0.1 nats",
    }
    return Snapshot(**{**values, **changes})


@pytest.mark.parametrize("half_maps", [(), (np.ones((8, 8, 8)), np.zeros((8, 8, 8)))])
def test_snapshot_survives_its_file(tmp_path, half_maps):
    snapshot = make_snapshot(half_maps=half_maps)
    snapshot.save(tmp_path / "snapshot.npz")
    read = Snapshot.load(tmp_path / "snapshot.npz")
    for name in ("map", "noise", "head_share"):
        np.testing.assert_array_equal(getattr(read, name), getattr(snapshot, name))
        assert getattr(read, name).dtype == getattr(snapshot, name).dtype
    assert set(read.particles.arrays) == {"rows", "half_sets", "rotations", "shifts", "winner"}
    for name, values in snapshot.particles.arrays.items():
        np.testing.assert_array_equal(read.particles.arrays[name], values)
        assert read.particles.arrays[name].dtype == values.dtype
    assert (read.step, read.stage, read.pixel_size) == (12, "auto-encoding", 4.33)
    assert (read.band, read.max_shift) == (3, 5.5)
    assert (read.particles.rows.dtype, read.particles.half_sets.dtype) == (np.int64, np.int8)
    assert np.isnan(read.resolution)
    assert read.switch_ready is True
    assert len(read.half_maps) == len(half_maps)


def test_snapshot_owns_arrays_that_nobody_can_write_to():
    volume = np.zeros((4, 4, 4), np.float32)
    snapshot = make_snapshot(map=volume, half_maps=(volume, volume))
    volume += 1
    assert snapshot.map.max() == 0
    assert volume.flags.writeable
    for array in (snapshot.map, snapshot.half_maps[0], snapshot.noise, *snapshot.particles.arrays.values()):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 1


@pytest.mark.parametrize("content", [b"", b"PK torn", b"not a snapshot"])
def test_torn_snapshot_is_refused_by_name(tmp_path, content):
    path = tmp_path / "000000012.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"000000012\.npz"):
        Snapshot.load(path)


@pytest.mark.parametrize(
    "message",
    [
        Command(kind="switch", reason="after 7 epochs"),
        Event(kind="refused", step=3, detail={"reason": "no"}),
        Status(state="running", loss=0.5),
    ],
)
def test_message_survives_json(message):
    assert type(message)(**json.loads(message.to_json())) == message


def test_time_left_follows_the_pace():
    assert Status(state="running", progress=0.25, elapsed=10).time_left == 30
    assert Status(state="running", progress=0.0, elapsed=10).time_left is None
