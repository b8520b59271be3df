"""A symmetry by command: obeyed or refused between two steps, told by all that reads the run, kept by a resumed run."""

import dataclasses
import threading

import numpy as np
import pytest

import napari_cryospin as spin
from napari_cryospin.cli import main
from napari_cryospin.driving.run import drive_run, prepare
from napari_cryospin.io.mrc import read_map, write_map
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import Command
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import PRESETS
from napari_cryospin.views.figures import convergence_figure
from support.same_state import assert_same
from support.simulated import symmetric_phantom


@pytest.fixture(scope="module")
def particles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("d3")
    write_map(folder / "d3.mrc", symmetric_phantom(32, "D3", 3).numpy(), 3.0)
    spin.simulate(folder / "d3.mrc", folder / "d3", count=200, box=32, snr=2.0, shift_sd=0.0)
    return folder / "d3.star"


def folder_of(path, particles, symmetry: str = "C1") -> RunFolder:
    quick = PRESETS["quick"]
    settings = dataclasses.replace(
        quick,
        volume=dataclasses.replace(quick.volume, symmetry=symmetry),
        schedule=dataclasses.replace(quick.schedule, epochs=16, decoding_epochs=3, switch=9),
        machine=dataclasses.replace(quick.machine, device="cpu", threads=1, checkpoint_every=0.0, snapshot_every=0.0),
    )
    return RunFolder.create(path, RunInput(particles=particles), settings)


def sending(folder: RunFolder, at: dict[int, str], stop: threading.Event | None = None, stop_at: int | None = None):
    """Send a command for a symmetry at the end of some epochs, and stop after another."""

    def hear(event):
        if event.kind == "epoch" and event.detail["epoch"] in at:
            folder.send(Command(kind="symmetry", arguments=(at[event.detail["epoch"]],)))
        if event.kind == "epoch" and event.detail["epoch"] == stop_at:
            stop.set()

    return hear


@pytest.fixture(scope="module")
def imposed(particles, tmp_path_factory) -> RunFolder:
    """A run from nothing that is told of the wrong and then of the right symmetry; do not write into it."""
    folder = folder_of(tmp_path_factory.mktemp("imposed") / "run", particles)
    drive_run(folder, on_event=sending(folder, {1: "O", 8: "D3"}))
    return folder


def test_a_command_is_obeyed_or_refused_with_the_reason(imposed):
    told = [event for event in imposed.read_events() if event.kind in ("symmetry", "refused")]
    assert [event.kind for event in told] == ["refused", "symmetry"]
    assert told[0].detail["command"] == "symmetry"
    assert told[0].detail["reason"].startswith("24 A are 4 shells of the box")
    assert told[1].detail["symmetry"] == "D3"
    assert told[1].detail["before"] == "C1"
    assert told[1].detail["score"] > 0.7
    assert told[1].detail["reason"].startswith("D3 imposed (the map had it with a score of ")


def test_all_that_reads_the_run_knows_its_symmetry(imposed, capsys):
    view = spin.view(imposed.path)
    assert view.symmetry == view.status.symmetry == view.results.symmetry == "D3"
    assert imposed.settings.volume.symmetry == "C1"  # what the run began with
    assert main(["status", str(imposed.path)]) == 0
    assert "symmetry: D3\n" in capsys.readouterr().out
    report = view.evaluate(imposed.source.particles.with_name("d3_truth.star"))
    assert report.symmetry == "D3"
    assert report.rotations.within_10 > 0.9
    rows = convergence_figure(imposed.read_metrics(), imposed.read_events()).axes
    assert any("D3" in text.get_text() for text in rows[0].texts)
    found = spin.find_symmetry(imposed.path, "D3").candidates[0]
    assert found.exact
    np.testing.assert_allclose(found.rotation, np.eye(3), atol=0.05)


def test_a_run_with_an_imposed_symmetry_goes_on_as_if_never_stopped(imposed, particles, tmp_path):
    folder = folder_of(tmp_path / "stopped", particles)
    stop = threading.Event()
    drive_run(folder, stop=stop, on_event=sending(folder, {1: "O", 8: "D3"}, stop, 9))
    assert not folder.finished
    drive_run(folder)
    _, whole, _ = prepare(imposed)
    _, resumed, _ = prepare(folder)
    assert_same(resumed.state_dict(), whole.state_dict())
    np.testing.assert_array_equal(*(read_map(one.results_path / "map.mrc")[0] for one in (folder, imposed)))


def test_a_run_without_symmetry_is_advised_what_it_looks_like(particles, tmp_path):
    folder = folder_of(tmp_path / "advised", particles)
    told = []
    drive_run(folder, on_event=lambda event: told.append(event.detail.get("looks_like", "")))
    assert any("D3 (" in text for text in told)
    results = spin.view(folder.path).results
    assert results.symmetry == "C1"  # nothing is imposed
    assert "D3 (" in results.looks_like
    assert any(note.startswith("symmetry: the map looks like D3 (") for note in results.notes)
    looks_like = spin.view(folder.path).status.looks_like
    assert results.looks_like.startswith(f"the map {looks_like};")


def test_a_symmetry_that_was_given_is_told_when_it_is_taken(particles, tmp_path, capsys):
    folder, stop, told = folder_of(tmp_path / "given", particles, "D3"), threading.Event(), []

    def hear(event):
        told.append(event.detail.get("looks_like", ""))
        if event.kind == "symmetry":
            stop.set()

    drive_run(folder, stop=stop, on_event=hear)
    assert any(text.startswith("D3 is looked for (") for text in told)
    (event,) = (event for event in folder.read_events() if event.kind == "symmetry")
    assert (event.detail["before"], event.detail["symmetry"]) == ("C1", "D3")
    assert event.detail["reason"].startswith("D3 imposed (the map had it with a score of ")
    assert spin.view(folder.path).status.symmetry == "D3"
    _, resumed, _ = prepare(folder)
    assert resumed.symmetry.name == "D3"
    assert not resumed.progress_made.sought.group


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["symmetry"], "expected a group"),
        (["pause", "C3"], "takes nothing after it"),
        (["symmetry", "Q3"], "a point group"),
    ],
)
def test_a_command_that_says_too_little_or_too_much(imposed, arguments, reason, capsys):
    assert main(["send", str(imposed.path), *arguments]) == 2
    assert reason in capsys.readouterr().err
