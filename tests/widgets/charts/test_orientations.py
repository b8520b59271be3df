"""The orientations panel in a real viewer: directions are counted, clicked, ringed, and follow epoch and half."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose

from napari_cryospin.evaluation.head_maps import direction_counts
from napari_cryospin.widgets.charts.orientations import OrientationsPanel, words_of
from napari_cryospin.widgets.session.session import session_of


@pytest.fixture
def panel(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    panel = OrientationsPanel(viewer)
    viewer.window.add_dock_widget(panel, area="bottom")
    yield panel
    session_of(viewer).close()


def test_directions_are_counted_and_a_click_chooses(panel, qtbot, told_run):
    assert panel.is_empty
    session = panel.session
    session.watch(told_run)
    qtbot.waitUntil(lambda: panel.found is not None, timeout=10_000)
    rotations = session.snapshot.particles.rotations
    assert_allclose(panel.sphere.values[0], direction_counts(rotations, 2))
    assert "400 particles" in panel.caption.text()
    assert panel.sphere.marker is None  # the run does not use particle 0
    heard = []
    session.direction_chosen.connect(heard.append)
    panel.sphere.direction_clicked.emit(rotations[7, 2].astype(np.float64))
    assert session.particle == 1007  # row of the input
    assert_allclose(heard[0], rotations[7, 2])
    assert_allclose(panel.sphere.marker, rotations[7, 2])


def test_log_colours_and_another_epoch(panel, qtbot, told_run):
    panel.session.watch(told_run)
    qtbot.waitUntil(lambda: panel.found is not None, timeout=10_000)
    panel.log.setChecked(True)
    assert panel.sphere.log
    panel.session.show_epoch(3)
    qtbot.waitUntil(lambda: panel.found.epoch == 3, timeout=5000)
    panel.session.show_epoch(None)
    qtbot.waitUntil(lambda: panel.found.epoch == 6, timeout=5000)


def test_half_sets_have_a_frame_each(panel, qtbot, told_run):
    snapshot = told_run.newest_snapshot()
    of_halves = dataclasses.replace(snapshot.particles, half_sets=np.repeat([1, 2], [150, 250]))
    told_run.write_snapshot(dataclasses.replace(snapshot, step=61, particles=of_halves))
    panel.session.watch(told_run)
    qtbot.waitUntil(lambda: panel.found is not None and panel.found.counts.sum() == 150, timeout=10_000)
    assert panel.half.isVisible()
    panel.session.choose_particle(1200)  # of half 2
    qtbot.waitUntil(lambda: panel.found.counts.sum() == 250, timeout=5000)
    assert_allclose(panel.sphere.marker, snapshot.particles.rotations[200, 2])


def test_figures_tell_even_from_preferred_directions(panel, qtbot, told_run):
    panel.session.watch(told_run)
    qtbot.waitUntil(lambda: panel.found is not None, timeout=10_000)
    even = panel.found
    snapshot = panel.session.snapshot
    directions = snapshot.particles.rotations[:, 2, 2]
    top = snapshot.particles.rotations[np.abs(directions) > 0.97]
    rotations = top[np.arange(400) % len(top)]
    record = dataclasses.replace(snapshot.particles, rotations=rotations)
    told_run.write_snapshot(dataclasses.replace(snapshot, step=62, particles=record))
    qtbot.waitUntil(lambda: panel.found is not even, timeout=20_000)
    assert panel.found.efficiency < 0.7 * even.efficiency
    assert (panel.found.counts == 0).mean() > 0.5
    assert "empty cells" in words_of(panel.found)
