"""The orientations panel in a real viewer: directions are counted, clicked, ringed, and follow epoch and half."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from napari_cryospin.evaluation.head_maps import direction_counts
from napari_cryospin.geometry.mollweide import mollweide
from napari_cryospin.geometry.sphere_cells import healpix_cells
from napari_cryospin.widgets.charts.orientations import OrientationsPanel, words_of
from napari_cryospin.widgets.session.session import session_of
from support.mouse import drag
from support.records import epoch_record


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
    assert panel.found.compensation < 0.7 * even.compensation
    assert (panel.found.counts == 0).mean() > 0.5
    assert "empty cells" in words_of(panel.found)
    assert f"SCF* {panel.found.compensation:.2f}" in words_of(panel.found)


def on_the_map(panel, *mollweide_places):
    """Places of the plot at coordinates of the first map, of which the ellipse has half axes 2 and 1."""
    place = panel.sphere._places[0]
    centre = place.center()
    return [(centre.x() + x * place.width() / 4, centre.y() + y * place.height() / 2) for x, y in mollweide_places]


def test_a_lasso_on_the_sphere_selects_and_a_click_still_chooses(panel, qtbot, told_run):
    session = panel.session
    session.watch(told_run)
    qtbot.waitUntil(lambda: panel.found is not None and bool(panel.sphere._places), timeout=10_000)
    drag(panel.sphere, *on_the_map(panel, (-1.9, 0.02), (-1.9, 1.0), (1.9, 1.0), (1.9, 0.02)))
    directions = session.snapshot.particles.rotations[:, 2]
    height = mollweide(directions)[:, 1]
    chosen = session.selection.among(1000 + np.arange(400))
    assert not chosen[height < 0].any()
    assert chosen[(height > 0.04) & (height < 0.96)].mean() > 0.95  # but for the rim beyond the lasso
    assert "sphere" in session.selection.origin
    np.testing.assert_array_equal(panel.sphere.selected, directions[session.selection.rows - 1000])
    drag(panel.sphere, *on_the_map(panel, (0.0, 0.0)))  # pressed and let go in one place
    assert panel.session.particle == 1000 + (directions @ np.array([1.0, 0, 0])).argmax()
    assert len(session.selection) > 0  # a click leaves it
    session.selection.clear()
    assert not len(panel.sphere.selected)


def turn_globe(plot, right, down):
    """Drag with the right mouse button, px."""
    start = QPointF(plot.viewport().rect().center())
    button, none = Qt.MouseButton.RightButton, Qt.MouseButton.NoButton
    steps = [
        (QEvent.Type.MouseButtonPress, start, button, button),
        (QEvent.Type.MouseMove, start + QPointF(right, down), none, button),
        (QEvent.Type.MouseButtonRelease, start + QPointF(right, down), button, none),
    ]
    for kind, place, one, held in steps:
        at = QPointF(plot.viewport().mapToGlobal(place.toPoint()))
        event = QMouseEvent(kind, place, at, one, held, Qt.KeyboardModifier.NoModifier)
        QApplication.sendEvent(plot.viewport(), event)


def test_a_lasso_on_the_globe_selects_on_the_half_that_is_seen(panel, qtbot, told_run):
    session, sphere = panel.session, panel.sphere
    session.watch(told_run)
    qtbot.waitUntil(lambda: panel.found is not None and bool(sphere._places), timeout=10_000)
    session.choose_particle(1007)
    panel.shape.setCurrentText("Globe")
    directions = session.snapshot.particles.rotations[:, 2].astype(float)
    front = directions[7]
    assert_allclose(sphere.projection.facing, front, atol=1e-6)
    (place,) = sphere._places
    assert place.width() == pytest.approx(place.height())
    turn = np.linspace(0, 2 * np.pi, 60)
    circle = np.stack([np.cos(turn), np.sin(turn)], -1) * 0.5 * place.height() / 2  # 30 degrees around the middle
    middle = np.array([place.center().x(), place.center().y()])
    drag(sphere, *(circle + middle))
    angle = np.degrees(np.arccos(np.clip(directions @ front, -1, 1)))
    chosen = session.selection.among(1000 + np.arange(400))
    assert chosen[angle < 28].all()
    assert not chosen[angle > 32].any()  # nor those at the same place of the far side
    assert (angle > 150).any()
    size = place.height() / 2
    turn_globe(sphere, 0, round(size))  # down by a radius: the north comes nearer
    (place,) = sphere._places
    now = sphere.projection.facing
    tilt = [np.degrees(np.arccos(one[2])) for one in (front, now)]
    assert tilt[1] == pytest.approx(max(0, tilt[0] - np.degrees(round(size) / size)), abs=0.2)
    session.choose_particle(1000 + int((directions @ now).argmin()))
    assert sphere.projection.place(sphere.marker) == pytest.approx((0, 0), abs=1e-6)  # came from the far side
    panel.shape.setCurrentText("Flat map")
    assert sphere._places[0].width() == pytest.approx(2 * sphere._places[0].height())


def test_directions_are_coloured_by_doubt_or_it_is_said_why_not(panel, qtbot, told_run):
    panel.session.watch(told_run)
    qtbot.waitUntil(lambda: panel.found is not None, timeout=10_000)
    counts = panel.sphere.values.copy()
    panel.figure.setCurrentText("Junk")
    qtbot.waitUntil(lambda: panel.coloured is not None and panel.coloured.figure == "junk", timeout=5000)
    assert "does not estimate" in panel.sphere.note
    assert panel.log.isHidden()
    record = told_run.history(6).particles("best_head", "candidates", "candidate_shifts")
    doubt = np.where(record.rotations[:, 2, 2] > 0, 3.0, 0.0)
    told_run.write_history(epoch_record(7, dataclasses.replace(record, entropy=doubt), box=16, pixel_size=4.0))
    panel.figure.setCurrentText("Uncertainty")
    qtbot.waitUntil(lambda: "likely poses" in panel.sphere.title and not panel.sphere.note, timeout=10_000)
    north = healpix_cells(2).centres[:, 2]
    assert (panel.sphere.values[0][north > 0.4] > 15).all()  # exp(3) is 20
    assert (panel.sphere.values[0][north < -0.4] < 2).all()
    assert "nats" in panel.sphere.describe(20.0)
    panel.figure.setCurrentText("Count")
    qtbot.waitUntil(lambda: "Particles seen" in panel.sphere.title, timeout=5000)
    assert_allclose(panel.sphere.values, counts)
