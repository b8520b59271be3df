"""Following a run's folder: each thing is told once, torn lines wait, and a run that went back is told anew."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import Event, Status
from napari_cryospin.runs.snapshot import Snapshot
from napari_cryospin.runs.source import RunInput
from napari_cryospin.runs.watch import FolderWatch
from napari_cryospin.settings import Settings
from support.records import particle_record


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path / "run", RunInput(particles=Path("p.star")), Settings())


def test_everything_at_first_then_only_what_is_new(folder):
    folder.append_event(Event(kind="started", step=0))
    folder.append_metrics({"step": 1, "loss": 2.0})
    watch = FolderWatch(folder)
    news = watch.look()
    assert [event.kind for event in news.events] == ["started"]
    assert news.metrics == ({"step": 1, "loss": 2.0},)
    assert news.status.state == "starting"
    assert not watch.look()
    folder.append_event(Event(kind="paused", step=1))
    folder.write_status(Status(state="paused", step=1))
    news = watch.look()
    assert [event.kind for event in news.events] == ["paused"]
    assert (news.status.state, news.metrics, news.epochs) == ("paused", (), None)


def test_a_snapshot_of_the_same_step_is_told_where_it_was_written_anew(folder):
    """A switch during a pause."""
    arrays = {"map": np.zeros((4, 4, 4)), "noise": np.ones((1, 2)), "particles": particle_record()}
    arrays |= {"head_share": [1, 0]}
    numbers = {"step": 7, "epoch": 1, "pixel_size": 1.0, "loss": 1.0, "resolution": 9.0, "band": 1, "max_shift": 0.0}
    encoding = Snapshot(**arrays, **numbers, stage="auto-encoding", switch_ready=False, switch_reason="")
    folder.write_snapshot(encoding)
    watch = FolderWatch(folder)
    assert watch.look().snapshot.stage == "auto-encoding"
    assert watch.look().snapshot is None
    folder.write_snapshot(dataclasses.replace(encoding, stage="auto-decoding"))
    assert watch.look().snapshot.stage == "auto-decoding"
    assert watch.look().snapshot is None


def test_a_torn_line_waits_for_its_end(folder):
    watch = FolderWatch(folder)
    watch.look()
    line = json.dumps({"step": 3}) + "\n"
    with (folder.path / "metrics.jsonl").open("a") as file:
        file.write(line[:5])
        file.flush()
        assert watch.look().metrics == ()
        file.write(line[5:])
    assert watch.look().metrics == ({"step": 3},)


def test_a_run_that_went_back_is_told_anew(folder):
    for step in range(5):
        folder.append_metrics({"step": step})
    watch = FolderWatch(folder)
    watch.look()
    folder.rewind(2, 0)
    news = watch.look()
    assert news.restarted
    assert [line["step"] for line in news.metrics] == [0, 1, 2]
