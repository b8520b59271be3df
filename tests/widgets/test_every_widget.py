"""What holds of every widget of the workspace, whichever panel it stands in."""

import numpy as np
import pyqtgraph as pg
import pytest
from napari.settings import get_settings
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QImage, QWheelEvent
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QScrollArea,
    QSlider,
    QTabBar,
    QWidget,
)

from napari_cryospin.widgets import bottom_row
from napari_cryospin.widgets import workspace as workspace_module
from napari_cryospin.widgets.bottom_row import BottomRow
from napari_cryospin.widgets.kit.gallery import Mosaic
from napari_cryospin.widgets.kit.particle_tiles import ParticleTiles
from napari_cryospin.widgets.kit.parts import Fold
from napari_cryospin.widgets.kit.picture_label import PictureLabel
from napari_cryospin.widgets.kit.plots import Plot
from napari_cryospin.widgets.posterior.candidate_strip import CandidateStrip
from napari_cryospin.widgets.posterior.legend import PosteriorLegend
from napari_cryospin.widgets.posterior.panel import PosteriorPanel
from napari_cryospin.widgets.session.session import session_of
from napari_cryospin.widgets.sphere.view import DirectionView
from napari_cryospin.widgets.workspace import PanelTabs, Workspace, open_workspace

PATIENCE = 60_000


def own_widgets(viewer):
    """All widgets in the docks of the workspace."""
    return [widget for panel in viewer.window.dock_widgets.values() for widget in panel.findChildren(QWidget)]


@pytest.fixture
def filled(make_napari_viewer, qtbot, finished_run, tiny_particles, monkeypatch):
    """A viewer with every panel made and filled: particles are open, a run is shown, everything is unfolded."""
    for module in (workspace_module, bottom_row):
        monkeypatch.setattr(module, "is_large", lambda widget: True)
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1600, 1000)
    column = open_workspace(viewer)
    session = session_of(viewer)
    column.panel("Particles").opener.open_files([tiny_particles.particles])
    column.panel("Run").control.attach(finished_run.path)
    qtbot.waitUntil(lambda: session.particles is not None and session.snapshot is not None, timeout=PATIENCE)
    for tabs in (column, column.window().findChild(BottomRow).tabs):
        show_every_tab(tabs, qtbot)
    for widget in own_widgets(viewer):
        if isinstance(widget, Fold):
            widget.set_open(True)
    qtbot.wait(100)
    yield viewer
    session.close()


def show_every_tab(tabs: PanelTabs, qtbot) -> None:
    for index in range(tabs.count()):
        tabs.setCurrentIndex(index)
        qtbot.wait(50)


def turn_wheel(widget: QWidget) -> None:
    """Turn the wheel over a widget, as Qt hands it on: to its parents where it is ignored."""
    place = QPointF(widget.rect().center())
    event = QWheelEvent(
        place,
        QPointF(widget.mapToGlobal(place.toPoint())),
        QPoint(0, 0),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)


def value_of(widget):
    if isinstance(widget, QComboBox | QTabBar):
        return widget.currentIndex()
    return widget.text() if isinstance(widget, QAbstractSpinBox) else widget.value()


def test_the_wheel_changes_no_value_even_after_a_click(filled):
    kinds = (QComboBox, QAbstractSpinBox, QSlider, QTabBar)
    widgets = [widget for widget in own_widgets(filled) if isinstance(widget, kinds)]
    assert len(widgets) > 30
    for widget in widgets:
        before = value_of(widget)
        widget.setFocus()
        turn_wheel(widget)
        assert value_of(widget) == before, widget.toolTip()


def look_at(widget: QWidget) -> QImage:
    """Scroll to a widget, and return what is seen of it in its window; transparent parts show what lies beneath."""
    above = widget.parentWidget()
    while above is not None:
        if isinstance(above, QScrollArea):
            above.ensureWidgetVisible(widget)
        above = above.parentWidget()
    window = widget.window()
    seen = widget.visibleRegion().boundingRect()
    seen.moveTopLeft(widget.mapTo(window, seen.topLeft()))
    return window.grab(seen).toImage().convertToFormat(QImage.Format.Format_RGB888)


def contrast(widget: QWidget) -> float:
    """Measure the contrast of a widget's text by WCAG 2.1: of its most frequent colour and the one farthest from it."""
    image = look_at(widget)
    rows = np.frombuffer(image.constBits().asstring(image.sizeInBytes()), np.uint8).reshape(image.height(), -1)
    colours, counts = np.unique(rows[:, : 3 * image.width()].reshape(-1, 3), axis=0, return_counts=True)
    linear = np.where(colours <= 0.03928 * 255, colours / 255 / 12.92, ((colours / 255 + 0.055) / 1.055) ** 2.4)
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    background = luminance[counts.argmax()]
    return float(np.max((np.maximum(luminance, background) + 0.05) / (np.minimum(luminance, background) + 0.05)))


def texts_of(viewer):
    """All visible labels with a text, and all buttons that can be pressed."""
    for widget in own_widgets(viewer):
        text = getattr(widget, "text", None)
        counts = isinstance(widget, QLabel) or (isinstance(widget, QAbstractButton) and widget.isEnabled())
        if counts and text is not None and widget.text().strip() and widget.isVisible() and not widget.rect().isEmpty():
            yield widget


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_every_text_has_the_contrast_that_wcag_asks(filled, qtbot, theme):
    viewer = filled
    viewer.theme = theme
    seen, column, low = set(), viewer.window._qt_window.findChild(Workspace), []
    for tabs in (column, column.window().findChild(BottomRow).tabs):
        for index in range(tabs.count()):
            tabs.setCurrentIndex(index)
            qtbot.wait(300)
            for widget in texts_of(viewer):
                if widget not in seen:
                    seen.add(widget)
                    measured = contrast(widget)
                    if measured < 4.5:
                        low.append(f"{measured:.1f} {type(widget).__name__}: {widget.text()[:60]}")
    assert len(seen) > 60
    assert not low, "\n".join(low)


def test_every_widget_that_has_the_focus_is_seen_to_have_it(filled, qtbot):
    viewer, unmarked, seen = filled, [], 0
    column = viewer.window._qt_window.findChild(Workspace)
    QApplication.setActiveWindow(column.window())  # The virtual screen has no window manager that would do so.
    for tabs in (column, column.window().findChild(BottomRow).tabs):
        for index in range(tabs.count()):
            tabs.setCurrentIndex(index)
            qtbot.wait(300)
            for widget in tabs.findChildren(QWidget):
                takes = widget.focusPolicy() & Qt.FocusPolicy.TabFocus and widget.isEnabled() and widget.isVisible()
                if not takes or widget.focusProxy() is not None:
                    continue
                column.window().setFocus()
                before = look_at(widget)
                widget.setFocus(Qt.FocusReason.TabFocusReason)
                seen += widget.hasFocus()
                if widget.hasFocus() and look_at(widget) == before:
                    unmarked.append(f"{type(widget).__name__}: {widget.toolTip()[:60]}")
    assert seen > 40
    assert not unmarked, "\n".join(unmarked)


def test_every_control_has_a_tooltip(filled):
    kinds = (QAbstractButton, QComboBox, QAbstractSpinBox, QSlider, QLineEdit, QPlainTextEdit)
    bare = []
    for widget in own_widgets(filled):
        parent = widget.parentWidget()
        inner = isinstance(parent, QComboBox | QAbstractSpinBox | QTabBar) or widget.objectName().startswith("qt_")
        if isinstance(widget, kinds) and not inner and not widget.toolTip():
            bare.append(f"{type(widget).__name__} {getattr(widget, 'text', str)()!r} in {type(parent).__name__}")
    assert not bare, "\n".join(bare)


@pytest.fixture
def font_size():
    """Sets the size of texts in napari's Preferences, which is as before afterwards."""
    appearance = get_settings().appearance
    before = appearance.font_size
    yield lambda points: setattr(appearance, "font_size", points)
    appearance.font_size = before


def test_texts_have_the_size_that_is_set_in_preferences(filled, qtbot, font_size):
    kinds = (QLabel, QAbstractButton, QComboBox, QAbstractSpinBox, QLineEdit, QPlainTextEdit, QTabBar, PictureLabel)
    painted = (DirectionView, PosteriorLegend, CandidateStrip, ParticleTiles, Mosaic)
    widgets = [widget for widget in own_widgets(filled) if isinstance(widget, kinds + painted)]
    plots = [widget for widget in own_widgets(filled) if isinstance(widget, Plot)]
    legend = next(widget for widget in widgets if isinstance(widget, PosteriorLegend))
    usual, low = legend.height(), []
    assert len(widgets) > 150
    assert len(plots) > 8
    for points in (14, 9):
        font_size(points)
        qtbot.wait(300)
        low += [f"{points}: {type(one).__name__} {one.toolTip()[:50]}" for one in widgets if off(one.font(), points)]
        for plot in plots:
            assert plot.getAxis("bottom").style["tickFont"].pointSizeF() == points - 2
            assert plot.plotItem.titleLabel.opts["size"] == f"{points - 1}pt"
            texts = [item for item in plot.scene().items() if isinstance(item, pg.TextItem)]
            assert {item.textItem.font().pointSizeF() for item in texts} <= {points - 2, points - 1}
        assert legend.height() == round(usual * points / 9)
    assert not low, "\n".join(low)


def test_a_panel_that_is_made_later_has_that_size_too(make_napari_viewer, qtbot, font_size):
    font_size(15)
    viewer = make_napari_viewer(show=True)
    panel = PosteriorPanel(viewer)
    viewer.window.add_dock_widget(panel)
    panel.show_content()
    qtbot.wait(50)
    for part in (panel.strip, panel.strip.particle, panel.legend, panel.views.sphere):
        assert part.font().pointSizeF() == 15
    assert panel.strip.particle.width() > 80


def off(font, points):
    """Whether a font is not of a size in Preferences; napari makes some texts larger or smaller by one."""
    return not points - 1 <= font.pointSizeF() <= points + 1
