"""What can be asked of a run with several classes, on disk, and what its commands do."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from napari_cryospin.cli import main
from napari_cryospin.driving.run import drive_run
from napari_cryospin.io.mrc import read_map
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import Command
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import PRESETS
from napari_cryospin.views.run_view import RunView
from support.version_0_1 import VERSION_0_1

EPOCHS, CLASSES = 4, 2


@pytest.fixture(scope="module", params=[False, True], ids=["whole", "halves"])
def finished(request, tmp_path_factory) -> RunFolder:
    """A run that has ended; nobody writes to it."""
    quick = PRESETS["quick"]
    settings = dataclasses.replace(
        quick,
        encoder=dataclasses.replace(quick.encoder, heads=2, encoder_box=16, encoder_batch=15),
        volume=dataclasses.replace(quick.volume, first_band=3, encoding_band=5, growth_steps=4, classes=CLASSES),
        schedule=dataclasses.replace(quick.schedule, epochs=EPOCHS, decoding_epochs=2, switch=2, batch_size=15),
        preparation=dataclasses.replace(quick.preparation, half_sets=request.param),
        machine=dataclasses.replace(quick.machine, device="cpu", snapshot_every=0.0),
    )
    place = tmp_path_factory.mktemp("finished") / "run"
    folder = RunFolder.create(place, RunInput(particles=VERSION_0_1 / "particles.star"), settings)
    folder.send(Command(kind="drop-class", arguments=["1"]))  # Too early: it is refused.
    drive_run(folder)
    return folder


def test_classes_with_their_maps_and_shares(finished):
    view = RunView(finished)
    found, record = view.classes(), view.record()
    assert len(found.maps) == len(found.shares) == record.classes == CLASSES
    assert found.shares.sum() == pytest.approx(1)
    assert found.counts.sum() == len(record.particles)
    half = 1 if finished.settings.preparation.half_sets else None
    for number in (1, 2):
        assert np.array_equal(view.map(class_number=number, half=half).density, found.maps[number - 1].density)
    assert not np.array_equal(found.maps[0].density, found.maps[1].density)
    with pytest.raises(ValueError, match="class 3: there is no such class; expected 1 to 2"):
        view.map(class_number=3)


def test_a_particle_s_probabilities_and_the_curves(finished):
    view = RunView(finished)
    row = int(view.particles().rows[7])
    assert view.class_probabilities(row).sum() == pytest.approx(1, abs=1e-5)
    assert list(view.class_probabilities(row, epoch=1)) == [1.0]
    curves = view.curves()
    assert {"class_share_1", "class_share_2"} <= set(curves)
    shares = curves["class_share_1"].y + curves["class_share_2"].y
    np.testing.assert_allclose(shares, 1, rtol=1e-6)


def test_before_the_split_there_is_one_class(finished):
    found = RunView(finished).classes(1)
    assert (list(found.shares), len(found.maps)) == ([1.0], 1)


def test_results_of_each_class(finished):
    view = RunView(finished)
    sizes = [len(view.results_of_class(number).particles) for number in range(1, finished.classes + 1)]
    assert sum(sizes) == len(view.results.particles)
    assert [len(one.particles) for one in view.results.classes] == sizes
    largest = 1 + int(np.argmax(sizes))
    density, _ = read_map(finished.of_class(largest).results_path / "map.mrc")
    assert np.array_equal(density, view.results.map)


def test_the_posterior_of_a_particle_is_that_under_the_map_of_its_class(finished):
    view = RunView(finished)
    record = view.record()
    for number in (1, 2):
        row = int(record.particles.rows[np.flatnonzero(record.particles.class_number == number)[0]])
        assert record.map_of(record.particles.position(row)) // len(record.maps) == number - 1
        assert view.posterior(row, detail=False).particle == row


def test_events_say_what_happened_to_classes(finished):
    kinds = [event.kind for event in finished.read_events()]
    assert kinds.count("refused") == 1
    split = [event for event in finished.read_events() if event.detail.get("change") == "split"]
    assert len(split) == (2 if finished.settings.preparation.half_sets else 1)
    assert "were dealt to 2 classes at random" in split[0].detail["reason"]


def test_one_class_on_the_command_line(finished, tmp_path, capsys):
    out = tmp_path / "two.star"
    assert main(["export", str(finished.path), str(out), "--to", "relion", "--class", "2"]) == 0
    assert out.is_file()
    assert main(["export", str(finished.path), str(out), "--to", "relion", "--class", "5"]) == 2
    assert "found class 5; the run has 2, expected 1 to that" in capsys.readouterr().err
