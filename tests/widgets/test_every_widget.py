"""What holds of every widget of the workspace, whichever panel it stands in."""

import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QAbstractSpinBox, QApplication, QComboBox, QSlider, QTabBar, QWidget

from napari_cryospin.widgets import workspace as workspace_module
from napari_cryospin.widgets.kit.parts import Fold
from napari_cryospin.widgets.session.session import session_of
from napari_cryospin.widgets.workspace import BottomRow, PanelTabs, open_workspace

PATIENCE = 60_000


def own_widgets(viewer):
    """All widgets in the docks of the workspace."""
    return [widget for panel in viewer.window.dock_widgets.values() for widget in panel.findChildren(QWidget)]


@pytest.fixture
def filled(make_napari_viewer, qtbot, finished_run, tiny_particles, monkeypatch):
    """A viewer with every panel made and filled: particles are open, a run is shown, everything is unfolded."""
    monkeypatch.setattr(workspace_module, "is_large", lambda widget: True)
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
