"""The convergence panel in a real viewer: curves of a run, the switch, FSC, and what happens when docks come and go."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from napari_cryospin.io.fsc_files import write_fsc_csv
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import Event, Status
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import Settings
from napari_cryospin.views.curves import Clock, newest, series, share_names
from napari_cryospin.widgets.charts.convergence import ConvergencePanel
from napari_cryospin.widgets.kit.colours import class_colour
from napari_cryospin.widgets.session.session import session_of

FSC = {"frequency": [0.0, 0.05, 0.1], "unmasked": [1.0, 0.8, 0.1], "corrected": [1.0, 0.9, 0.2]}


@pytest.fixture
def panel(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    panel = ConvergencePanel(viewer)
    viewer.window.add_dock_widget(panel, area="bottom")
    panel.resize(900, 240)
    yield panel
    session_of(viewer).close()


def drawn(qtbot, plot, count=1):
    qtbot.waitUntil(lambda: len(plot.curves) >= count, timeout=5000)
    return {curve.name: curve for curve in plot.curves}


def test_empty_then_the_curves_of_a_run_with_its_switch(panel, qtbot, told_run):
    assert panel.is_empty
    panel.session.watch(told_run)
    panel.multiples.resize(900, 200)
    loss = drawn(qtbot, panel.loss)["loss (1: noise)"]
    assert_allclose(loss.x, np.sort(np.concatenate([np.arange(6) + 0.5, np.arange(6) + 1])))
    assert_allclose(loss.y[-1], 8 / 6)
    resolution = drawn(qtbot, panel.resolution, 2)
    assert_allclose(1 / resolution["FSC 0.143 (Å)"].y, 40 / np.arange(1, 7))
    assert_allclose(1 / resolution["compared to (Å)"].y, 64 / (2 * np.arange(1, 7)))  # field of view 64 A
    assert_allclose(drawn(qtbot, panel.pose_change)["pose change (°)"].x, [5, 6])
    for plot in (panel.loss, panel.resolution, panel.pose_change, panel.entropy):
        assert [(mark.place, mark.text) for mark in plot.marks] == [(4.0, "switch")]
    assert panel.fsc in panel.multiples.left_out  # Without half sets it would stay empty.
    assert "half sets: they are chosen in the step Particles" in panel.caption.toolTip()
    assert panel.caption.text() == "6.7 Å at FSC 0.143 (two folds, a guide only)"


def test_the_readiness_for_the_switch_is_a_curve_that_the_switch_ends(panel, qtbot, told_run):
    panel.session.watch(told_run)
    drawn(qtbot, panel.loss)
    assert panel.readiness in panel.multiples.left_out  # of a run that did not measure it
    for epoch, (entropy, agreed) in enumerate([(2.0, 0.42), (0.4, 0.9)], start=3):
        line = {"step": 10 * epoch, "epoch": epoch, "stage": "auto-encoding", "elapsed": 30.0 * epoch}
        told_run.append_metrics({**line, "switch_entropy": entropy, "heads_agree": agreed})
    panel.multiples.resize(1100, 200)
    curves = drawn(qtbot, panel.readiness, 2)
    assert panel.readiness not in panel.multiples.left_out
    agree = curves["heads (%)"]
    assert_allclose(agree.x, [3, 4])
    assert_allclose(agree.y, [50, 100])
    assert curves["poses (%)"].y[-1] == 100 > curves["poses (%)"].y[0]
    assert [(mark.place, mark.text) for mark in panel.readiness.marks] == [(4.0, "switch")]


def test_over_steps_and_over_time(panel, qtbot, told_run):
    panel.session.watch(told_run)
    drawn(qtbot, panel.entropy)
    panel.along.setCurrentText("Steps")
    qtbot.waitUntil(lambda: panel.entropy.x_name == "step")
    assert_allclose(panel.entropy.curves[0].x, np.arange(10, 61, 10))
    assert panel.entropy.marks[0].place == 40
    panel.along.setCurrentText("Time")
    qtbot.waitUntil(lambda: panel.entropy.x_name == "time (min)")
    assert_allclose(panel.entropy.curves[0].x, np.arange(1, 7) / 2)
    assert panel.entropy.marks[0].place == pytest.approx(2.0)


def test_the_shown_epoch_is_marked(panel, qtbot, told_run):
    panel.session.watch(told_run)
    drawn(qtbot, panel.loss)
    panel.session.show_epoch(2)
    qtbot.waitUntil(lambda: [mark.text for mark in panel.loss.marks] == ["switch", "shown"])
    assert panel.loss.marks[1].place == 2
    assert panel.caption.text().startswith("epoch 2   20.0 Å")


def test_fsc_while_a_run_goes_on_and_from_its_results(panel, qtbot, told_run):
    told_run.append_metrics({"step": 70, "epoch": 7, "stage": "auto-decoding", "elapsed": 210.0, "fsc": FSC})
    panel.session.watch(told_run)
    live = drawn(qtbot, panel.fsc, 2)
    assert_allclose(live["corrected"].y, FSC["corrected"])
    assert panel.fsc.title == "FSC at epoch 7"
    write_fsc_csv(
        told_run.path / "results" / "fsc.csv", {**FSC, "masked": [1, 0.95, 0.3]} | {"frequency": FSC["frequency"]}
    )
    (told_run.path / "results" / "postprocess.json").write_text('{"resolution_angstrom": 11.5, "notes": ["a note"]}')
    told_run.write_status(Status(state="finished", step=70, epoch=7, epochs=7, progress=1.0))
    final = drawn(qtbot, panel.fsc, 3)
    assert_allclose(final["masked"].y, [1, 0.95, 0.3])
    qtbot.waitUntil(lambda: panel.caption.text() == "11.5 Å at FSC 0.143 (half sets, results)")
    assert "a note" in panel.caption.toolTip()


def test_torn_results_say_so_and_the_panel_goes_on(panel, qtbot, told_run, monkeypatch):
    said = []
    monkeypatch.setattr("napari_cryospin.widgets.charts.convergence.show_warning", said.append)
    (told_run.path / "results" / "fsc.csv").write_text("nonsense\n1\n")
    told_run.write_status(Status(state="finished", step=60, epoch=6, epochs=6, progress=1.0))
    panel.session.watch(told_run)
    qtbot.waitUntil(lambda: bool(said))
    assert "fsc.csv" in said[0]
    drawn(qtbot, panel.loss)


def test_a_reopened_panel_finds_the_run_and_another_run_clears_it(panel, qtbot, told_run, tmp_path):
    panel.session.watch(told_run)
    drawn(qtbot, panel.loss)
    again = ConvergencePanel(panel.viewer)
    qtbot.addWidget(again)
    again.resize(900, 240)
    again.show()
    drawn(qtbot, again.loss)
    empty = RunFolder.create(tmp_path / "empty", RunInput(particles=tmp_path / "p.star"), Settings())
    panel.session.watch(empty)
    assert panel.is_empty
    assert again.is_empty


def test_theme_is_followed(panel, qtbot):
    panel.viewer.theme = "light"
    light = panel.loss.theme
    panel.viewer.theme = "dark"
    assert (light.dark, panel.loss.theme.dark) == (False, True)
    assert panel.loss.backgroundBrush().color().name() == panel.loss.theme.background.lower()[:7]


def test_redrawing_is_quick(panel, qtbot, told_run):
    import time

    panel.session.watch(told_run)
    drawn(qtbot, panel.loss)
    panel.session.metrics = [{"step": step, "epoch": step // 10, "elapsed": step, "loss": 1.0} for step in range(2000)]
    panel.draw()
    began = time.process_time()
    for _ in range(10):
        panel.draw()
    assert (time.process_time() - began) / 10 < 0.2  # about 10 ms of a core; drawing point by point takes seconds


def test_clock_before_the_first_epoch_and_after_the_last():
    metrics = [{"step": 3, "epoch": 0, "elapsed": 6.0, "loss": 1.0}]
    status = Status(state="running", step=3, epochs=10, progress=0.03)
    x, y = series(metrics, "loss", "epoch", Clock(metrics, status))
    assert_allclose((x[0], y[0]), (0.3, 1.0))
    metrics += [
        {"step": 10, "epoch": 1, "elapsed": 20.0, "epoch_ended": True},
        {"step": 15, "epoch": 1, "elapsed": 30.0},
    ]
    clock = Clock(metrics, None)
    assert_allclose(clock.along("epoch", np.array([5.0, 10.0, 15.0])), [0.5, 1, 1.5])
    assert clock.switches([Event(kind="switched", step=10)], "time") == [pytest.approx(1 / 3)]
    assert Clock([], None).switches([Event(kind="switched", step=10)], "time") == []


def test_what_changed_symmetry_or_classes_has_a_place_and_a_word():
    metrics = [{"step": step, "epoch": step // 5, "elapsed": step, "epoch_ended": True} for step in (5, 10, 15)]
    events = [
        Event(kind="switched", step=5),
        Event(kind="classes", step=5, detail={"change": "split", "classes": 3}),  # at the switch, which has its mark
        Event(kind="classes", step=10, detail={"change": "merged"}),
        Event(kind="classes", step=11, detail={"change": "dropped", "class": 2}),
        Event(kind="symmetry", step=15, detail={"symmetry": "C3"}),
    ]
    found = Clock(metrics, None).changes(events, "step")
    assert found == [(10.0, "classes merged"), (11.0, "class dropped"), (15.0, "C3")]
    assert Clock([], None).changes(events, "time") == []


def test_newest_and_shares():
    metrics = [
        {"epoch": 1, "a": 1.0, "head_share_10": 0.1, "head_share_2": 0.2},
        {"epoch": 2, "a": None},
        {"epoch": 3, "a": 3},
    ]
    assert (newest(metrics, "a"), newest(metrics, "a", 2), newest(metrics, "b")) == (3, 1.0, None)
    assert share_names(metrics) == ["head_share_2", "head_share_10"]


def test_classes_have_curves_from_the_switch_on_and_one_class_has_none(panel, qtbot, told_run):
    panel.session.watch(told_run)
    panel.multiples.resize(1300, 200)
    drawn(qtbot, panel.loss)
    assert panel.classes.isHidden()
    for epoch, shares in ((7, [0.5, 0.3, 0.2]), (8, [0.6, 0.4])):  # The third class is given up.
        shared = {f"class_share_{number}": share for number, share in enumerate(shares, start=1)}
        told_run.append_metrics(
            {"step": 10 * epoch, "epoch": epoch, "stage": "auto-decoding", "elapsed": 30.0 * epoch, **shared}
        )
    curves = drawn(qtbot, panel.classes, 3)
    assert panel.classes.isVisible()
    expected = {"class 1 (%)": [50, 60], "class 2 (%)": [30, 40], "class 3 (%)": [20]}
    assert [*curves] == [*expected]
    for name, values in expected.items():
        assert_allclose(curves[name].y, values)
    assert_allclose(curves["class 3 (%)"].x, [7])
    assert len({curve.colour for curve in curves.values()}) == 3
    assert {mark.text for mark in panel.classes.marks} == {"switch"}


@pytest.mark.parametrize("background", ["#262930", "#efebe9"])
def test_colours_of_classes_are_legible_on_dark_and_on_light(background):
    """With the contrast that WCAG 2.1 asks of what a picture must show (1.4.11)."""
    colours = [class_colour(number) for number in range(1, 9)]
    assert len(set(colours)) == 8
    for colour in colours:
        light, dark = sorted((luminance(colour), luminance(background)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3


def luminance(colour):
    parts = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)
