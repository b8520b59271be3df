"""Contour, dust, colours, other maps and a movie, with the mouse, the menu and real files."""

from itertools import pairwise

import imageio.v2 as imageio
import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog, QWidget
from scipy.spatial.transform import Rotation

from napari_cryospin.io.mrc import write_map
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import Status
from napari_cryospin.runs.snapshot import Snapshot
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import Settings
from napari_cryospin.widgets.live_map.camera_link import camera_rotation
from napari_cryospin.widgets.live_map.ghost_maps import ghosts_of
from napari_cryospin.widgets.live_map.movie import movie_writer
from napari_cryospin.widgets.live_map.movie_strip import DENSEST, SIDE_WIDTH, globe_image
from napari_cryospin.widgets.live_map.panel import LiveMapPanel
from napari_cryospin.widgets.session.session import session_of
from support.records import epoch_record, particle_record

BOX, PIXEL, EPOCHS = 32, 4.0, 4
PLACES = np.array([[9.0, 2, -3], [-6, 7, 4], [-4, -9, 6], [3, -2, -10], [0, 0, 0]])


def blobs(scale=1.0, places=PLACES, width=2.2):
    z, y, x = np.indices((BOX,) * 3) - BOX // 2
    parts = (np.exp(-((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / (2 * width**2)) for a, b, c in places)
    return (scale * sum(parts)).astype(np.float32)


def with_dust():
    density = blobs()
    density[3, 3, 3] = density.max()
    return density


def write_run(path, density=None, half_maps=()):
    folder = RunFolder.create(path, RunInput(particles=path / "particles.star"), Settings())
    density = blobs() if density is None else density
    for epoch in range(1, EPOCHS + 1):
        change = blobs(0.3 * (epoch - EPOCHS), PLACES[:1])  # one blob is not settled
        record = epoch_record(epoch, particle_record(3), map=density + change, pixel_size=PIXEL, band=8)
        folder.write_history(record)
        line = {"epoch_ended": True, "epoch": epoch, "stage": "auto-encoding", "step": epoch, "elapsed": epoch}
        folder.append_metrics({**line, "resolution": 40.0 / epoch})
    folder.write_snapshot(
        Snapshot(
            step=EPOCHS, epoch=EPOCHS, stage="auto-encoding", map=density, half_maps=half_maps, pixel_size=PIXEL,
            band=8, noise=np.ones((1, 16)), max_shift=0.0, particles=particle_record(3), head_share=np.ones(2) / 2,
            loss=1.0, resolution=20.5, switch_ready=False, switch_reason="",
        )
    )  # fmt: skip
    folder.write_status(Status(state="finished", stage="auto-encoding", step=EPOCHS, epoch=EPOCHS))
    return folder


@pytest.fixture
def open_panel(make_napari_viewer, tmp_path, qtbot):
    def make(**values):
        viewer = make_napari_viewer(show=True)
        panel = LiveMapPanel(viewer)
        viewer.window.add_dock_widget(panel, area="bottom")
        session_of(viewer).watch(write_run(tmp_path / "run", **values))
        qtbot.waitUntil(lambda: panel.live.picture is not None and bool(panel.session.epochs), timeout=20_000)
        return panel

    return make


def choose(panel, text):
    """Choose an entry of the menu, as it is when it opens."""
    menu = panel.tools.menu()
    menu.aboutToShow.emit()
    entries = [
        *menu.actions(),
        *(inner for action in menu.actions() if action.menu() for inner in action.menu().actions()),
    ]
    action = next(action for action in entries if action.text().startswith(text))
    assert action.isEnabled(), text
    action.trigger()


def test_the_contour_is_dragged_on_the_histogram(open_panel, qtbot):
    panel = open_panel()
    slider, live = panel.controls.level, panel.live
    np.testing.assert_array_equal(slider.counts, live.picture.statistics.counts)
    before = live.picture.level
    place = QPoint(round(0.8 * slider.width()), slider.height() // 2)
    QTest.mousePress(slider, Qt.MouseButton.LeftButton, pos=QPoint(round(slider.line), slider.height() // 2))
    QTest.mouseMove(slider, place)
    QTest.mouseRelease(slider, Qt.MouseButton.LeftButton, pos=place)
    QTest.mouseClick(slider, Qt.MouseButton.LeftButton, pos=place)
    statistics = live.picture.statistics
    wanted = statistics.low_level + 0.8 * (statistics.highest - statistics.low_level)
    qtbot.waitUntil(lambda: live.picture.level == pytest.approx(wanted, rel=0.03), timeout=10_000)
    assert live.picture.level > before
    assert slider.line == pytest.approx(place.x(), abs=2)


def test_ctrl_and_wheel_over_the_map_move_the_contour_and_the_wheel_alone_does_not(open_panel, qtbot):
    panel = open_panel()
    live, viewer = panel.live, panel.viewer
    canvas = next(one for one in viewer.window._qt_window.findChildren(QWidget) if "Canvas" in type(one).__name__)
    zoom, before = viewer.camera.zoom, live.picture.level

    def turn(keys):
        place = QPointF(canvas.rect().center())
        event = QWheelEvent(
            place, QPointF(canvas.mapToGlobal(place.toPoint())), QPoint(0, 0), QPoint(0, 120),
            Qt.MouseButton.NoButton, keys, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(canvas, event)

    turn(Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: live.picture.level > before, timeout=10_000)
    assert viewer.camera.zoom == zoom
    level = live.picture.level
    turn(Qt.KeyboardModifier.NoModifier)
    qtbot.wait(100)
    assert live.picture.level == level
    assert viewer.camera.zoom != zoom


def test_dust_is_hidden_on_request(open_panel, qtbot):
    panel = open_panel(density=with_dust())
    layer = panel.live.layer.layer

    def in_the_corner():
        return (np.asarray(layer.data[0]) < 5).all(1).any()

    assert in_the_corner()
    choose(panel, "Hide dust")
    qtbot.waitUntil(lambda: not in_the_corner(), timeout=10_000)
    assert len(layer.data[0]) > 100


def test_the_surface_is_coloured_where_the_last_epochs_differ(open_panel, qtbot):
    panel = open_panel()
    live, layer = panel.live, panel.live.layer.layer
    choose(panel, "Where the last epochs differ")
    qtbot.waitUntil(lambda: live.picture.uncertainty is not None, timeout=10_000)
    assert "orange where they differ" in panel.told.text()  # what the colours mean stands beneath the map
    vertices, values = live.picture.mesh.vertices, live.picture.uncertainty
    from_centre = vertices[:, ::-1] - BOX // 2  # (x, y, z)
    moving = np.linalg.norm(from_centre - PLACES[0], axis=1) < 4
    settled = np.linalg.norm(from_centre - PLACES[2], axis=1) < 4
    assert values[moving].mean() > 0.2 > 5 * values[settled].mean()
    colours = np.asarray(layer.vertex_colors)
    assert (colours[moving, 0] - colours[moving, 2]).mean() > (colours[settled, 0] - colours[settled, 2]).mean()
    live.set_display(level=live.display.level or 3.0)  # another surface, coloured in its turn
    qtbot.waitUntil(lambda: len(layer.vertex_colors) == len(layer.data[0]), timeout=10_000)
    choose(panel, "One colour")
    qtbot.waitUntil(lambda: live.picture.uncertainty is None and layer.vertex_colors is None, timeout=10_000)
    assert not panel.told.text()


def test_half_maps_colour_only_where_there_are_any(open_panel, qtbot):
    panel = open_panel()
    panel.tools.menu().aboutToShow.emit()
    assert not panel.tools.colours["halves"].isEnabled()
    panel.live.set_display(coloured_by="halves")
    qtbot.waitUntil(lambda: "no half sets" in panel.live.picture.note, timeout=10_000)
    assert panel.live.picture.uncertainty is None


def test_a_known_map_is_fitted_shown_and_taken_away(open_panel, qtbot, tmp_path, monkeypatch):
    panel = open_panel()
    write_map(tmp_path / "known.mrc", np.ascontiguousarray(np.rot90(blobs(), axes=(0, 1))), PIXEL)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "known.mrc"), ""))
    choose(panel, "Fit a known map")
    ghosts = ghosts_of(panel.viewer)
    qtbot.waitUntil(lambda: "known.mrc" in ghosts.layers, timeout=60_000)
    assert "correlation" in panel.told.text()
    assert float(panel.told.text().split("correlation ")[1][:4]) > 0.8
    assert np.corrcoef(ghosts.maps["known.mrc"].density.ravel(), blobs().ravel())[0, 1] > 0.7
    choose(panel, "Side by side")
    assert panel.viewer.grid.enabled
    assert ghosts.layers["known.mrc"].opacity == 1
    choose(panel, "Remove the other maps")
    assert not panel.viewer.grid.enabled
    assert [layer.name for layer in panel.viewer.layers] == ["cryoSPIN map"]


def test_another_run_is_compared_and_a_folder_without_one_is_told(open_panel, qtbot, tmp_path, monkeypatch):
    panel = open_panel()
    write_run(tmp_path / "other", np.ascontiguousarray(blobs()[::-1]))  # the other hand
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "other"))
    choose(panel, "Compare with another run")
    qtbot.waitUntil(lambda: "other" in ghosts_of(panel.viewer).layers, timeout=60_000)
    assert "other hand" in panel.told.text()
    (tmp_path / "nothing").mkdir()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "nothing"))
    choose(panel, "Compare with another run")
    qtbot.waitUntil(lambda: "nothing" in panel.told.text() and "comparing" not in panel.told.text(), timeout=20_000)


def test_a_movie_has_a_frame_for_every_epoch(open_panel, qtbot, tmp_path, monkeypatch):
    panel = open_panel()
    path = tmp_path / "run.gif"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    choose(panel, "Save a movie")
    with qtbot.waitSignal(panel.tools.movie.finished, timeout=60_000):
        pass
    assert str(path) in panel.told.text()
    frames = imageio.mimread(path)
    different = [frames[0]] + [now for before, now in pairwise(frames) if (now != before).any()]
    assert len(different) == EPOCHS
    assert frames[0].shape[1] > SIDE_WIDTH
    side = [frame[:, -SIDE_WIDTH:, :3].astype(int) for frame in different]
    assert all((one != other).any() for one, other in pairwise(side))  # resolution and epoch
    assert panel.session.shown_epoch is None  # as before
    assert not panel.tools.movie.running


def test_the_globe_of_a_movie_shows_from_where_particles_are_seen_and_turns_with_the_map(open_panel, qtbot):
    panel = open_panel()
    folder, camera = panel.session.folder, panel.viewer.camera
    turned = Rotation.random(2, random_state=1).as_matrix()
    for epoch, rotation in enumerate(turned, start=1):  # all particles from one side
        rotations = np.repeat(rotation[None], 300, axis=0)
        record = epoch_record(epoch, particle_record(300, rotations=rotations), map=blobs(), pixel_size=PIXEL, band=8)
        folder.write_history(record)
    contents = [panel.tools.movie._content(epoch) for epoch in (1, 2)]
    assert [one.epoch for one in contents] == [1, 2]
    assert [len(one.epochs) for one in contents] == [1, 2]
    for content, rotation in zip(contents, turned, strict=True):
        np.testing.assert_allclose(content.turned, camera_rotation(camera), atol=1e-6)
        assert content.density.max() > DENSEST
        there = globe_image(content.density, rotation, 81)
        assert there[40, 40, :3].astype(int).sum() > there[..., :3][there[..., 3] > 0].astype(int).sum(-1).mean() + 100
        behind = globe_image(content.density, np.diag([1, -1, -1]) @ rotation, 81)
        assert (behind[behind[..., 3] > 0][:, :3] == behind[40, 40, :3]).all()
        right = np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]]) @ rotation  # the direction is now at the right rim
        row, column = np.argwhere((globe_image(content.density, right, 81)[..., :2] > (200, 200)).all(-1)).mean(0)
        assert column > 70
        assert abs(row - 40) < 12
    assert (globe_image(contents[0].density, np.eye(3), 81)[0, 0] == 0).all()  # beside the globe


def test_a_movie_can_be_broken_off_and_endings_are_checked(open_panel, qtbot, tmp_path):
    panel = open_panel()
    path = tmp_path / "run.gif"
    panel.tools.movie.start(path)
    assert panel.tools.movie.running
    choose(panel, "Stop the movie")
    assert not path.exists()
    assert panel.session.shown_epoch is None
    panel.tools.movie.start(tmp_path / "run.avi")
    assert "expected .mp4 or .gif" in panel.told.text()


def test_mp4_is_written_where_ffmpeg_is(tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    writer = movie_writer(tmp_path / "m.mp4")
    for grey in (0, 100, 200):
        writer.append_data(np.full((64, 96, 3), grey, np.uint8))
    writer.close()
    assert (tmp_path / "m.mp4").stat().st_size > 500
