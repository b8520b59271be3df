"""The junk box of the export panel, in a real viewer: threshold by mouse and keyboard, condition, worst images."""

from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_cryospin.exporters.run_results import open_results
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.widgets.export.panel import ExportPanel
from napari_cryospin.widgets.kit.gallery import PAGE_SIZE
from napari_cryospin.widgets.session.session import session_of
from support.mouse import drag

VALUES = np.random.default_rng(1).choice([0.02, 0.3, 0.55, 0.97], 400, p=[0.1, 0.1, 0.1, 0.7]).astype(np.float32)


@pytest.fixture
def open_panel(make_napari_viewer, qtbot):
    """`open_panel(folder)`: the export panel of a viewer that watches the run, with the junk box unfolded."""

    def make(folder: RunFolder) -> ExportPanel:
        viewer = make_napari_viewer(show=True)
        panel = ExportPanel(viewer)
        viewer.window.add_dock_widget(panel, name="Export")
        panel.choice.fold.set_open(True)
        session_of(viewer).watch(folder)
        qtbot.waitUntil(lambda: panel.choice.chosen is not None, timeout=20000)
        return panel

    return make


@pytest.fixture
def junk_run(told_run):
    """The run that is made up, whose probabilities of belonging are `VALUES`."""
    for number in told_run.history_paths():
        epoch = told_run.history(number).record()
        told_run.write_history(replace(epoch, particles=replace(epoch.particles, belongs=VALUES)))
    return told_run


def test_the_line_is_dragged_and_moved_by_keys(open_panel, junk_run, qtbot):
    box = open_panel(junk_run).choice.junk
    assert box.message.text().startswith(f"{(VALUES >= 0.5).sum()} of 400 particles at or above 0.50.")
    assert f"{100 * VALUES.mean():.1f} % of the images show the particle" in box.message.text()
    assert box.plot.histogram.counts.sum() == 400
    qtbot.wait(100)  # the line takes the mouse once it is laid out
    height = box.plot.plotItem.vb.viewRange()[1][1] / 2
    drag(box.plot, *((place, height) for place in (0.5, 0.6, 0.7, 0.8)))
    assert box.plot.threshold == pytest.approx(0.8, abs=0.02)
    assert box.threshold.value() == box.plot.threshold
    assert box.message.text().startswith(f"{(VALUES >= 0.8).sum()} of 400")

    for key, expected in ((Qt.Key.Key_Home, 0.0), (Qt.Key.Key_PageUp, 0.1), (Qt.Key.Key_Right, 0.11)):
        qtbot.keyClick(box.plot, key)
        assert box.plot.threshold == expected
        assert box.plot.line.value() == expected
    box.threshold.setValue(0.4)
    assert box.plot.line.value() == 0.4
    assert box.message.text().startswith(f"{(VALUES >= 0.4).sum()} of 400 particles at or above 0.40")


def test_the_button_chooses_as_many_particles_as_are_counted(open_panel, junk_run, qtbot):
    choice = open_panel(junk_run).choice
    choice.condition.setText("head == 2 and 0.1 < belongs")
    choice.junk.threshold.setValue(0.55)
    choice.junk.take.click()
    assert choice.condition.text() == "head == 2 and belongs >= 0.55"
    choice.condition.setText("")
    choice.junk.take.click()
    expected = choice.junk.found.at_or_above(0.55)
    qtbot.waitUntil(lambda: choice.chosen is not None and len(choice.chosen) == expected, timeout=20000)
    np.testing.assert_array_equal(choice.chosen, np.flatnonzero(VALUES.astype(float) >= 0.55))


def test_the_worst_images_come_first_with_their_rows_counted_from_1(open_panel, finished_run, qtbot):
    panel = open_panel(finished_run)
    box, mosaic = panel.choice.junk, panel.choice.junk.gallery.mosaic
    qtbot.waitUntil(lambda: len(mosaic.pictures) == PAGE_SIZE, timeout=20000)
    record = open_results(finished_run).record
    order = record.rows[np.argsort(record.belongs, kind="stable")]
    np.testing.assert_array_equal(mosaic.rows, order[:PAGE_SIZE])
    assert mosaic.caption(int(order[0])) == f"{order[0] + 1} · {record.belongs.min():.2f}"
    assert box.gallery.where.text() == "1 to 12 of 60"
    box.gallery.following.click()
    qtbot.waitUntil(lambda: list(mosaic.rows) == list(order[PAGE_SIZE : 2 * PAGE_SIZE]), timeout=20000)
    mosaic.clicked.emit(int(mosaic.rows[3]))
    assert panel.session.particle == mosaic.rows[3] == mosaic.chosen


def test_a_run_that_did_not_estimate_says_so(open_panel, told_run, new_run):
    panel = open_panel(told_run)
    box = panel.choice.junk
    assert "did not estimate which images show the particle" in box.message.text()
    assert not box.parts.isVisible()
    panel.session.watch(new_run)
    assert box.found is None
