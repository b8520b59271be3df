"""The window on run folders of version 0.1, and its posterior beside that of the command line: the same numbers."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cryospin.cli import main
from napari_cryospin.widgets.charts.heads import HeadsPanel
from napari_cryospin.widgets.charts.orientations import OrientationsPanel
from napari_cryospin.widgets.live_map.panel import LiveMapPanel
from napari_cryospin.widgets.posterior.panel import PosteriorPanel
from napari_cryospin.widgets.session.session import session_of


@pytest.fixture
def open_panel(make_napari_viewer):
    """`open_panel(PanelClass, folder)`: a panel whose window watches a run."""

    def make(panel_class, folder):
        viewer = make_napari_viewer(show=True)
        panel = panel_class(viewer)
        viewer.window.add_dock_widget(panel, area="right")
        session_of(viewer).watch(folder)
        return panel

    return make


def complete(panel, particle):
    found = panel.posterior
    return found is not None and found.particle == particle and found.detail is not None


def test_the_panel_saves_what_the_command_line_writes(open_panel, old_run, qtbot, tmp_path):
    folder = old_run("run")
    panel = open_panel(PosteriorPanel, folder)
    panel.session.choose_particle(11)
    qtbot.waitUntil(lambda: complete(panel, 11), timeout=60_000)
    panel.save.save(tmp_path / "panel.npz")
    assert main(["posterior", str(folder.path), "--particle", "12", "--out", str(tmp_path / "cli")]) == 0
    with np.load(tmp_path / "panel.npz") as ours, np.load(tmp_path / "cli.npz") as theirs:
        assert set(ours.files) == set(theirs.files)
        assert ours["candidates"].shape == (2, 3, 3)
        for name in ours.files:
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def test_candidates_of_an_old_history_are_shown(open_panel, old_run, qtbot):
    panel = open_panel(PosteriorPanel, old_run("run"))
    qtbot.waitUntil(lambda: complete(panel, 0), timeout=60_000)
    assert "encoder's last ones (epoch 4)" in panel.note.text()
    panel.session.show_epoch(4)
    qtbot.waitUntil(lambda: complete(panel, 0) and panel.posterior.epoch == 4, timeout=60_000)
    assert "heads in epoch 4" in panel.note.text()


def test_live_map_shows_an_old_snapshot_and_an_old_epoch(open_panel, old_run, qtbot):
    folder = old_run("run")
    panel = open_panel(LiveMapPanel, folder)
    live = panel.live
    qtbot.waitUntil(lambda: live.picture is not None, timeout=60_000)
    np.testing.assert_array_equal(live.picture.density, folder.newest_snapshot().map)
    panel.session.show_epoch(4)
    qtbot.waitUntil(lambda: live.picture.source.epoch == 4, timeout=60_000)
    np.testing.assert_array_equal(live.picture.density, folder.history(4).maps()[0])


def test_heads_and_orientations_of_an_old_epoch(open_panel, old_run, qtbot):
    folder = old_run("run")
    heads = open_panel(HeadsPanel, folder)
    qtbot.waitUntil(lambda: heads.maps is not None and heads.maps.epoch == 8, timeout=60_000)
    assert heads.maps.share[:2].sum() == pytest.approx(100)
    seen = open_panel(OrientationsPanel, folder)
    qtbot.waitUntil(lambda: seen.found is not None, timeout=60_000)
    assert seen.found.counts.sum() == 30
    seen.session.show_epoch(4)
    qtbot.waitUntil(lambda: seen.found.epoch == 4, timeout=60_000)
