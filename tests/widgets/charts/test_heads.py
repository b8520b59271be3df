"""The heads panel in a real viewer: who wins how much, where on the sphere, and how far heads are off."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose
from qtpy.QtCore import QPointF, Qt
from qtpy.QtTest import QTest

from napari_cryospin.exporters.run_results import open_results
from napari_cryospin.exporters.selection import Selection
from napari_cryospin.geometry.point_groups import group_matrices
from napari_cryospin.geometry.sphere_cells import healpix_cells
from napari_cryospin.views.heads import head_maps
from napari_cryospin.widgets.charts.heads import HeadsPanel
from napari_cryospin.widgets.session.session import session_of


@pytest.fixture
def panel(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    panel = HeadsPanel(viewer)
    viewer.window.add_dock_widget(panel, area="bottom")
    panel.multiples.setMinimumSize(900, 200)
    yield panel
    session_of(viewer).close()


def test_bars_curves_and_spheres_of_a_run(panel, qtbot, told_run):
    assert panel.is_empty
    panel.session.watch(told_run)
    qtbot.waitUntil(lambda: len(panel.spheres.names) == 3, timeout=10_000)
    share = panel.session.snapshot.head_share
    assert panel.bars.names == ("1", "2", "3")
    assert_allclose(panel.bars.values, 100 * share[:-1], rtol=1e-5)
    assert panel.bars.values.sum() == pytest.approx(100, abs=1e-3)
    assert "posterior beats all: 25 %" in panel.caption.text()
    assert "better than every head's" in panel.caption.toolTip()
    results = open_results(told_run)
    for name, value in zip(panel.bars.names, panel.bars.values, strict=True):  # What is shown is what can be typed.
        chosen = Selection(expression=f"head == {name}").positions(results)
        assert 100 * len(chosen) / len(results) == pytest.approx(value, abs=1e-3)
    assert "Head 2" in panel.bars.readout(1, 5)
    assert [curve.name for curve in panel.over.curves] == [
        "head 1 (%)",
        "head 2 (%)",
        "head 3 (%)",
        "posterior sample (%)",
    ]
    assert panel.over.marks[0].place == 4
    # Head 3 wins the north, head 1 the south.
    z = healpix_cells(2).centres[:, 2]
    assert np.nanmin(panel.spheres.values[2][z > 0.7]) == 100
    assert np.nanmin(panel.spheres.values[0][z < -0.7]) == 100
    assert np.nanmax(panel.spheres.values[2][z < -0.7]) == 0
    assert "as at the switch" in panel.caption.text()
    assert "as the encoder left them" in panel.caption.toolTip()


def test_each_half_has_bars_of_its_own(panel, qtbot, told_run):
    snapshot, epoch = told_run.newest_snapshot(), told_run.history(6).record()
    halves = np.repeat([1, 2], 200).astype(np.int8)
    best = np.where(halves == 1, 0, np.arange(400) % 2 + 1)  # head 1 wins all of half 1, the others share half 2
    record = dataclasses.replace(epoch.particles, half_sets=halves, best_head=best)
    told_run.write_history(dataclasses.replace(epoch, particles=record))
    told_run.write_snapshot(dataclasses.replace(snapshot, particles=record))
    panel.session.watch(told_run)
    qtbot.waitUntil(lambda: panel.bars.title.startswith("Half 1"), timeout=10_000)
    assert_allclose(panel.bars.values, [100, 0, 0])
    assert panel.over.title.startswith("Both halves")
    panel.half.setCurrentIndex(1)
    qtbot.waitUntil(lambda: panel.bars.title.startswith("Half 2"), timeout=10_000)
    assert_allclose(panel.bars.values, [0, 50, 50])


def test_another_epoch_is_shown(panel, qtbot, told_run):
    panel.session.watch(told_run)
    qtbot.waitUntil(lambda: panel.maps is not None and panel.maps.epoch == 6, timeout=10_000)
    panel.session.show_epoch(3)
    qtbot.waitUntil(lambda: panel.maps.epoch == 3)
    panel.session.show_epoch(None)
    qtbot.waitUntil(lambda: panel.maps.epoch == 6)


def test_without_truth_errors_say_so(panel, qtbot, told_run):
    panel.session.watch(told_run)
    qtbot.waitUntil(lambda: len(panel.spheres.names) == 3, timeout=10_000)
    panel.kind.setCurrentIndex(1)
    qtbot.waitUntil(lambda: "not known" in panel.spheres.note)
    assert panel.spheres.names == ()


def test_an_epoch_that_cannot_be_read_is_said(panel, qtbot, told_run):
    told_run.history_paths()[6].write_bytes(b"torn")
    panel.session.watch(told_run)
    qtbot.waitUntil(lambda: "cannot be read" in panel.caption.text(), timeout=10_000)


@pytest.mark.parametrize("symmetry", ["C1", "D6"])
def test_errors_of_heads_against_a_known_truth(finished_run, tiny_particles, tmp_path, symmetry):
    """The run's poses are put where the truth is, turned as a whole: one head off by 8 degrees, the other right.

    Poses and candidates are on symmetric copies of their own.
    """
    from scipy.spatial.transform import Rotation

    from napari_cryospin.io.open import open_particles

    truth = open_particles(tiny_particles.truth)
    epoch = finished_run.history(max(finished_run.history_paths())).record()
    frame = Rotation.random(random_state=3).as_matrix()
    group, known = group_matrices(symmetry), truth.rotations[epoch.particles.rows]
    drawn = np.random.default_rng(0).integers(len(group), size=(3, len(known)))
    poses, right, wrong = (known @ group[copies] @ frame for copies in drawn)
    off = Rotation.from_rotvec([0, np.radians(8), 0]).as_matrix()
    record = dataclasses.replace(epoch.particles, rotations=poses, candidates=np.stack([right, off @ wrong], 1))
    settings = dataclasses.replace(
        finished_run.settings, volume=dataclasses.replace(finished_run.settings.volume, symmetry=symmetry)
    )
    folder = type(finished_run).create(tmp_path / "run", finished_run.source, settings)
    folder.write_history(dataclasses.replace(epoch, epoch=1, particles=record))
    maps = head_maps(folder, 1, True, 0, tiny_particles.truth)
    assert maps.note == ""
    assert_allclose(np.nanmean(maps.values, 1), [0, 8], atol=0.5)


def test_a_click_on_a_bar_selects_what_the_head_has_won(panel, qtbot, told_run):
    session = panel.session
    session.watch(told_run)
    qtbot.waitUntil(lambda: panel.maps is not None and len(panel.bars.names) == 3, timeout=10_000)
    place = panel.bars.mapFromScene(panel.bars.plotItem.vb.mapViewToScene(QPointF(2.0, 1.0)))
    QTest.mouseClick(panel.bars.viewport(), Qt.MouseButton.LeftButton, pos=place)
    best = told_run.history(6).particles("best_head").best_head
    np.testing.assert_array_equal(session.selection.rows, 1000 + np.flatnonzero(best == 2))
    np.testing.assert_allclose(panel.bars.marked, [0, 0, 100])
    assert len(panel.spheres.selected) == (best == 2).sum()
    session.selection.select(1000 + np.arange(40), "elsewhere")
    np.testing.assert_allclose(panel.bars.marked, 100 * np.bincount(best[:40], minlength=3) / 40)
    session.selection.clear()
    assert not len(panel.bars.marked)
