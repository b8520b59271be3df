"""Plots: what is saved can be read again, colours follow the theme, what is hidden is not drawn, layouts fit."""

import csv
from itertools import count as counting
from xml.etree import ElementTree

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QObject, QPointF, Qt
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_cryospin.geometry.sphere_cells import direction_of, pixel_of
from napari_cryospin.views.sphere_pictures import prepare_sphere_map
from napari_cryospin.widgets.kit.colours import Theme
from napari_cryospin.widgets.kit.curve_plot import BarPlot, Curve, CurvePlot, Mark
from napari_cryospin.widgets.kit.multiples import Multiples
from napari_cryospin.widgets.kit.redraw import Redraw
from napari_cryospin.widgets.sphere.map_places import arrange
from napari_cryospin.widgets.sphere.sphere_map import SphereMaps, round_up

DARK = Theme(background="#262930", foreground="#414851", text="#f0f1f2", highlight="#6a7380", dark=True)


@pytest.fixture
def plot(qtbot):
    plot = CurvePlot("Loss (noise units)")
    qtbot.addWidget(plot)
    plot.set_theme(DARK)
    plot.set_x_name("epoch")
    plot.set_curves(
        [
            Curve(name="loss (noise units)", x=np.array([1.0, 2.0, 3.0]), y=np.array([9.0, 4.0, 1.0])),
            Curve(name="other (Å)", x=np.array([2.0]), y=np.array([0.5])),
        ]
    )
    plot.resize(320, 200)
    plot.show()
    return plot


def rows(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.reader(file))


def test_numbers_are_saved_with_units(plot, tmp_path):
    assert rows(plot.save(tmp_path / "loss.csv")) == [
        ["epoch", "loss (noise units)", "other (A)"],
        ["1", "9", ""],
        ["2", "4", "0.5"],
        ["3", "1", ""],
    ]


def test_pictures_are_white_and_the_plot_stays_dark(plot, tmp_path):
    image = QImage(str(plot.save(tmp_path / "loss.png")))
    assert (image.width(), image.height()) == (960, 600)
    assert image.pixelColor(3, 597).name() == "#ffffff"
    assert plot.backgroundBrush().color().name() == DARK.background
    svg = plot.save(tmp_path / "loss.svg")
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")
    assert "epoch" in svg.read_text()


def test_saving_asks_where_and_says_what_went_wrong(plot, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("napari_cryospin.widgets.kit.plots.show_error", said.append)
    answer = str(tmp_path / "no folder" / "a")
    monkeypatch.setattr("napari_cryospin.widgets.kit.plots.QFileDialog.getSaveFileName", lambda *_: (answer, ""))
    for kind in ("csv", "png", "svg"):
        plot.ask_and_save(kind)
    assert len(said) == 3
    monkeypatch.setattr(
        "napari_cryospin.widgets.kit.plots.QFileDialog.getSaveFileName", lambda *_: (str(tmp_path / "b"), "")
    )
    plot.ask_and_save("csv")
    assert (tmp_path / "b.csv").exists()


def test_a_resolution_axis_reads_in_angstrom_and_is_saved_in_angstrom(qtbot, tmp_path):
    plot = CurvePlot("Resolution (A)", resolution=("left",))
    qtbot.addWidget(plot)
    axis = plot.getAxis("left")
    (_, ticks), *_ = axis.tickValues(0.01, 0.2, 150)
    assert axis.tickStrings(ticks, 1, 1)[0] == "100"
    assert (np.diff(ticks) > 0).all()
    plot.set_x_name("epoch")
    plot.set_curves([Curve(name="resolution (A)", x=np.array([1.0, 2.0]), y=1 / np.array([20.0, 8.0]))])
    assert rows(plot.save(tmp_path / "r.csv"))[1:] == [["1", "20"], ["2", "8"]]
    assert "resolution (A): 8" in plot.readout(1.9, 0.1)


@pytest.mark.parametrize("whole", [True, False])
def test_epochs_are_labelled_by_whole_numbers_alone(plot, whole):
    plot.set_x_name("optics group, in the order of the input" if whole else "time (min)")
    axis = plot.getAxis("bottom")
    for end in (1.5, 4.2, 60.0):
        places = [float(place) for _, ticks in axis.tickValues(0.0, end, 300) for place in ticks]
        assert len(places) >= 2
        assert all(place.is_integer() for place in places) == (whole or end == 60.0)


def test_a_narrow_range_of_resolutions_has_two_labels(qtbot):
    plot = CurvePlot("Resolution (A)", resolution=("left",))
    qtbot.addWidget(plot)
    axis = plot.getAxis("left")
    for low, high in ((1 / 101, 1 / 99), (1 / 33.1, 1 / 32.9), (-0.001, 0.001)):
        (_, ticks), *_ = axis.tickValues(low, high, 100)
        assert len(ticks) == (1 if low < 0 else 2)
        labels = axis.tickStrings(ticks, 1, 1)
        assert len(set(labels)) == len(ticks)
        assert all(low < 1 / float(label) < high for label in labels)


def test_marks_stand_where_they_were_put_and_go_again(plot):
    plot.set_marks([Mark(2.5, "switch")])
    assert [line.value() for line in plot._mark_lines] == [2.5]
    plot.set_theme(DARK)
    behind = plot._mark_lines[0].label.fill.color()  # Curves that cross the word hardly show.
    assert (behind.name(), behind.alpha() > 150) == (DARK.background, True)
    plot.set_marks([])
    assert plot._mark_lines == []


def test_a_part_that_was_chosen_by_hand_stays(plot):
    plot.set_range(x=(0, 10))
    np.testing.assert_allclose(plot.viewRange()[0], (0, 10))
    plot.plotItem.vb.sigRangeChangedManually.emit([True, True])
    plot.set_range(x=(0, 20))
    np.testing.assert_allclose(plot.viewRange()[0], (0, 10))
    plot.show_all()
    plot.set_range(x=(0, 20))
    np.testing.assert_allclose(plot.viewRange()[0], (0, 20))


def test_bars_have_names_numbers_and_tips(qtbot, tmp_path):
    plot = BarPlot("Particles won (%)", "head", lambda bar: f"bar {bar}")
    qtbot.addWidget(plot)
    plot.set_bars(["1", "2", "sample"], np.array([40.0, 60.0, 5.25]), ["#111111", "#222222", "#333333"])
    assert [number.toPlainText() for number in plot._numbers] == ["40", "60", "5.2"]
    assert [plot.readout(x, 1) for x in (0, 1, 2, 1.5)] == ["bar 0", "bar 1", "bar 2", ""]
    plot.set_bars(["1"], np.array([100.0]), ["#111111"])
    assert [number.isVisible() for number in plot._numbers] == [True, False, False]
    assert rows(plot.save(tmp_path / "b.csv")) == [["head", "Particles won (%)"], ["1", "100"]]


def test_what_is_hidden_is_not_drawn_until_it_is_seen(qtbot, plot):
    drawn = []
    redraw = Redraw(plot, lambda: drawn.append(1), every=50)
    plot.hide()
    for _ in range(5):
        redraw.request()
    qtbot.wait(120)
    assert not drawn
    plot.show()
    qtbot.waitUntil(lambda: len(drawn) == 1)
    for _ in range(20):
        redraw.request()
    qtbot.wait(200)
    assert len(drawn) == 2  # often asked, drawn once


def test_news_of_several_panels_are_drawn_with_one_painting_of_the_window(qtbot):
    window = QWidget()
    qtbot.addWidget(window)
    row, painted = QHBoxLayout(window), []
    plots = [CurvePlot(str(number)) for number in range(4)]
    for plot in plots:
        row.addWidget(plot)
    window.resize(900, 220)
    window.show()
    qtbot.waitExposed(window)

    drawn = counting()

    def draw() -> None:
        news = next(drawn)
        for plot in plots:
            x = np.arange(3.0)
            plot.set_curves([Curve(name="loss", x=x, y=x + news)])
            plot.set_range(x=(0, 3 + news), y=(0, 9))

    redraw = Redraw(window, draw, news_every=0)
    paintings = Paintings(painted)
    window.installEventFilter(paintings)
    counts = []
    for _ in range(5):
        painted.clear()
        redraw.request_for_news()
        qtbot.waitUntil(lambda: bool(painted))
        qtbot.wait(150)
        counts.append(len(painted))
    # A busy machine paints a window once more now and then; a layout after the painting would do so each time.
    assert min(counts) == 1, counts


class Paintings(QObject):
    """Notes each painting of a window."""

    def __init__(self, painted: list[int]) -> None:
        super().__init__()
        self.painted = painted

    def eventFilter(self, window: QObject | None, event: QEvent | None) -> bool:
        if event is not None and event.type() == QEvent.Type.UpdateRequest:
            self.painted.append(1)
        return False


@pytest.mark.parametrize(
    ("size", "columns"), [((900, 220), 5), ((500, 220), 0), ((880, 420), 3), ((320, 900), 2), ((200, 150), 0)]
)
def test_plots_stand_side_by_side_where_there_is_room(qtbot, size, columns):
    plots = [CurvePlot(str(number)) for number in range(5)]
    multiples = Multiples(plots, [str(number) for number in range(5)], widths=(4, 4, 4, 4, 5))
    qtbot.addWidget(multiples)
    multiples.resize(*size)
    multiples.show()
    assert multiples.columns == columns
    assert len(multiples.shown) == (5 if columns else 1)
    if not columns:
        multiples.tabs.setCurrentIndex(3)
        assert multiples.shown == (plots[3],)


@pytest.fixture
def sphere(qtbot):
    prepare_sphere_map(4)
    sphere = SphereMaps("Particles")
    qtbot.addWidget(sphere)
    sphere.set_theme(DARK)
    sphere.resize(500, 250)
    sphere.show()
    qtbot.waitExposed(sphere)
    return sphere


def test_the_brightest_cell_stands_where_its_direction_is(qtbot, sphere):
    direction = direction_of(30, 50)  # right of the centre and above it: rot grows to the right
    counts = np.ones(192)
    counts[pixel_of(direction, 4)] = 50
    sphere.set_maps([""], counts[None])
    sphere.set_marker(None)
    qtbot.wait(100)
    picture = sphere.grab().toImage()
    colours = {(x, y): picture.pixelColor(x, y).getRgb() for x in range(440) for y in range(picture.height())}
    bright = [place for place, (red, green, blue, _) in colours.items() if red > 230 and green > 200 and blue < 90]
    column, row = np.mean(bright, axis=0)
    place = sphere._places[0]
    spot = sphere.mapFromScene(sphere.plotItem.vb.mapViewToScene(_point(sphere._spots(direction[None], place)[0])))
    assert abs(column - spot.x()) < 12
    assert abs(row - spot.y()) < 12
    assert spot.x() > 220
    assert spot.y() < 125


def test_a_click_tells_the_direction_under_the_mouse(qtbot, sphere):
    sphere.set_maps(["a", "b"], np.ones((2, 192)))
    direction = direction_of(-70, 120)
    place = sphere._places[1]
    spot = sphere.mapFromScene(sphere.plotItem.vb.mapViewToScene(_point(sphere._spots(direction[None], place)[0])))
    with qtbot.waitSignal(sphere.direction_clicked) as heard:
        qtbot.mouseClick(sphere.viewport(), Qt.MouseButton.LeftButton, pos=spot)
    assert heard.args[0] @ direction > np.cos(np.radians(3))
    assert "b" in sphere.readout(place.center().x(), place.center().y())


def test_maps_are_saved_cell_by_cell(sphere, tmp_path):
    sphere.set_maps(["head 1", "head 2"], np.stack([np.full(192, 3.0), np.full(192, np.nan)]))
    table = rows(sphere.save(tmp_path / "s.csv"))
    assert table[0][1:] == ["rot (degrees)", "tilt (degrees)", "head 1: Particles", "head 2: Particles"]
    assert len(table) == 193
    assert table[1][3:] == ["3", ""]


def test_maps_fill_the_room_and_do_not_overlap():
    for count in (1, 4, 7, 15):
        places = arrange(count, 500.0, 200.0)
        assert len(places) == count
        for index, place in enumerate(places):
            assert place.left() >= 0
            assert place.right() <= 500
            assert place.top() >= 0
            assert place.bottom() <= 200
            assert not any(place.intersects(other) for other in places[index + 1 :])
    np.testing.assert_allclose([round_up(value) for value in (0, 24, 66.7, 0.13)], [1, 24, 80, 0.16])


def _point(place):
    return QPointF(*place)


@pytest.mark.parametrize("size", [(900, 220), (200, 150)])
def test_a_plot_that_has_nothing_to_show_is_left_out(qtbot, size):
    plots = [CurvePlot(str(number)) for number in range(3)]
    multiples = Multiples(plots, ["a", "b", "c"])
    qtbot.addWidget(multiples)
    multiples.resize(*size)
    multiples.show()
    whole, columns = multiples.shown, multiples.columns
    multiples.tabs.setCurrentIndex(1)
    multiples.leave_out([plots[1]])
    assert plots[1].isHidden()
    assert not multiples.tabs.isTabVisible(1)
    assert multiples.columns == max(columns - 1, 0)
    assert len(multiples.shown) == max(len(whole) - 1, 1)
    multiples.leave_out([])
    assert len(multiples.shown) == len(whole)
    assert multiples.columns == columns
