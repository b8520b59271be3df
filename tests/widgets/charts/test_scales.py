"""The panel of scales in a real viewer: histogram, means by group, and runs that estimated none."""

import numpy as np
import pytest

from napari_cryospin.views.junk_and_scales import SignalScales
from napari_cryospin.widgets.charts.scales import GroupPlot, ScalesPanel
from napari_cryospin.widgets.kit.plots import write_table
from napari_cryospin.widgets.session.session import session_of


@pytest.fixture
def panel(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    panel = ScalesPanel(viewer)
    viewer.window.add_dock_widget(panel, area="bottom")
    yield panel
    session_of(viewer).close()


def test_scales_of_a_run_and_of_an_earlier_epoch(panel, finished_run, qtbot):
    assert panel.is_empty
    panel.session.watch(finished_run)
    qtbot.waitUntil(lambda: panel.found is not None, timeout=20000)
    snapshot = panel.session.snapshot
    np.testing.assert_array_equal(panel.found.values, snapshot.particles.scale)
    assert panel.spread.histogram.counts.sum() == 60
    assert "60 particles   median" in panel.caption.text()
    assert panel.means.note == "no micrographs and one optics group"
    panel.session.show_epoch(1)
    qtbot.waitUntil(lambda: "epoch 1" in panel.caption.text(), timeout=20000)
    np.testing.assert_array_equal(panel.found.values, finished_run.history(1).particles("scale").scale)


def test_a_run_without_scales_says_so(panel, told_run, qtbot):
    panel.session.watch(told_run)
    qtbot.waitUntil(lambda: "did not estimate the scale" in panel.spread.note, timeout=20000)
    assert panel.found is None
    assert panel.spread.readout(0.5, 0.1) == ""


def test_means_are_those_of_the_groups_under_the_mouse_and_in_the_table(qtbot, tmp_path):
    plot = GroupPlot()
    qtbot.addWidget(plot)
    counts = {"rows": np.arange(5), "values": np.ones(5), "counts": np.array([2, 3])}
    plot.set_scales(SignalScales(kind="micrograph", groups=("a.mrc", "b.mrc"), means=np.array([0.7, 1.2]), **counts))
    assert plot.title == "Mean scale by micrograph"
    assert plot.curves[0].y.tolist() == [0.7, 1.2]
    assert plot.readout(2.2, 0.0) == "b.mrc\nmean scale 1.2 of 3 particles"
    assert plot.readout(3.0, 0.0) == ""
    write_table(tmp_path / "scales.csv", plot.table())
    assert (tmp_path / "scales.csv").read_text().split() == [
        "micrograph,Mean", "scale,particles", "a.mrc,0.7,2", "b.mrc,1.2,3",
    ]  # fmt: skip
