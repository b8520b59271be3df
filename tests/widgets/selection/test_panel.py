"""The one selection in a real viewer: chosen in one panel, shown in all, exported, and made into a map."""

import dataclasses

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_cryospin.exporters.run_results import open_results
from napari_cryospin.widgets.export.particle_choice import ParticleChoice
from napari_cryospin.widgets.live_map.ghost_maps import ghosts_of
from napari_cryospin.widgets.live_map.layers import live_map_of
from napari_cryospin.widgets.selection.figures import POSE_ERROR, ParticleFigures
from napari_cryospin.widgets.selection.panel import SELECTED_MAP, SelectionPanel
from napari_cryospin.widgets.session.session import session_of
from support.mouse import drag


@pytest.fixture
def panel(make_napari_viewer, finished_run, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1300, 900)
    panel = SelectionPanel(viewer)
    viewer.window.add_dock_widget(panel, area="bottom")
    live_map_of(viewer)
    session_of(viewer).watch(finished_run)
    qtbot.waitUntil(lambda: filled(panel), timeout=30_000)
    yield panel
    session_of(viewer).close()


def filled(panel):
    triples = panel.gallery.triples
    return len(triples.rows) > 0 and all(int(row) in triples.pictures for row in triples.rows)


def test_a_lasso_in_the_plot_selects_everywhere(panel, qtbot, finished_run):
    results, choice = open_results(finished_run), ParticleChoice(panel.session)
    qtbot.addWidget(choice)
    choice.show_results(results)
    qtbot.waitUntil(lambda: choice.chosen is not None, timeout=10_000)
    panel.axes["x"].setCurrentText("rot")
    panel.axes["y"].setCurrentText("tilt")
    rot, tilt = results.column("rot"), results.column("tilt")
    panel.plot.plotItem.vb.updateAutoRange()
    drag(panel.plot, (-150, 30), (20, 30), (20, 150), (-150, 150))
    rows = panel.session.selection.rows
    chosen = np.isin(results.record.rows, rows)
    assert chosen.sum() > 5
    assert chosen[(rot > -145) & (rot < 15) & (tilt > 35) & (tilt < 145)].all()
    assert not chosen[(rot < -155) | (rot > 25) | (tilt < 25) | (tilt > 155)].any()
    assert f"{len(rows)} of 60 selected" in panel.message.text()
    qtbot.waitUntil(lambda: choice.chosen is not None and len(choice.chosen) == len(rows), timeout=10_000)
    np.testing.assert_array_equal(results.record.rows[choice.chosen], rows)  # the Export panel writes these
    assert set(panel.gallery.order) == set(rows)
    np.testing.assert_array_equal(panel.plot.chosen, np.isin(results.record.rows, rows))
    choice.choose_all()
    assert not len(panel.session.selection)
    assert panel.plot.chosen.all()
    assert len(panel.gallery.order) == 60


def test_images_are_sorted_by_any_figure_and_a_click_chooses(panel, qtbot, finished_run):
    results, gallery = open_results(finished_run), panel.gallery
    error = results.column("error")
    np.testing.assert_allclose(np.sort(error)[::-1], error[np.searchsorted(results.record.rows, gallery.order)])
    gallery.sorting.setCurrentText("row")
    gallery.down.click()
    np.testing.assert_array_equal(gallery.order, results.record.rows)
    qtbot.waitUntil(lambda: filled(panel), timeout=20_000)
    place = gallery.triples.column(1).center().toPoint()
    QTest.mouseClick(gallery.triples, Qt.MouseButton.LeftButton, pos=place)
    assert panel.session.particle == gallery.triples.rows[1]
    first = gallery.triples.rows.copy()
    gallery.after.click()
    np.testing.assert_array_equal(gallery.triples.rows, results.record.rows[len(first) : 2 * len(first)])


def test_a_condition_is_obeyed_or_its_fault_is_told(panel, finished_run):
    QTest.keyClicks(panel.condition, "row <= 7")
    QTest.keyClick(panel.condition, Qt.Key.Key_Return)
    np.testing.assert_array_equal(panel.session.selection.rows, np.arange(7))
    panel.condition.setText("row <")
    QTest.keyClick(panel.condition, Qt.Key.Key_Return)
    assert "expected comparisons" in panel.message.text()
    assert len(panel.session.selection) == 7  # as it was
    panel.clear.click()
    assert panel.session.selection.rows is None
    assert not panel.reconstruct.isEnabled()


def test_these_only_become_a_ghost_beside_the_live_map(panel, qtbot):
    viewer = panel.viewer
    live, ghosts = live_map_of(viewer), ghosts_of(viewer)
    qtbot.waitUntil(lambda: live.picture is not None, timeout=20_000)
    panel.session.selection.select(np.arange(40), "by a test")
    panel.reconstruct.click()
    qtbot.waitUntil(lambda: SELECTED_MAP in ghosts.layers, timeout=30_000)
    layer, ghost = ghosts.layers[SELECTED_MAP], ghosts.maps[SELECTED_MAP]
    assert layer in viewer.layers
    assert layer.opacity < 1
    np.testing.assert_allclose(layer.scale, live.layer.layer.scale)
    assert "40 particles alone" in panel.message.text()
    own = live.picture.density
    assert np.corrcoef(ghost.density.ravel(), own.ravel())[0, 1] > 0.5  # in the same frame
    before = layer.data[0].copy()
    panel.session.flip_hand(True)
    qtbot.waitUntil(lambda: not np.array_equal(layer.data[0], before), timeout=10_000)
    panel.session.selection.select(np.arange(20), "fewer")
    panel.reconstruct.click()
    qtbot.waitUntil(lambda: ghosts.maps[SELECTED_MAP] is not ghost, timeout=30_000)
    assert ghosts.layers[SELECTED_MAP] is layer  # updated in place
    ghosts.remove_all()
    assert layer not in viewer.layers


def test_classes_and_halves_are_parts_that_select(panel, finished_run):
    figures = panel.figures
    record = figures.results.record
    halves, classes = np.repeat([1, 2], [25, 35]), 1 + np.arange(60) % 3
    rich = dataclasses.replace(record, half_sets=halves, class_number=classes, class_probability=np.eye(3)[classes - 1])
    panel.figures = ParticleFigures(figures.view, dataclasses.replace(figures.results, record=rich), np.arange(60.0))
    assert [*panel.figures.parts] == ["Half 1", "Half 2", "Class 1", "Class 2", "Class 3"]
    panel.part.addItems([*panel.figures.parts])
    panel.part.setCurrentText("Class 2")
    panel.part.activated.emit(panel.part.currentIndex())
    np.testing.assert_array_equal(panel.session.selection.rows, record.rows[classes == 2])
    assert panel.session.selection.origin == "Class 2"
    assert panel.figures.sorted_rows(POSE_ERROR, True, np.ones(60, bool))[0] == record.rows[-1]


def test_another_run_begins_without_a_selection(panel, qtbot, told_run):
    panel.session.selection.select(np.arange(5), "by a test")
    panel.session.watch(told_run)
    assert panel.session.selection.rows is None
