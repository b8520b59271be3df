"""The live map in a real viewer: hand, cameras, level, time, halves, and what the user did must last."""

import numpy as np
import pytest
from napari.layers import Image, Surface
from qtpy.QtGui import QOpenGLContext
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from napari_cryospin.geometry.hand import HAND_FLIP, flip_hand
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import Event, Status
from napari_cryospin.runs.snapshot import Snapshot
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import Settings
from napari_cryospin.widgets.live_map.camera_link import CHIMERAX_AXES, camera_rotation, rotation_of_view
from napari_cryospin.widgets.live_map.layers import live_map_of
from napari_cryospin.widgets.live_map.map_layer import MAP_LAYER_NAME
from napari_cryospin.widgets.live_map.panel import LiveMapPanel
from napari_cryospin.widgets.session.session import session_of
from support.records import epoch_record, particle_record

BOX, PIXEL = 32, 4.0
BLOBS = np.array([[9.0, 2, -3], [-6, 7, 4], [-4, -9, 6], [3, -2, -10]])
"""Chiral: voxels (x, y, z) from the centre."""
WEIGHTS = (1.0, 0.9, 0.8, 1.0)
VIEW = Rotation.from_euler("ZYZ", [30, 50, 70], degrees=True).as_matrix().T


def phantom(blobs=BLOBS, scale=1.0, box=BOX):
    z, y, x = np.indices((box,) * 3) - box // 2
    parts = (
        weight * np.exp(-((x - bx) ** 2 + (y - by) ** 2 + (z - bz) ** 2) / (2 * 1.6**2))
        for weight, (bx, by, bz) in zip(WEIGHTS, blobs, strict=True)
    )
    return (scale * sum(parts)).astype(np.float32)


def snapshot(step, density=None, half_maps=(), pixel_size=PIXEL):
    return Snapshot(
        step=step,
        epoch=step // 10,
        stage="auto-encoding",
        map=phantom() if density is None else density,
        half_maps=half_maps,
        pixel_size=pixel_size,
        band=8,
        noise=np.ones((1, 16)),
        max_shift=0.0,
        particles=particle_record(3),
        head_share=np.ones(2) / 2,
        loss=1.0,
        resolution=20.5,
        switch_ready=False,
        switch_reason="",
    )


def write_epoch(folder, epoch, density):
    stage = "auto-encoding" if epoch < 3 else "auto-decoding"
    folder.write_history(epoch_record(epoch, particle_record(3), map=density, pixel_size=PIXEL, stage=stage))
    metrics = {"epoch_ended": True, "epoch": epoch, "stage": stage, "step": 10 * epoch, "resolution": 40.0 - epoch}
    folder.append_metrics(metrics)


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path / "run", RunInput(particles=tmp_path / "particles.star"), Settings())


@pytest.fixture
def live(make_napari_viewer, folder, qtbot):
    """A viewer's live map, following a run that has written one snapshot."""
    viewer = make_napari_viewer(show=True)
    found = live_map_of(viewer)
    found.test_viewer = viewer
    folder.write_snapshot(snapshot(1))
    session_of(viewer).watch(folder)
    qtbot.waitUntil(lambda: found.picture is not None, timeout=20_000)
    return found


def follow(qtbot, live, folder, new):
    """Write a snapshot and wait until it is drawn."""
    folder.write_snapshot(new)
    qtbot.waitUntil(lambda: live.picture.source.snapshot.step == new.step, timeout=20_000)


def drawn(qtbot, live, action):
    """Do something and wait until the map is drawn anew."""
    with qtbot.waitSignal(live.drawn, timeout=20_000):
        action()


def canvas(viewer):
    """Brightness of the canvas."""
    return viewer.screenshot(canvas_only=True, flash=False)[..., :3].max(-1).astype(float)


def blobs_seen(viewer, rotation, blobs=BLOBS):
    """Where blobs belong on the canvas when the map is seen under a rotation: pixels (row, column)."""
    rows, columns = canvas(viewer).shape
    seen = viewer.camera.zoom * PIXEL * (blobs @ np.asarray(rotation).T)
    return np.stack((rows / 2 - seen[:, 1], columns / 2 + seen[:, 0]), axis=-1)


def expected_canvas(viewer, rotation, blobs=BLOBS):
    """Blobs as dots of the size that the phantom's have."""
    picture = np.zeros(canvas(viewer).shape)
    for weight, (row, column) in zip(WEIGHTS, blobs_seen(viewer, rotation, blobs), strict=True):
        picture[round(row), round(column)] = weight
    return gaussian_filter(picture, 1.6 * viewer.camera.zoom * PIXEL)


def correlation(first, second):
    return np.corrcoef(first.ravel(), second.ravel())[0, 1]


def centre_on_map(viewer):
    viewer.camera.center = (BOX // 2 * PIXEL,) * 3


def test_canvas_shows_the_projection_at_a_pose_in_the_right_hand(live, qtbot):
    viewer = live.test_viewer
    assert tuple(map(str, viewer.camera.orientation)) == CHIMERAX_AXES
    drawn(qtbot, live, lambda: live.set_display(rendering="mip"))
    centre_on_map(viewer)
    for rotation in (np.eye(3), VIEW):
        live.session.turn_to(rotation)
        np.testing.assert_allclose(live.session.view, rotation, atol=1e-4)
        picture = canvas(viewer)
        assert correlation(picture, expected_canvas(viewer, rotation)) > 0.9
        assert correlation(picture, expected_canvas(viewer, rotation, -BLOBS @ np.diag([1, 1, -1]))) < 0.7


def test_surface_shows_near_blobs_in_front_of_far_ones(live, qtbot):
    viewer = live.test_viewer
    centre_on_map(viewer)
    live.session.turn_to(VIEW)
    first, last = (VIEW @ BLOBS[[0, 3]].T).T
    assert first[2] > last[2] + 5  # the first is nearer to the user, and covers a part of the last
    seen = blobs_seen(viewer, VIEW)
    assert (canvas(viewer)[tuple(seen.round().astype(int).T)] > 60).all()
    layer = viewer.layers[0]
    vertices, faces, _ = layer.data
    of_last = np.linalg.norm(vertices[:, ::-1] - BOX // 2 - BLOBS[3], axis=1) < 4
    layer.colormap = "gray"
    layer.data = vertices, faces, np.where(of_last, 0.3, 1.0)
    row, column = seen[[0, 3]].mean(0).round().astype(int)
    assert canvas(viewer)[row, column] > 200


def test_camera_follows_a_chosen_direction_and_tells_when_it_is_turned(live, qtbot):
    viewer, session = live.test_viewer, live.session
    session.choose_direction(np.array([0.3, -0.5, 0.4]))
    np.testing.assert_allclose(camera_rotation(viewer.camera), rotation_of_view([0.3, -0.5, 0.4]), atol=1e-6)
    with qtbot.waitSignal(session.view_turned) as turned:
        viewer.camera.angles = (10, 20, 30)
    np.testing.assert_allclose(turned.args[0], camera_rotation(viewer.camera), atol=1e-6)


def test_one_layer_in_angstrom_is_updated_in_place(live, folder, qtbot):
    viewer = live.test_viewer
    (layer,) = viewer.layers
    assert isinstance(layer, Surface)
    assert layer.name == MAP_LAYER_NAME
    assert str(layer.units[0]) == "angstrom"
    np.testing.assert_allclose(layer.scale, PIXEL)
    other = viewer.add_image(np.zeros((8, 8, 8)), name="other")
    angles, zoom = (5, 6, 7), 0.77
    viewer.camera.angles, viewer.camera.zoom = angles, zoom
    for step in (2, 3):
        follow(qtbot, live, folder, snapshot(step, phantom(scale=step)))
    assert list(viewer.layers) == [layer, other]
    np.testing.assert_allclose(viewer.camera.angles, angles, atol=1e-6)
    assert viewer.camera.zoom == pytest.approx(zoom)


def test_layers_are_removed_in_the_canvas_s_own_opengl_context(live):
    """napari carries out OpenGL commands then; in another context they would end the process at the next picture."""
    viewer = live.test_viewer
    canvas, contexts = viewer.window._qt_viewer.canvas.native, []
    viewer.layers.events.removing.connect(lambda: contexts.append(QOpenGLContext.currentContext()), position="last")
    others = viewer.add_points(np.zeros((2, 3)))
    for layer in (others, viewer.layers[0]):
        canvas.doneCurrent()
        viewer.layers.remove(layer)
    assert contexts == [canvas.context()] * 2


def test_the_map_has_no_units_while_layers_beside_it_have_none(live, qtbot):
    """napari would die in OpenGL when the points are removed in 2D, where units differ."""
    viewer = live.test_viewer

    def units():
        return {str(unit) for layer in viewer.layers for unit in layer.units}

    image = viewer.add_image(np.random.default_rng(0).random((24, 24, 24)))
    points = viewer.add_points(np.random.default_rng(1).random((20, 3)) * 24)
    assert units() == {"pixel"}
    drawn(qtbot, live, lambda: setattr(viewer.dims, "ndisplay", 2))
    assert units() == {"pixel"}  # The layer of the volume takes the place of the surface.
    viewer.screenshot()
    for layer in (points, image):
        viewer.layers.remove(layer)
        viewer.screenshot()
    assert units() == {"angstrom"}
    np.testing.assert_allclose(viewer.layers[0].scale, PIXEL)


def test_level_follows_the_rule_until_it_is_touched_and_then_the_scale(live, folder, qtbot):
    for step, scale in ((2, 1.0), (3, 5.0)):
        follow(qtbot, live, folder, snapshot(step, phantom(scale=scale)))
        assert np.mean(live.picture.density > live.picture.level) == pytest.approx(0.01, abs=1e-3)
    panel = LiveMapPanel(live.test_viewer)
    qtbot.addWidget(panel)
    drawn(qtbot, live, lambda: panel.controls.level.setValue(700))
    share, level = np.mean(live.picture.density > live.picture.level), live.picture.level
    assert share < 0.009
    follow(qtbot, live, folder, snapshot(4, phantom(scale=50.0)))
    assert np.mean(live.picture.density > live.picture.level) == pytest.approx(share, abs=1e-4)
    assert live.picture.level == pytest.approx(10 * level, rel=1e-3)
    drawn(qtbot, live, panel.controls.rule.click)
    assert np.mean(live.picture.density > live.picture.level) == pytest.approx(0.01, abs=1e-3)


def test_what_the_user_set_outlives_snapshots_deletion_and_the_dock(live, folder, qtbot):
    viewer = live.test_viewer
    panel = LiveMapPanel(viewer)
    qtbot.addWidget(panel)
    viewer.layers[0].colormap, viewer.layers[0].opacity = "magma", 0.6
    drawn(qtbot, live, lambda: panel.controls.level.setValue(650))
    level = live.display.level
    viewer.layers.clear()
    panel.close()
    panel.deleteLater()
    follow(qtbot, live, folder, snapshot(2, phantom(scale=3.0)))
    (layer,) = viewer.layers
    assert (layer.name, layer.colormap.name, layer.opacity) == (MAP_LAYER_NAME, "magma", pytest.approx(0.6))
    again = LiveMapPanel(viewer)
    qtbot.addWidget(again)
    assert not again.is_empty
    assert live.display.level == level
    assert not again.controls.rule.isChecked()
    assert again.controls.level.value() == pytest.approx(650, abs=1)


def test_a_layer_that_was_hidden_and_deleted_comes_back_to_be_seen(live, folder, qtbot):
    viewer = live.test_viewer
    viewer.layers[0].visible = False
    viewer.layers.remove(viewer.layers[0])
    follow(qtbot, live, folder, snapshot(2))
    assert viewer.layers[0].visible


def test_2d_shows_slices_of_the_same_map_and_3d_the_surface_again(live, folder, qtbot):
    viewer = live.test_viewer
    drawn(qtbot, live, lambda: setattr(viewer.dims, "ndisplay", 2))
    (layer,) = viewer.layers
    assert isinstance(layer, Image)
    assert layer.name == MAP_LAYER_NAME
    follow(qtbot, live, folder, snapshot(2, phantom(scale=2.0)))
    assert viewer.layers[0] is layer
    np.testing.assert_allclose(layer.data, phantom(scale=2.0))
    layer.contrast_limits = (0.5, 1.0)
    follow(qtbot, live, folder, snapshot(3, phantom(scale=20.0)))
    np.testing.assert_allclose(layer.contrast_limits, (5, 10), rtol=1e-3)  # as the map's scale grows
    drawn(qtbot, live, lambda: setattr(viewer.dims, "ndisplay", 3))
    (layer,) = viewer.layers
    assert isinstance(layer, Surface)


def test_contour_set_in_naparis_own_controls_is_taken_on(live, qtbot):
    drawn(qtbot, live, lambda: live.set_display(rendering="iso"))
    layer = live.test_viewer.layers[0]
    assert layer.rendering == "iso"
    assert layer.iso_threshold == pytest.approx(live.picture.level, rel=1e-4)
    drawn(qtbot, live, lambda: setattr(layer, "iso_threshold", 0.8))
    assert live.picture.level == pytest.approx(0.8, rel=1e-3)
    drawn(qtbot, live, lambda: live.set_display(rendering="surface"))
    vertices = live.test_viewer.layers[0].data[0].round().astype(int)
    assert phantom()[tuple(vertices.T)].min() > 0.4


def test_time_slider_goes_back_and_follows_again(live, folder, qtbot):
    for epoch in (1, 2, 3, 5):
        write_epoch(folder, epoch, phantom(scale=epoch))
    folder.append_event(Event(kind="switched", step=20, detail={"epoch": 2}))
    panel = LiveMapPanel(live.test_viewer)
    qtbot.addWidget(panel)
    qtbot.waitUntil(lambda: panel.time.maximum() == 4 and panel.time.mark is not None, timeout=10_000)
    assert panel.time.mark == 1.5  # between epochs 2 and 3
    assert panel.time.value() == 4
    drawn(qtbot, live, lambda: panel.time.setValue(2))
    assert live.session.shown_epoch == 3
    np.testing.assert_allclose(live.picture.density, phantom(scale=3), rtol=2e-3, atol=1e-3)
    assert panel.caption.text() == "Epoch 3 · auto-decoding · step 30 · 37.0 Å"
    folder.write_snapshot(snapshot(60, phantom(scale=7)))
    qtbot.waitUntil(lambda: live.session.snapshot.step == 60, timeout=10_000)
    qtbot.wait(300)
    assert live.picture.source.epoch == 3  # what was gone back to stays
    drawn(qtbot, live, panel.now.click)
    np.testing.assert_allclose(live.picture.density, phantom(scale=7))
    assert panel.caption.text() == "Epoch 6 · auto-encoding · step 60 · 20.5 Å"


def test_what_the_map_looks_like_stands_beside_it(live, folder, qtbot):
    panel = LiveMapPanel(live.test_viewer)
    qtbot.addWidget(panel)
    folder.write_status(Status(state="finished", step=1, symmetry="C1", looks_like="looks like C3 (0.98)"))
    qtbot.waitUntil(lambda: panel.now.text() == "End")
    assert panel.caption.text().endswith("20.5 Å · like C3 (0.98)")


def test_at_the_end_of_a_run_the_resolution_is_that_of_its_results(live, folder, qtbot):
    panel = LiveMapPanel(live.test_viewer)
    qtbot.addWidget(panel)
    folder.write_status(Status(state="running", step=1, resolution=None))
    qtbot.waitUntil(lambda: panel.now.text() == "Now")
    assert panel.caption.text().endswith("step 1 · 20.5 Å")
    folder.write_status(Status(state="finished", step=1, resolution=9.0))
    qtbot.waitUntil(lambda: panel.now.text() == "End")
    assert panel.caption.text().endswith("step 1 · 9.0 Å")


def test_playing_shows_every_epoch_and_ends_at_the_present(live, folder, qtbot):
    for epoch in (1, 2, 3):
        write_epoch(folder, epoch, phantom(scale=epoch))
    panel = LiveMapPanel(live.test_viewer)
    qtbot.addWidget(panel)
    qtbot.waitUntil(lambda: panel.time.maximum() == 3, timeout=10_000)
    seen = []
    live.drawn.connect(lambda picture: seen.append(picture.source.epoch))
    panel.play.click()
    qtbot.waitUntil(lambda: bool(seen) and seen[-1] is None, timeout=20_000)
    assert seen == [1, 2, 3, None]
    assert not panel.play.isChecked()


def test_epoch_that_cannot_be_read_is_told_of_and_the_map_goes_on(live, folder, qtbot):
    (folder.path / "history" / "epoch_0004.npz").write_bytes(b"torn")
    panel = LiveMapPanel(live.test_viewer)
    qtbot.addWidget(panel)
    with qtbot.waitSignal(live.failed, timeout=10_000):
        live.session.show_epoch(4)
    assert panel.caption.text().startswith("this map cannot be shown")
    drawn(qtbot, live, lambda: live.session.show_epoch(None))


def test_flip_of_the_hand_is_the_sessions_and_inverts_the_map(live, qtbot):
    panel = LiveMapPanel(live.test_viewer)
    qtbot.addWidget(panel)
    drawn(qtbot, live, panel.controls.hand.click)
    assert live.session.hand_flipped
    np.testing.assert_array_equal(live.picture.density, flip_hand(phantom()))
    # Map and poses together: every blob of the inverted map is seen where the blob was seen before.
    np.testing.assert_allclose((HAND_FLIP @ VIEW @ -BLOBS.T)[:2], (VIEW @ BLOBS.T)[:2])
    live.session.turn_to_pose(VIEW)
    np.testing.assert_allclose(live.session.view, HAND_FLIP @ VIEW, atol=1e-6)
    drawn(qtbot, live, lambda: live.session.flip_hand(False))
    assert not panel.controls.hand.isChecked()
    np.testing.assert_array_equal(live.picture.density, phantom())


def test_either_half_and_their_mean(live, folder, qtbot):
    panel = LiveMapPanel(live.test_viewer)
    qtbot.addWidget(panel)
    assert panel.controls.half.isHidden()
    halves = phantom(), np.ascontiguousarray(np.rot90(phantom(), axes=(1, 2)))  # each in its own frame
    follow(qtbot, live, folder, snapshot(2, halves[0], halves))
    assert not panel.controls.half.isHidden()
    np.testing.assert_array_equal(live.picture.density, halves[0])
    drawn(qtbot, live, lambda: live.set_display(half=2))
    np.testing.assert_array_equal(live.picture.density, halves[1])
    drawn(qtbot, live, lambda: live.set_display(half=0))
    assert live.picture.note == ""
    assert correlation(live.picture.density, halves[0]) > 0.98


def test_controls_take_a_column_where_their_row_does_not_fit(live, folder, qtbot):
    panel = LiveMapPanel(live.test_viewer)
    qtbot.addWidget(panel)
    row = panel.controls.row
    panel.resize(panel.controls.width_of_row + 20, 200)
    panel.show()
    assert row.direction() == row.Direction.LeftToRight
    follow(qtbot, live, folder, snapshot(2, phantom(), (phantom(), phantom())))  # the choice of the half is one more
    inner = panel.content.parentWidget()
    qtbot.waitUntil(lambda: row.direction() == row.Direction.TopToBottom)
    panel.resize(640, 200)  # what a laptop of 1366 pixels leaves
    qtbot.waitUntil(lambda: row.direction() == row.Direction.LeftToRight)
    qtbot.waitUntil(lambda: inner.minimumSizeHint().width() <= panel.width())
    panel.resize(panel.minimumWidth(), 300)
    qtbot.waitUntil(lambda: row.direction() == row.Direction.TopToBottom)
    qtbot.waitUntil(lambda: inner.minimumSizeHint().width() <= panel.width())


def test_another_run_starts_afresh(live, tmp_path, folder, qtbot):
    viewer = live.test_viewer
    drawn(qtbot, live, lambda: live.set_display(level=8.0))
    drawn(qtbot, live, lambda: live.session.flip_hand(True))
    other = RunFolder.create(tmp_path / "other", RunInput(particles=tmp_path / "particles.star"), Settings())
    panel = LiveMapPanel(viewer)
    qtbot.addWidget(panel)
    live.session.watch(other)
    assert panel.is_empty
    assert len(viewer.layers) == 0
    other.write_status(Status(state="running"))
    other.write_snapshot(snapshot(1, phantom(box=48), pixel_size=2.0))
    qtbot.waitUntil(lambda: live.picture is not None, timeout=20_000)
    assert not panel.is_empty
    assert live.display.level is None
    assert not live.picture.display.flipped
    np.testing.assert_allclose(viewer.layers[0].scale, 2.0)


def test_run_that_goes_on_keeps_level_and_hand(live, folder, qtbot):
    live.set_display(level=6.0)
    live.session.flip_hand(True)
    live.session.watch(RunFolder(folder.path))
    follow(qtbot, live, folder, snapshot(2))
    assert (live.display.level, live.display.flipped, live.session.hand_flipped) == (6.0, True, True)


def test_panel_without_a_run_says_what_to_do(make_napari_viewer, qtbot):
    panel = LiveMapPanel(make_napari_viewer())
    qtbot.addWidget(panel)
    assert panel.is_empty
    assert "Start a run" in panel._message.text()


def test_napari_axes_are_left_alone_where_the_user_wants_it(make_napari_viewer, folder, qtbot, monkeypatch):
    from napari_cryospin.widgets.kit.preferences import Preferences
    from napari_cryospin.widgets.live_map import map_layer

    monkeypatch.setattr(map_layer, "preferences", lambda: Preferences(orientation_as_chimerax=False))
    viewer = make_napari_viewer()
    before = viewer.camera.orientation
    live = live_map_of(viewer)
    folder.write_snapshot(snapshot(1))
    session_of(viewer).watch(folder)
    qtbot.waitUntil(lambda: live.picture is not None, timeout=20_000)
    assert viewer.camera.orientation == before


def test_what_is_told_of_two_runs_is_kept_up_to_date_while_it_is_told(live, qtbot):
    panel = LiveMapPanel(live.test_viewer)
    qtbot.addWidget(panel)
    pair = panel.tools.comparisons.pair
    pair.told.emit("other: correlation 0.5")
    assert not panel.told.isHidden()
    pair.retold.emit("other: correlation 0.5", "other: correlation 0.7")
    assert panel.told.text() == "other: correlation 0.7"
    panel.tools.told.emit("the movie was saved")
    pair.retold.emit("other: correlation 0.7", "other: correlation 0.9")
    assert panel.told.text() == "the movie was saved"


def test_slices_cut_the_map_where_their_lines_are(live, qtbot):
    panel = LiveMapPanel(live.test_viewer)
    qtbot.addWidget(panel)
    panel.show()
    panel.slices_button.click()
    front, top, _ = panel.slices._planes
    centre = BOX // 2
    np.testing.assert_array_equal(front.image.image, phantom()[centre])
    front.lines[1].setValue(centre + 7)  # y
    np.testing.assert_array_equal(top.image.image, phantom()[:, centre + 7])
    np.testing.assert_array_equal(front.image.image, phantom()[centre])
    front.turn(-10)
    np.testing.assert_array_equal(front.image.image, phantom()[centre - 10])
    again = LiveMapPanel(live.test_viewer)
    qtbot.addWidget(again)
    again.show()
    assert again.slices_button.isChecked()
    np.testing.assert_array_equal(again.slices.position, (centre, centre + 7, centre - 10))
