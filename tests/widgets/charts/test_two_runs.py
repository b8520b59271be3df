"""Two runs side by side in a real viewer: chosen with the button, seen in curves, table and maps."""

import dataclasses
import shutil

import numpy as np
import pytest
from numpy.testing import assert_allclose
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_cryospin.driving.run import drive_run
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.source import RunInput
from napari_cryospin.views.run_view import RunView
from napari_cryospin.widgets.charts import two_runs
from napari_cryospin.widgets.charts.two_runs import TwoRunsPanel, difference_names
from napari_cryospin.widgets.live_map.ghost_maps import ghosts_of
from napari_cryospin.widgets.session.session import session_of


@pytest.fixture(scope="module")
def other_run(tiny_particles, tiny_settings, tmp_path_factory):
    """A run of the same particles with another seed."""
    schedule = dataclasses.replace(tiny_settings.schedule, epochs=3, switch=1)
    machine = dataclasses.replace(tiny_settings.machine, seed=7)
    settings = dataclasses.replace(tiny_settings, schedule=schedule, machine=machine)
    folder = RunFolder.create(
        tmp_path_factory.mktemp("seven") / "seven", RunInput(particles=tiny_particles.particles), settings
    )
    drive_run(folder)
    return folder


@pytest.fixture
def panel(make_napari_viewer, qtbot, finished_run, monkeypatch, other_run):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1400, 900)
    panel = TwoRunsPanel(viewer)
    viewer.window.add_dock_widget(panel, area="bottom")
    assert panel.is_empty
    session_of(viewer).watch(finished_run)
    qtbot.waitUntil(lambda: not panel.is_empty, timeout=30_000)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(other_run.path))
    yield panel
    session_of(viewer).close()


def compare(panel, qtbot):
    qtbot.mouseClick(panel.other, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: panel.found is not None, timeout=60_000)


def cells(panel):
    return {name: [label.text() for label in labels] for name, labels in panel.table.cells.items()}


def test_curves_table_and_maps_of_both_runs(panel, qtbot, finished_run, other_run):
    assert not panel.apart.isEnabled()
    assert "choose another run" in panel.plot.note
    assert not panel.table.isVisible()
    compare(panel, qtbot)
    qtbot.waitUntil(panel.table.isVisible, timeout=5000)
    panel.curve.setCurrentText("Loss (1: noise)")
    qtbot.waitUntil(lambda: panel.plot.isVisible() and len(panel.plot.curves) == 2, timeout=5000)
    assert panel.plot.title == "Loss (1: noise)"
    first, second = panel.plot.curves
    assert (first.name, second.name) == (finished_run.path.name, other_run.path.name)
    assert first.colour != second.colour
    lines = [line["loss"] for line in other_run.read_metrics() if line.get("loss") is not None]
    assert_allclose(second.y, lines)
    assert [label.text() for label in panel.table.names] == [first.name, second.name]
    assert cells(panel)["Seed"] == [str(finished_run.settings.machine.seed), "7"]
    assert cells(panel)["Epochs"] == [str(folder.read_status().epoch) for folder in (finished_run, other_run)]
    assert "correlation" in panel.table.agreements["Maps"].text()
    assert "of 60 within 10" in panel.table.agreements["Poses"].text()
    ghosts = ghosts_of(panel.viewer)
    qtbot.waitUntil(lambda: other_run.path.name in ghosts.layers, timeout=30_000)
    qtbot.mouseClick(panel.apart, Qt.MouseButton.LeftButton)
    assert panel.viewer.grid.enabled
    ghosts.set_side_by_side(False)  # by the menu of the live map
    assert not panel.apart.isChecked()


def test_the_difference_is_shown_at_its_own_contour_and_taken_away(panel, qtbot):
    compare(panel, qtbot)
    found, ghosts = panel.found, ghosts_of(panel.viewer)
    strong = np.zeros_like(found.difference)
    strong[10:14, 10:14, 10:14] = 3 * found.level
    panel.found = dataclasses.replace(found, difference=strong)
    name, other = difference_names(found)
    qtbot.mouseClick(panel.difference, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: name in ghosts.layers, timeout=30_000)
    vertices = ghosts.layers[name].data[0]
    assert (vertices.min(0) > 9).all()
    assert (vertices.max(0) < 14).all()
    assert other not in ghosts.maps  # The second map has nowhere more.
    qtbot.mouseClick(panel.difference, Qt.MouseButton.LeftButton)
    assert name not in ghosts.layers
    assert all(layer.name != name for layer in panel.viewer.layers)
    qtbot.mouseClick(panel.difference, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: name in ghosts.layers, timeout=30_000)
    ghosts.remove_all()
    assert not panel.difference.isChecked()


@pytest.fixture
def followed(panel, qtbot, finished_run, tmp_path, monkeypatch):
    """The panel while the watched run goes on, with its folder, and a list that counts comparisons."""
    monkeypatch.setattr(two_runs, "PAIR_FOLLOWED_EVERY", (30, 60))
    shutil.copytree(finished_run.path, tmp_path / "live")
    folder, counted, compare_with = RunFolder(tmp_path / "live"), [], RunView.compare
    monkeypatch.setattr(RunView, "compare", lambda *given: counted.append(1) or compare_with(*given))
    with folder.driving():
        folder.write_status(dataclasses.replace(folder.read_status(), state="running", epoch=2))
        panel.session.watch(folder)
        qtbot.waitUntil(lambda: panel.session.live and not panel.is_empty, timeout=30_000)
        compare(panel, qtbot)
        yield panel, folder, counted


def test_a_run_that_goes_on_is_followed_and_no_more_often_than_it_has_news(followed, qtbot, other_run):
    panel, folder, counted = followed
    ghosts, first = ghosts_of(panel.viewer), panel.found
    assert panel.caption.text() == ""  # The table says it in full.
    qtbot.waitUntil(lambda: other_run.path.name in ghosts.layers, timeout=30_000)
    layer, drawn = ghosts.layers[other_run.path.name], []
    layer.events.set_data.connect(lambda _: drawn.append(1))
    qtbot.wait(400)
    assert (len(counted), panel.found, drawn) == (1, first, [])  # There was no news.
    panel.found = dataclasses.replace(first, level=0.0)
    qtbot.mouseClick(panel.difference, Qt.MouseButton.LeftButton)
    name, _ = difference_names(first)
    qtbot.waitUntil(lambda: name in ghosts.layers, timeout=30_000)
    folder.write_status(dataclasses.replace(folder.read_status(), epoch=3))
    qtbot.waitUntil(lambda: cells(panel)["Epochs"][0] == "3", timeout=60_000)
    assert len(counted) == 2
    assert ghosts.layers[other_run.path.name] is layer  # It is updated in place.
    ghosts.remove(other_run.path.name)
    status = folder.read_status()
    folder.write_status(dataclasses.replace(status, state="finished", epoch=4))
    qtbot.waitUntil(lambda: cells(panel)["Epochs"][0] == "4", timeout=60_000)
    qtbot.wait(300)
    assert other_run.path.name not in ghosts.maps  # What the user took away stays away.
    assert (len(counted), panel._timer.isActive()) == (3, False)  # Neither run goes on.


def test_an_earlier_epoch_and_a_hidden_panel_are_left_in_peace(followed, qtbot):
    panel, folder, counted = followed
    panel.session.show_epoch(panel.session.epochs[0])
    folder.write_status(dataclasses.replace(folder.read_status(), epoch=3))
    qtbot.wait(400)
    assert len(counted) == 1
    panel.hide()
    panel.session.show_epoch(None)
    qtbot.wait(400)
    assert len(counted) == 1
    panel.show()
    qtbot.waitUntil(lambda: len(counted) == 2, timeout=60_000)


def test_a_folder_without_a_run_is_told_and_another_run_begins_anew(panel, qtbot, tmp_path, monkeypatch, told_run):
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    qtbot.mouseClick(panel.other, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: str(tmp_path) in panel.caption.text() and "comparing" not in panel.caption.text())
    assert panel.found is None
    monkeypatch.undo()
    panel.session.watch(told_run)
    qtbot.waitUntil(lambda: panel.caption.text() == "", timeout=5000)
    assert not panel.apart.isEnabled()
    assert all(text == "" for texts in cells(panel).values() for text in texts)
