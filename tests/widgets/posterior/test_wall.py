"""The wall of small posteriors in a real viewer: order, pages, clicks, selection; the engine is a stand-in."""

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_cryospin.geometry.sphere_cells import healpix_cells
from napari_cryospin.views.posterior.run_posteriors import RunPosteriors
from napari_cryospin.widgets.posterior.wall_panel import LEAST_FIRST, WallPanel
from napari_cryospin.widgets.session.session import session_of
from support.records import epoch_record

COUNT = 60
DOUBT = np.random.default_rng(3).permutation(COUNT) / 10.0


def peak(row):
    """One view, or two for even rows."""
    centres = healpix_cells(8).centres
    values = 40 * (centres @ centres[row])
    if row % 2 == 0:
        values = np.logaddexp(values, 40 * (centres @ centres[row + 400]))
    return (values - np.logaddexp.reduce(values)).astype(np.float32)


@pytest.fixture
def asked(monkeypatch):
    rows = []

    def answer(self, row, moment, cancelled=None):
        rows.append((row, moment.epoch))
        return type("Answer", (), {"log_posterior": peak(row)})()

    monkeypatch.setattr(RunPosteriors, "directions_of", answer)
    return rows


@pytest.fixture
def panel(make_napari_viewer, asked, told_run, qtbot):
    viewer = make_napari_viewer(show=True)
    panel = WallPanel(viewer)
    viewer.window.add_dock_widget(panel, area="bottom")
    record = told_run.history(6).particles("best_head", "candidates", "candidate_shifts").select(np.arange(COUNT))
    values = dict(record.arrays.items()) | {"rows": np.arange(COUNT), "entropy": DOUBT}
    told_run.write_history(epoch_record(7, type(record)(**values), box=16, pixel_size=4.0))
    session_of(viewer).watch(told_run)
    qtbot.waitUntil(lambda: full(panel), timeout=10_000)
    yield panel
    session_of(viewer).close()


def full(panel):
    rows = panel.wall.rows
    return len(rows) > 0 and all(int(row) in panel.wall.known for row in rows)


def test_the_most_uncertain_come_first_and_a_click_chooses(panel, qtbot, asked):
    order, fits = np.argsort(-DOUBT), panel.wall.fits
    assert 0 < fits < COUNT
    np.testing.assert_array_equal(panel.wall.rows, order[:fits])
    assert {row for row, _ in asked} == set(order[:fits])  # a page at a time
    assert {epoch for _, epoch in asked} == {7}
    place = panel.wall.place(2).center().toPoint()
    QTest.mouseClick(panel.wall, Qt.MouseButton.LeftButton, pos=place)
    assert panel.session.particle == panel.wall.chosen == order[2]
    panel.after.click()
    qtbot.waitUntil(lambda: full(panel), timeout=10_000)
    np.testing.assert_array_equal(panel.wall.rows, order[fits : 2 * fits])
    panel.sorting.setCurrentText(LEAST_FIRST)
    panel.sorting.activated.emit(panel.sorting.currentIndex())
    np.testing.assert_array_equal(panel.wall.rows, order[::-1][:fits])


def test_views_are_counted_and_drawn_the_same_in_both_forms(panel, qtbot):
    found = panel.wall.known
    assert all(one.certainty.views == (2 if row % 2 == 0 else 1) for row, one in found.items())
    flat = panel.wall.grab().toImage()
    panel.kind.setCurrentText("Globes")
    qtbot.waitUntil(lambda: full(panel), timeout=10_000)
    assert panel.wall.grab().toImage() != flat
    one = next(iter(found.values()))
    middle = one.picture(globe=True).pixelColor(32, 32)
    assert middle.lightness() > 200  # the best view faces the user, in the colour of the innermost region


def test_what_is_known_is_not_computed_again(panel, qtbot, asked):
    before = len(asked)
    panel.after.click()
    qtbot.waitUntil(lambda: full(panel), timeout=10_000)
    panel.before.click()
    assert full(panel)
    assert len(asked) == len(set(asked)) > before


def test_a_selection_is_framed_and_can_be_shown_alone(panel, qtbot):
    rows = np.sort(np.argsort(-DOUBT)[[0, 3, 40]])
    panel.session.selection.select(rows, "by a test")
    assert panel.wall.selected.tolist().count(True) == np.isin(panel.wall.rows, rows).sum() >= 2
    panel.which.setCurrentIndex(1)
    panel.which.activated.emit(1)
    qtbot.waitUntil(lambda: full(panel), timeout=10_000)
    assert set(panel.wall.rows) == set(rows)


def test_a_hidden_wall_computes_nothing(panel, qtbot, asked, told_run):
    panel.parentWidget().hide()
    before = len(asked)
    panel.after.click()
    panel.session.show_epoch(3)
    qtbot.wait(200)
    assert len(asked) == before
