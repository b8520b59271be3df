"""The export panel in a real viewer: which particles, where to, what is said when it cannot be; ChimeraX, live."""

from dataclasses import replace

import numpy as np
import pytest
import starfile
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox
from scipy.ndimage import gaussian_filter

from napari_cryospin.exporters import chimerax_program
from napari_cryospin.exporters.run_results import open_results
from napari_cryospin.geometry.hand import flip_hand
from napari_cryospin.io.mrc import read_map
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.widgets.export import chimerax_job
from napari_cryospin.widgets.export import panel as export_panel
from napari_cryospin.widgets.export.panel import ExportPanel
from napari_cryospin.widgets.kit.parts import ERROR, WARNING
from napari_cryospin.widgets.live_map.layers import live_map_of
from napari_cryospin.widgets.session.session import session_of
from support.mouse import drag

POLE = np.diag([1.0, -1.0, -1.0])
"""The map seen from below."""


@pytest.fixture
def open_panel(make_napari_viewer, qtbot):
    """`open_panel(folder)`: the panel in a dock of a viewer that watches the run, when its particles are known."""

    def make(folder: RunFolder) -> ExportPanel:
        viewer = make_napari_viewer()
        panel = ExportPanel(viewer)
        viewer.window.add_dock_widget(panel, name="Export")
        session_of(viewer).watch(folder)
        qtbot.waitUntil(lambda: panel.choice.chosen is not None, timeout=20000)
        return panel

    return make


def wait_for(qtbot, panel, count):
    qtbot.waitUntil(lambda: panel.choice.chosen is not None and len(panel.choice.chosen) == count, timeout=20000)


def test_chosen_particles_go_to_relion(open_panel, finished_run, tmp_path, qtbot, monkeypatch):
    panel = open_panel(finished_run)
    results, choice = open_results(finished_run), panel.choice
    assert choice.message.text().startswith("60 of 60 particles")
    limit = float(np.median(results.record.error))
    choice.condition.setText(f"error < {limit} and row > 10")
    choice.condition.editingFinished.emit()
    expected = np.flatnonzero((results.record.error < limit) & (results.record.rows >= 10))
    wait_for(qtbot, panel, len(expected))
    qtbot.waitUntil(lambda: choice.plot.chosen.sum() == len(expected), timeout=20000)
    out = tmp_path / "new" / "mine"
    panel.place.setText(str(out))
    panel.export()
    assert panel.job.busy
    assert not panel.cancel_button.isHidden()
    assert panel.export_button.isHidden()
    qtbot.waitUntil(lambda: not panel.job.busy, timeout=20000)
    assert f"Wrote {out}.star" in panel.message.text()
    written = starfile.read(out.with_suffix(".star"))["particles"]
    assert len(written) == len(expected)
    rows = [int(name.split("@")[0]) - 1 for name in written["rlnImageName"]]
    np.testing.assert_array_equal(rows, results.record.rows[expected])

    choice.condition.setText("entropy <")  # a mistake is told in place, and nothing can be exported by it
    choice.condition.editingFinished.emit()
    qtbot.waitUntil(lambda: choice.chosen is None, timeout=20000)
    assert "expected comparisons" in choice.message.text()
    assert WARNING in choice.message.styleSheet()
    assert not panel.export_button.isEnabled()
    panel.program.setCurrentIndex(panel.program.findData("maps"))
    assert panel.export_button.isEnabled()
    assert "makes no difference" in panel.about.text()

    panel.session.flip_hand(True)  # what belongs to the whole run ignores the condition, and heeds the hand
    panel.place.setText(str(tmp_path / "maps"))
    panel.export()
    qtbot.waitUntil(lambda: not panel.job.busy, timeout=30000)
    density = read_map(finished_run.path / "results" / "map.mrc")[0]
    np.testing.assert_array_equal(read_map(tmp_path / "maps" / "map.mrc")[0], flip_hand(density))

    told = []
    monkeypatch.setattr("napari_cryospin.widgets.export.job.show_error", told.append)
    monkeypatch.setattr(export_panel.QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)
    panel.place.setText(str(finished_run.path / "results"))
    panel.export()
    qtbot.waitUntil(lambda: not panel.job.busy, timeout=20000)
    assert "the files of the run" in told[0]
    assert "the files of the run" in panel.message.text()
    assert ERROR in panel.message.styleSheet()
    assert panel.export_button.isEnabled()


def test_lasso_range_and_view_choose_and_another_run_forgets(open_panel, told_run, tmp_path, new_run, qtbot):
    entropy, error = np.random.default_rng(0).uniform(0, 3, (2, 400))
    for number in told_run.history_paths():
        epoch = told_run.history(number).record()
        told_run.write_history(replace(epoch, particles=replace(epoch.particles, entropy=entropy, error=error)))
    panel = open_panel(told_run)
    choice, plot = panel.choice, panel.choice.plot
    assert "so far" in choice.message.text()
    qtbot.waitUntil(lambda: len(plot.x) == 400, timeout=20000)
    drag(plot, (0.5, 0.5), (0.5, 2.0), (1.25, 1.25), (2.0, 2.0), (2.0, 0.5))
    inside = (entropy > 0.5) & (entropy < 2) & (error > 0.5) & (error < 1.25 + abs(entropy - 1.25))
    qtbot.waitUntil(lambda: choice.lasso is not None and choice.chosen is not None and len(choice.chosen) < 400)
    assert len(set(choice.lasso - 1000) ^ set(np.flatnonzero(inside))) <= 4  # a pixel is 1 % of the axis
    np.testing.assert_array_equal(choice.chosen, choice.lasso - 1000)

    bottom = plot.plotItem.vb.viewRange()[1][0]
    beneath = bottom - 0.02 * (plot.plotItem.vb.viewRange()[1][1] - bottom)
    drag(plot, (1.0, beneath), (1.5, beneath), (9.0, beneath))
    assert choice.condition.text().endswith("< entropy")
    least = float(choice.condition.text().split()[0])
    assert least == pytest.approx(1.0, abs=0.05)
    expected = np.flatnonzero(entropy[choice.lasso - 1000] > least)
    wait_for(qtbot, panel, len(expected))

    choice.choose_all()
    wait_for(qtbot, panel, 400)
    panel.session.turn_view(POLE)
    choice.within.setValue(40)
    rotations = open_results(told_run).record.rotations
    wait_for(qtbot, panel, int((rotations[:, 2] @ POLE[2] > np.cos(np.radians(40))).sum()))
    panel.session.turn_view(np.eye(3))  # the other side comes to the front
    wait_for(qtbot, panel, int((rotations[:, 2, 2] > np.cos(np.radians(40))).sum()))
    choice.figures["x"].setCurrentText("max_probability")
    qtbot.waitUntil(lambda: "not known" in plot.note, timeout=20000)

    choice.lasso = np.arange(1000, 1010)
    panel.session.watch(new_run)
    assert choice.lasso is None
    assert choice.results is None
    assert panel.place.text().startswith(str(new_run.path))


def test_an_export_outlives_its_dock_and_a_cancelled_one_leaves_nothing(open_panel, finished_run, tmp_path, qtbot):
    panel = open_panel(finished_run)
    viewer, job = panel.viewer, panel.job
    panel.program.setCurrentIndex(panel.program.findData("chimerax"))
    panel.place.setText(str(tmp_path / "out"))
    panel.export()
    panel.job.cancel()
    qtbot.waitUntil(lambda: not job.busy, timeout=20000)
    assert "Cancelled" in panel.message.text()
    assert not (tmp_path / "out").exists()
    panel.export()
    viewer.window.remove_dock_widget(panel)
    qtbot.wait(50)
    again = ExportPanel(viewer)
    viewer.window.add_dock_widget(again, name="Export again")
    assert again.job is job
    qtbot.waitUntil(lambda: not job.busy, timeout=20000)
    assert (tmp_path / "out" / "view.cxc").is_file()
    qtbot.waitUntil(lambda: again.choice.chosen is not None, timeout=20000)
    assert "Wrote" in again.message.text()
    again.fold.set_open(True)
    qtbot.waitUntil(lambda: again.sharpen.figures is not None, timeout=20000)
    again.program.setCurrentIndex(again.program.findData("maps"))
    again.sharpen.by_hand["b_factor"].setChecked(True)
    again.sharpen.b_factor.setValue(-300)
    assert (again.options().b_factor, again.options().low_pass) == (-300, None)
    plain, made = again.sharpen.guinier.curves[:2]
    low = slice(0, 4)  # shells that the low-pass leaves alone
    np.testing.assert_allclose(made.y[low] - plain.y[low], 300 / 4 * plain.x[low], atol=1e-6)


def test_one_model_in_chimerax_follows_the_run(open_panel, told_run, fake_chimerax, qtbot, monkeypatch, tmp_path):
    told = []
    monkeypatch.setattr("napari_cryospin.widgets.export.chimerax_job.show_error", told.append)
    rng = np.random.default_rng(3)
    maps = [gaussian_filter(rng.normal(size=(16, 16, 16)), 1.5).astype(np.float32) for _ in range(3)]
    first = told_run.newest_snapshot()
    told_run.write_snapshot(replace(first, step=61, map=maps[0]))
    panel = open_panel(told_run)
    box, session = panel.chimerax, panel.session
    live = live_map_of(panel.viewer)
    qtbot.waitUntil(lambda: live.picture is not None, timeout=20000)
    live.set_display(level=1.0)
    qtbot.waitUntil(lambda: live.picture.display.level == 1.0, timeout=20000)
    box.port.setValue(fake_chimerax.server_port)
    box.send()
    qtbot.waitUntil(lambda: "step 61" in box.message.text(), timeout=20000)
    (contour,) = [command for command in fake_chimerax.commands if " level " in command]
    assert float(contour.split(" level ")[1].split()[0]) == pytest.approx(live.picture.level, rel=0.02)
    assert contour.endswith(live.layer.colour)

    told_run.write_snapshot(replace(first, step=70, map=maps[1]))
    qtbot.waitUntil(lambda: "step 70" in box.message.text(), timeout=20000)
    assert list(fake_chimerax.models) == ["#900"]
    session.flip_hand(True)
    qtbot.waitUntil(lambda: len(fake_chimerax.sent) == 3, timeout=20000)
    scale = maps[0].std() / maps[1].std()
    np.testing.assert_allclose(fake_chimerax.sent[2], scale * flip_hand(maps[1]), rtol=1e-3, atol=1e-6)

    panel.viewer.window.remove_dock_widget(panel)  # it is the session's: closing the dock ends nothing
    qtbot.wait(50)
    told_run.write_snapshot(replace(first, step=75, map=maps[0]))
    qtbot.waitUntil(lambda: len(fake_chimerax.sent) == 4, timeout=20000)
    np.testing.assert_allclose(fake_chimerax.sent[3], flip_hand(maps[0]), rtol=1e-3, atol=1e-6)
    panel = ExportPanel(panel.viewer)
    panel.viewer.window.add_dock_widget(panel, name="Export again")
    box = panel.chimerax
    assert box.port.value() == fake_chimerax.server_port
    qtbot.waitUntil(lambda: "step 75" in box.message.text(), timeout=20000)
    box.follow.setChecked(False)
    told_run.write_snapshot(replace(first, step=77, map=maps[0]))
    qtbot.waitUntil(lambda: session.snapshot.step == 77, timeout=20000)
    box.follow.setChecked(True)

    fake_chimerax.shutdown()
    fake_chimerax.server_close()
    told_run.write_snapshot(replace(first, step=80, map=maps[2]))
    qtbot.waitUntil(lambda: box.job.live is None, timeout=20000)
    assert len(fake_chimerax.sent) == 4
    assert "Nothing more is sent to ChimeraX" in box.message.text()
    assert WARNING in box.message.styleSheet()
    assert len(told) == 1
    told_run.write_snapshot(replace(first, step=90, map=maps[2]))
    qtbot.waitUntil(lambda: session.snapshot.step == 90, timeout=20000)
    assert len(told) == 1

    monkeypatch.setattr(chimerax_program, "USUAL_FOLDERS", ("/nowhere*/ChimeraX",))
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CHIMERAX_PATH", raising=False)
    box.open()
    assert not box.open_button.isEnabled()
    qtbot.waitUntil(box.open_button.isEnabled, timeout=20000)
    assert box.message.text() == "ChimeraX was not found. Install it, or choose its program."
    assert "/nowhere*/ChimeraX" in box.message.toolTip()
    assert not (told_run.path / "exported").exists()
    assert len(told) == 1  # It is said beside the button, and not a second time.
    started = []
    monkeypatch.setattr(chimerax_job, "open_in_chimerax", lambda script, program: started.append(program))
    program = tmp_path / "ChimeraX"
    program.touch(mode=0o755)
    asked = "napari_cryospin.widgets.export.chimerax_box.QFileDialog.getOpenFileName"
    monkeypatch.setattr(asked, lambda *_: (str(program), ""))
    assert not box.program.isHidden()
    box.program.click()
    qtbot.waitUntil(lambda: started == [program], timeout=20000)
    qtbot.waitUntil(box.program.isHidden, timeout=20000)


def test_what_lies_there_is_replaced_only_after_a_question(open_panel, finished_run, tmp_path, qtbot, monkeypatch):
    panel = open_panel(finished_run)
    out, answers = tmp_path / "mine.star", []

    def answer(*_):
        answers.append(len(answers))
        return (QMessageBox.StandardButton.Cancel, QMessageBox.StandardButton.Yes)[answers[-1]]

    monkeypatch.setattr(export_panel.QMessageBox, "question", answer)
    panel.place.setText(str(out))
    for written in (True, False, True):  # Nothing lies there, the user refuses, the user agrees.
        if out.exists():
            out.write_text("old")
        qtbot.mouseClick(panel.export_button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: not panel.job.busy, timeout=20000)
        assert ("old" not in out.read_text()) == written
    assert len(answers) == 2
