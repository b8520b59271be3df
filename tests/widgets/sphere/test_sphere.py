"""Globe, flat map and zoom: cells and markers stand where their directions say; a click tells what was meant."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QColor, QImage, QPainter
from qtpy.QtWidgets import QDockWidget, QMainWindow

from napari_cryospin.geometry.sphere_cells import direction_of, healpix_cells, pixel_of
from napari_cryospin.views.pose_path import PosePath
from napari_cryospin.views.posterior.answers import ZOOM_LINE, ZOOM_POINTS, Zoom, patch_axes, patch_directions
from napari_cryospin.widgets.kit.colours import SWITCH_COLOUR, head_colour
from napari_cryospin.widgets.sphere.flat_map import MollweideView
from napari_cryospin.widgets.sphere.globe import Sphere, turn_about
from napari_cryospin.widgets.sphere.scene import REGION_COLOURS, DirectionScene, Marker, colours_of
from napari_cryospin.widgets.sphere.zoom import ZoomView

BRIGHTEST = REGION_COLOURS[0]


def peaked(direction, markers=(), path=None, width=4.0):
    """Posterior around one direction, degrees."""
    cosine = np.clip(healpix_cells(8).centres @ direction, -1, 1)
    values = -0.5 * (np.degrees(np.arccos(cosine)) / width) ** 2
    return DirectionScene(values - np.log(np.exp(values).sum()), tuple(markers), path or PosePath())


def centre_of(direction):
    return healpix_cells(8).centres[pixel_of(direction, 8)]


def colour_at(image, point):
    ratio = image.devicePixelRatio()
    colour = image.pixelColor(round(point[0] * ratio), round(point[1] * ratio))
    return np.array([colour.red(), colour.green(), colour.blue()])


def rgb(name):
    colour = QColor(name)
    return np.array([colour.red(), colour.green(), colour.blue()])


def painted(view):
    image = QImage(view.size(), QImage.Format.Format_RGB32)
    image.fill(QColor("black"))
    painter = QPainter(image)
    view.paint(painter)
    painter.end()
    return image


@pytest.fixture
def globe(qtbot):
    globe = Sphere()
    qtbot.addWidget(globe)
    globe.resize(400, 340)
    globe.show()
    qtbot.waitExposed(globe)
    return globe


@pytest.mark.parametrize(("rot", "tilt"), [(30, 50), (-120, 160), (75, 92)])
def test_brightest_cell_of_the_globe_stands_where_its_direction_is_seen(globe, rot, tilt):
    direction = centre_of(direction_of(rot, tilt))
    globe.show_scene(peaked(direction))
    # Seen from the side: a mirrored or transposed globe would show it elsewhere.
    view = turn_about((0.3, 1, 0.2), 0.5)
    globe.face(direction, upright=True)
    globe.turn(view @ globe.rotation)
    (place,), (facing,) = globe.overlay.project(direction[None])
    assert facing
    np.testing.assert_allclose(colour_at(globe.picture(), place), BRIGHTEST, atol=12)
    mirrored = (globe.width() - place[0], place[1])
    assert np.abs(colour_at(globe.picture(), mirrored) - BRIGHTEST).max() > 60
    globe.face(-direction)
    assert np.abs(colour_at(globe.picture(), (200, 170)) - BRIGHTEST).max() > 60


@pytest.mark.parametrize("width", [3.0, 10.0, 60.0])
def test_a_colour_means_the_same_share_of_the_probability_for_every_particle(width):
    scene = peaked(direction_of(31.3, 52.1), width=width)
    probability = np.exp(scene.log_posterior.astype(float))
    colours = colours_of(scene.log_posterior, scene.levels)
    inside = np.zeros(len(colours), dtype=bool)
    for colour, share in zip(REGION_COLOURS, (0.5, 0.9, 0.99), strict=False):
        inside |= (colours == colour).all(-1)
        assert probability[inside].sum() >= share - 1e-6
        assert probability[inside].sum() - share <= probability[inside].min() + 1e-6  # no larger than it must be


def test_globe_is_seen_under_the_rotation_of_the_conventions(globe):
    globe.turn(np.eye(3))
    places, facing = globe.overlay.project(np.eye(3))
    assert places[0, 0] > 300  # x to the right
    assert places[1, 1] < 50  # y upwards
    np.testing.assert_allclose(places[2], (200, 170), atol=1)  # z towards the user
    assert facing[2]


def test_click_on_the_globe_tells_the_direction(globe, qtbot):
    direction = direction_of(40, 70)
    globe.show_scene(peaked(direction))
    globe.turn(turn_about((1, 2, 3), 1.1))
    globe.face(turn_about((0, 0, 1), 0.3) @ direction)
    (place,), _ = globe.overlay.project(direction[None])
    with qtbot.waitSignal(globe.clicked) as clicked:
        qtbot.mouseClick(globe.overlay, Qt.MouseButton.LeftButton, pos=QPointF(*place).toPoint())
    assert clicked.args[0] @ direction > np.cos(np.radians(1))
    assert globe.overlay.direction_at(QPointF(2, 2)) is None


def test_drag_takes_the_globe_along(globe, qtbot):
    direction = direction_of(10, 80)
    globe.show_scene(peaked(direction))
    globe.face(direction)
    with qtbot.waitSignal(globe.turned):
        qtbot.mousePress(globe.overlay, Qt.MouseButton.LeftButton, pos=QPoint(200, 170))
        qtbot.mouseMove(globe.overlay, QPoint(230, 150))
        qtbot.mouseRelease(globe.overlay, Qt.MouseButton.LeftButton, pos=QPoint(230, 150))
    (place,), _ = globe.overlay.project(direction[None])
    assert place[0] > 210  # to the right, as the mouse went
    assert place[1] < 165  # and upwards
    np.testing.assert_allclose(globe.rotation @ globe.rotation.T, np.eye(3), atol=1e-9)


def test_markers_stand_on_their_directions_and_are_dim_behind_the_globe(globe):
    front, behind = direction_of(20, 60), direction_of(150, 95)
    markers = [Marker(front, "head", "head 1", 0, True), Marker(behind, "head", "head 3", 2)]
    globe.show_scene(peaked(direction_of(-100, 90), markers))
    globe.face(turn_about((0, 0, 1), 0.2) @ front)
    (first, second), facing = globe.overlay.project(np.stack([front, behind]))
    assert facing.tolist() == [True, False]
    picture = globe.picture()
    left = (-5.5, 0)  # beside the number
    np.testing.assert_allclose(colour_at(picture, first + np.array(left)), rgb(head_colour(0)), atol=25)
    np.testing.assert_allclose(colour_at(picture, first + np.array([0, -10])), (255,) * 3, atol=40)  # the ring
    assert np.abs(colour_at(picture, second) - rgb(head_colour(2))).max() > 60
    assert globe.overlay.tip_at(QPointF(*first)).startswith("head 1\nrot 20.")
    assert "head 3" not in globe.overlay.tip_at(QPointF(*second))


def test_floating_dock_draws_the_globe_again(qtbot):
    window, dock, globe = QMainWindow(), QDockWidget(), Sphere()
    qtbot.addWidget(window)
    dock.setWidget(globe)
    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
    window.resize(600, 400)
    window.show()
    qtbot.waitExposed(window)
    direction = centre_of(direction_of(30, 50))
    globe.face(direction)
    globe.show_scene(peaked(direction))

    def seen():
        middle = globe.mapToGlobal(globe.rect().center())
        image = globe.screen().grabWindow(0).toImage()
        np.testing.assert_allclose(colour_at(image, (middle.x() + 5, middle.y() + 3)), BRIGHTEST, atol=12)

    qtbot.waitUntil(lambda: seen() or True, timeout=5000)
    for floating in (True, False):
        dock.setFloating(floating)
        qtbot.waitUntil(lambda: seen() or True, timeout=5000)


def test_flat_map_shows_the_brightest_cell_and_tells_what_was_clicked(qtbot):
    flat, direction = MollweideView(), centre_of(direction_of(100, 35))
    qtbot.addWidget(flat)
    flat.resize(500, 260)
    path = PosePath(np.arange(3), np.stack([direction_of(-60, tilt) for tilt in (70, 90, 110)]), np.arange(3) > 1)
    flat.show_scene(peaked(direction, [Marker(direction_of(0, 90), "head", "head 2", 1)], path))
    picture = painted(flat)
    (place, head, switch), _ = flat.project(np.stack([direction, direction_of(0, 90), direction_of(-60, 90)]))
    np.testing.assert_allclose(colour_at(picture, place), BRIGHTEST, atol=12)
    np.testing.assert_allclose(head, (250, 130), atol=1)
    np.testing.assert_allclose(colour_at(picture, head + np.array([-5.5, 0])), rgb(head_colour(1)), atol=25)
    np.testing.assert_allclose(colour_at(picture, switch), rgb(SWITCH_COLOUR), atol=25)
    assert place[0] > 250  # rot grows to the right
    assert place[1] < 130  # north is up
    np.testing.assert_allclose(flat.direction_at(QPointF(*place)), direction, atol=1e-3)


def test_zoom_stands_north_up_on_its_centre(qtbot):
    zoom_view, centre = ZoomView(), direction_of(40, 60)
    qtbot.addWidget(zoom_view)
    zoom_view.resize(360, 360)
    axes = patch_axes(centre)
    peak = direction_of(45, 56)  # east and north of the centre
    values = 2e3 * (patch_directions(centre, axes) @ peak - 1)
    zoom = Zoom(
        particle=0,
        log_posterior=(values - np.log(np.exp(values).sum())).reshape(ZOOM_POINTS, ZOOM_POINTS),
        centre=centre,
        axes=axes,
        rotation=np.eye(3),
        shift=np.zeros(2),
    )
    zoom_view.show_scene(peaked(peak))
    assert zoom_view.direction_at(QPointF(180, 180)) is None
    zoom_view.show_zoom(zoom)
    (place, far), (inside, _) = zoom_view.project(np.stack([peak, -centre]))
    assert inside
    assert not np.isfinite(far).any()
    assert place[0] > zoom_view.frame.center().x()
    assert place[1] < zoom_view.frame.center().y()
    np.testing.assert_allclose(colour_at(painted(zoom_view), place + 4), BRIGHTEST, atol=12)
    np.testing.assert_allclose(zoom_view.direction_at(QPointF(*place)), peak, atol=1e-9)
    assert ZOOM_LINE[1] - ZOOM_LINE[0] <= 0.5  # a grid of its own, not magnified cells
