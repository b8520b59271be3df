"""Following a run's folder: each thing is told once, torn lines wait, and a run that went back is told anew."""

import json
from pathlib import Path

import pytest

from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import Event, Status
from napari_cryospin.runs.source import RunInput
from napari_cryospin.runs.watch import FolderWatch
from napari_cryospin.settings import Settings


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
