"""The posterior panel on a run's folder: what is asked, what is drawn, what is told; the engine is a stand-in."""

import dataclasses
import subprocess
import sys
import threading
from concurrent.futures import CancelledError
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_cryospin.geometry.sphere_cells import healpix_cells, pixel_of
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import Status
from napari_cryospin.runs.particle_record import ParticleRecord
from napari_cryospin.runs.snapshot import Snapshot
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import Settings
from napari_cryospin.views.posterior import particle_view
from napari_cryospin.views.posterior.answers import (
    ZOOM_POINTS,
    DirectionPosterior,
    ProjectionComparison,
    Zoom,
    patch_axes,
    patch_directions,
)
from napari_cryospin.widgets.kit.colours import class_colour
from napari_cryospin.widgets.posterior import panel as posterior_panel
from napari_cryospin.widgets.posterior import saving as posterior_saving
from napari_cryospin.widgets.posterior.panel import PosteriorPanel
from napari_cryospin.widgets.posterior.words import percent
from napari_cryospin.widgets.session.session import session_of
from support.records import epoch_record, particle_record

USED = np.array([0, 2, 3, 5, 8])
HEADS = 4
TRUE = Rotation.random(10, random_state=1).as_matrix()


def log_normal(values):
    return (values - np.log(np.exp(values - values.max()).sum()) - values.max()).astype(np.float32)


class StandIn:
    """Answers as the engine does, with a peak at the particle's known direction; turned half round before epoch 2."""

    def __init__(self):
        self.asked = []
        self.gate = threading.Event()
        self.gate.set()

    def pose(self, particle, record):
        early = float(record.maps[0].max()) < 2
        return np.diag([1.0, -1.0, -1.0]) @ TRUE[particle] if early else TRUE[particle]

    def posterior(self, particle, record, cancelled=None):
        record.particles.position(particle)
        self.asked.append(particle)
        while not self.gate.wait(0.01):
            if cancelled.is_set():
                raise CancelledError
        rotation = self.pose(particle, record)
        values = log_normal(60 * (healpix_cells(8).centres @ rotation[2]))
        return DirectionPosterior(
            particle=particle, record=record, log_posterior=values, rotation=rotation, shift=np.zeros(2)
        )

    def zoom(self, particle, record, direction=None, cancelled=None):
        rotation = self.pose(particle, record)
        axes = patch_axes(rotation[2])
        values = log_normal(2e3 * (patch_directions(rotation[2], axes) @ rotation[2])).reshape(ZOOM_POINTS, ZOOM_POINTS)
        zoomed = {"centre": rotation[2], "axes": axes, "rotation": rotation, "shift": np.zeros(2)}
        return Zoom(particle=particle, log_posterior=values, **zoomed)

    def compare(self, particle, record, rotations, shifts, cancelled=None):
        count, rng = len(rotations), np.random.default_rng(0)
        error = 2 - np.einsum("ki,i->k", rotations[:, 2], self.pose(particle, record)[2])
        return ProjectionComparison(
            particle=rng.normal(size=(16, 16)),
            projections=rng.normal(size=(count, 16, 16)),
            pixel_size=4.0,
            error=error,
            log_likelihood=-error,
            pixel=np.zeros(count, dtype=int),
            probability=np.full(count, 0.25),
            angles=np.zeros((count, 3)),
            shifts=shifts,
        )


def record_of(epoch):
    rng, n = np.random.default_rng(epoch), len(USED)
    return particle_record(
        n,
        rows=USED,
        rotations=TRUE[USED].astype(np.float32),
        shifts=np.zeros((n, 2), dtype=np.float32),
        winner=np.array([1, 0, 2, 3, 4]),
        candidates=Rotation.random(n * HEADS, random_state=rng).as_matrix().reshape(n, HEADS, 3, 3),
        candidate_shifts=np.zeros((n, HEADS, 2)),
        entropy=np.array([0.5, 3.0, 1.0, 2.0, 0.1]),
    )


def written(epoch, stage):
    """What is written of an epoch."""
    known = {"map": np.full((16, 16, 16), epoch), "pixel_size": 4.0, "band": 6, "noise": np.ones((1, 8))}
    return epoch_record(epoch, record_of(epoch), stage=stage, **known)


def snapshot(step, level=3.0):
    names = ("rows", "half_sets", "rotations", "shifts", "winner")
    return Snapshot(
        step=step,
        epoch=3,
        stage="auto-decoding",
        map=np.full((16, 16, 16), level),
        head_share=np.full(HEADS + 1, 0.2),
        loss=1.0,
        resolution=10.0,
        switch_ready=True,
        switch_reason="",
        pixel_size=4.0,
        band=6,
        noise=np.ones((1, 8)),
        max_shift=0.0,
        particles=ParticleRecord(**{name: record_of(3).arrays[name] for name in names}),
    )


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder.create(tmp_path / "run", RunInput(particles=Path("p.star")), Settings())
    for epoch, stage in ((1, "auto-encoding"), (2, "auto-encoding"), (3, "auto-decoding")):
        folder.write_history(written(epoch, stage))
    folder.write_snapshot(snapshot(30))
    return folder


@pytest.fixture
def engine(monkeypatch):
    engine = StandIn()
    monkeypatch.setattr(particle_view.ParticleView, "of_run", lambda folder: engine)
    return engine


@pytest.fixture
def panel(make_napari_viewer, qtbot, folder, engine):
    viewer = make_napari_viewer(show=True)
    panel = PosteriorPanel(viewer)
    viewer.window.add_dock_widget(panel, area="right")
    assert panel.is_empty
    session_of(viewer).watch(folder)
    qtbot.waitUntil(lambda: seen(panel, 0), timeout=20000)
    return panel


def seen(panel, particle, epoch=3):
    """Whether a particle's posterior and candidates are drawn, under an epoch's map."""
    found = panel.posterior
    return found is not None and found.detail is not None and (found.particle, found.epoch) == (particle, epoch)


def test_known_pose_is_the_brightest_and_every_head_is_marked(panel, qtbot):
    assert not panel.is_empty
    scene = panel.views.flat.scene
    assert scene.log_posterior.argmax() == pixel_of(TRUE[0, 2], 8)
    assert panel.views.sphere.overlay.scene is scene
    assert panel.views.sphere.rotation[2] @ TRUE[0, 2] > 0.99  # a new particle's mode faces the user
    heads = [marker for marker in scene.markers if marker.kind == "head"]
    assert [marker.head for marker in heads if marker.winner] == [1]
    expected = record_of(3).candidates[0, :, 2]
    np.testing.assert_allclose([marker.direction for marker in heads], expected, atol=2e-3)
    assert {marker.kind for marker in scene.markers} == {"head", "best", "pose"}
    assert "won by head 2" in panel.title.text().lower()
    # After the switch the heads no longer move.
    assert "encoder's last ones (epoch 2)" in panel.note.text()
    assert scene.path.epochs.tolist() == [1, 2, 3, 3]
    assert scene.path.switch == 1
    cards = [card for card in panel.strip.cards if card.isVisibleTo(panel.strip)]
    assert len(cards) == HEADS + 2
    assert sum(card.winner for card in cards) == 1
    errors = [float(card.lines[0]) for card in cards]
    assert errors == sorted(errors)


def test_particles_are_chosen_in_every_way(panel, qtbot):
    picker, session = panel.picker, panel.session
    picker.uncertain.click()
    assert session.particle == 2
    picker.uncertain.click()
    assert session.particle == 5  # the next most uncertain
    picker.next.click()
    assert session.particle == 8
    picker.next.click()
    assert session.particle == 0
    picker.slider.setValue(2)
    assert session.particle == 3
    picker.number.setValue(8)  # Row 7 from 0 is not part of the run: the nearest that is.
    assert session.particle == 8
    assert picker.number.value() == 9
    session.choose_particle(5)
    qtbot.waitUntil(lambda: seen(panel, 5), timeout=5000)
    assert picker.number.value() == 6  # People count rows from 1.
    assert "<b>Particle 6</b>" in panel.title.text()
    session.choose_particle(4)  # chosen elsewhere, among particles that are not used
    qtbot.waitUntil(lambda: "particle 5" in panel.note.text(), timeout=5000)
    assert panel.views.flat.scene is None
    session.choose_particle(0)
    qtbot.waitUntil(lambda: seen(panel, 0), timeout=5000)


def test_time_slider_shows_the_posterior_of_that_epoch(panel, qtbot):
    panel.session.show_epoch(1)
    qtbot.waitUntil(lambda: seen(panel, 0, 1), timeout=5000)
    scene = panel.views.flat.scene
    assert scene.log_posterior.argmax() == pixel_of(-TRUE[0, 2], 8)
    expected = record_of(1).candidates[0, :, 2]
    np.testing.assert_allclose([m.direction for m in scene.markers if m.kind == "head"], expected, atol=2e-3)
    assert scene.path.epochs.tolist() == [1]
    assert "heads in epoch 1" in panel.note.text()
    panel.session.show_epoch(None)
    qtbot.waitUntil(lambda: seen(panel, 0, 3), timeout=5000)


def test_new_maps_are_followed_at_leisure(panel, qtbot, folder, engine):
    del engine.asked[:]
    folder.write_snapshot(snapshot(31, level=1.0))
    folder.write_snapshot(snapshot(32, level=1.0))
    turned = pixel_of(-TRUE[0, 2], 8)
    qtbot.waitUntil(lambda: panel.views.flat.scene.log_posterior.argmax() == turned, timeout=15000)
    assert engine.asked == [0]
    assert "step 32" in panel.title.text()


def test_a_posterior_of_an_earlier_epoch_than_the_map_is_marked(panel, qtbot, folder, monkeypatch):
    monkeypatch.setattr(posterior_panel, "FOLLOW_EVERY", 1000.0)
    monkeypatch.setattr(posterior_panel, "FOLLOW_AT_LEAST", 1000.0)
    assert "step 30" in panel.title.text()
    folder.write_snapshot(dataclasses.replace(snapshot(41), epoch=9))
    qtbot.waitUntil(lambda: "epoch 3 (map: epoch 9)" in panel.title.text(), timeout=5000)
    panel.session.show_epoch(1)  # an epoch of its own, and no lag
    assert "(map:" not in panel.title.text()
    panel.session.show_epoch(None)
    qtbot.waitUntil(lambda: panel.posterior.epoch == 9, timeout=5000)
    assert "(map:" not in panel.title.text()


def test_a_run_that_pauses_is_looked_at_now(panel, qtbot, folder, monkeypatch):
    monkeypatch.setattr(posterior_panel, "FOLLOW_EVERY", 1000.0)
    monkeypatch.setattr(posterior_panel, "FOLLOW_AT_LEAST", 1000.0)
    folder.write_snapshot(snapshot(31))
    qtbot.waitUntil(lambda: panel.session.snapshot.step == 31, timeout=5000)
    qtbot.wait(100)
    assert "step 31" not in panel.title.text()  # at leisure
    folder.write_status(Status(state="paused", stage="auto-decoding", step=31, epoch=3))
    qtbot.waitUntil(lambda: "step 31" in panel.title.text(), timeout=5000)


def test_until_there_is_a_posterior_it_is_said_why(make_napari_viewer, qtbot, folder, engine, tmp_path):
    viewer = make_napari_viewer(show=True)
    panel = PosteriorPanel(viewer)
    viewer.window.add_dock_widget(panel, area="right")
    assert "Start a run" in panel._message.text()
    engine.gate.clear()
    session_of(viewer).watch(folder)
    qtbot.waitUntil(lambda: "is being computed" in panel._message.text(), timeout=5000)
    assert panel.is_empty
    engine.gate.set()
    qtbot.waitUntil(lambda: not panel.is_empty, timeout=5000)
    other = RunFolder.create(tmp_path / "other", RunInput(particles=Path("p.star")), Settings())
    session_of(viewer).watch(other)
    assert "Waiting for" in panel._message.text()
    other.write_status(Status(state="failed"))
    qtbot.waitUntil(lambda: "no posterior" in panel._message.text(), timeout=5000)


@pytest.mark.parametrize(
    ("share", "text"),
    [(2e-5, "less than 0.01 %"), (0.00234, "0.23 %"), (0.6587, "65.9 %"), (0.99951, "100 %"), (0.9994, "99.9 %")],
)
def test_probabilities_are_readable(share, text):
    assert percent(share) == text


def test_newest_choice_wins_and_a_hidden_panel_asks_nothing(panel, qtbot, engine):
    engine.gate.clear()
    del engine.asked[:]
    for particle in (2, 3, 5):
        panel.session.choose_particle(particle)
        qtbot.wait(30)
    engine.gate.set()
    qtbot.waitUntil(lambda: seen(panel, 5), timeout=5000)
    panel.hide()
    del engine.asked[:]
    panel.session.choose_particle(8)
    qtbot.wait(100)
    assert engine.asked == []
    panel.show()
    qtbot.waitUntil(lambda: seen(panel, 8), timeout=5000)


def test_linked_cameras_turn_together_and_a_click_turns_the_map(panel, qtbot):
    session, sphere = panel.session, panel.views.sphere
    turned = Rotation.random(random_state=4).as_matrix()
    before = sphere.rotation
    session.turn_view(turned)
    np.testing.assert_array_equal(sphere.rotation, before)
    panel.link.linked.setChecked(True)
    np.testing.assert_allclose(sphere.rotation, turned)
    with qtbot.waitSignal(session.turn_requested) as asked:
        panel.link.face.click()
    np.testing.assert_allclose(asked.args[0][2], panel.posterior.mode)
    with qtbot.waitSignal(session.direction_chosen) as chosen:
        panel.views.flat.clicked.emit(TRUE[3, 2])
    np.testing.assert_allclose(chosen.args[0], TRUE[3, 2])
    with qtbot.waitSignal(session.turn_requested) as asked:
        panel.strip.clicked.emit(panel.strip.shown[0])
    np.testing.assert_allclose(asked.args[0], panel.strip.shown[0].rotation)


def test_picture_and_numbers_are_saved(panel, tmp_path, monkeypatch):
    panel.save.save(tmp_path / "posterior.npz")
    with np.load(tmp_path / "posterior.npz") as saved:
        assert saved["log_posterior"].argmax() == pixel_of(TRUE[0, 2], 8)
        assert saved["candidates"].shape == (HEADS, 3, 3)
        assert saved["zoom_log_posterior"].shape == (ZOOM_POINTS, ZOOM_POINTS)
        assert len(saved["shown"]) == len(saved["error"]) == HEADS + 2
    panel.save.save(tmp_path / "posterior.png")
    assert (tmp_path / "posterior.png").stat().st_size > 10_000
    said = Mock()
    monkeypatch.setattr(posterior_saving, "show_error", said)
    panel.save.save(tmp_path / "nowhere" / "posterior.npz")
    assert "nowhere" in said.call_args.args[0]
    image = panel.picture()
    assert image.width() > 700
    assert image.height() > 400


def test_closed_and_opened_again_it_finds_the_run(panel, qtbot, folder):
    viewer, session = panel.viewer, panel.session
    dock = panel.parentWidget()
    viewer.window.remove_dock_widget(dock)
    qtbot.wait(50)
    again = PosteriorPanel(viewer)
    viewer.window.add_dock_widget(again, area="right")
    qtbot.waitUntil(lambda: seen(again, 0), timeout=5000)
    session.choose_particle(5)
    qtbot.waitUntil(lambda: seen(again, 5), timeout=5000)


def test_opening_the_panel_loads_no_torch():
    code = (
        "import sys, napari\n"
        "from napari_cryospin.widgets.posterior.panel import PosteriorPanel\n"
        "viewer = napari.Viewer(show=False)\n"
        "panel = PosteriorPanel(viewer)\n"
        "panel.show()\n"
        "assert 'torch' not in sys.modules\n"
        "assert 'healpy' not in sys.modules\n"
        "viewer.close()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def in_classes(step):
    """A snapshot with two classes, in which particle 5 is by 3/4 in the second."""
    plain = snapshot(step)
    probability = np.array([[0.9, 0.1], [1.0, 0.0], [0.6, 0.4], [0.25, 0.75], [0.0, 1.0]], np.float32)
    known = {"class_number": probability.argmax(1) + 1, "class_probability": probability}
    particles = ParticleRecord(**plain.particles.arrays, **known)
    return dataclasses.replace(plain, class_maps=(plain.map, plain.map), particles=particles)


def told(bar):
    return bar.text.text().replace("\u00a0", " ")


def test_class_probabilities_are_a_bar_that_is_hidden_with_one_class(panel, qtbot, folder):
    bar, session = panel.classes, panel.session
    assert not bar.isVisible()
    folder.write_snapshot(in_classes(31))
    folder.write_status(Status(state="paused", stage="auto-decoding", step=31, epoch=3))
    qtbot.waitUntil(bar.isVisible, timeout=15000)
    assert told(bar) == "1: 90.0 %   2: 10.0 %"
    session.choose_particle(5)
    qtbot.waitUntil(lambda: told(bar) == "1: 25.0 %   2: 75.0 %", timeout=15000)
    picture = bar.strip.grab().toImage()
    scale, middle = picture.width() / bar.strip.width(), picture.height() // 2
    colours = [picture.pixelColor(x, middle).name().upper() for x in range(picture.width())]
    second = [x for x, colour in enumerate(colours) if colour == class_colour(2)]
    assert len(second) / len(colours) == pytest.approx(0.75, abs=2 * scale / len(colours) + 0.02)
    assert min(second) > max(x for x, colour in enumerate(colours) if colour == class_colour(1))
    session.choose_particle(4)  # which the run does not use
    qtbot.waitUntil(lambda: not bar.isVisible(), timeout=15000)
    session.show_epoch(1)
    session.choose_particle(0)
    qtbot.waitUntil(lambda: seen(panel, 0, 1), timeout=15000)
    assert not bar.isVisible()


def test_a_particle_chosen_before_the_detail_of_the_one_before_is_the_one_that_is_shown(panel, qtbot):
    session, title = panel.session, panel.title
    session.choose_particle(5)
    qtbot.waitUntil(lambda: "Particle 6" in title.text(), timeout=5000)
    panel._paint_first.start(0)  # The painting takes as long as the user needs for the next choice.
    session.choose_particle(8)
    qtbot.waitUntil(lambda: seen(panel, 8), timeout=5000)
    assert "Particle 9" in title.text()
    qtbot.wait(200)
    assert seen(panel, 8)
