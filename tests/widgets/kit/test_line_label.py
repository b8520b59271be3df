"""A label of one line: it never widens its panel, shows what fits, and keeps the whole text."""

import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QHelpEvent
from qtpy.QtWidgets import QApplication, QHBoxLayout, QToolTip, QWidget

from napari_cryospin.widgets.kit.line_label import LineLabel
from napari_cryospin.widgets.kit.parts import WARNING

LONG = "spliceosome_fitted_to_the_map.mrc: correlation 0.97, FSC 0.5 at 17.8 Å"


@pytest.fixture
def window(qtbot):
    window = QWidget()
    qtbot.addWidget(window)
    window.label = label = LineLabel(LONG)
    QHBoxLayout(window).addWidget(label)
    window.resize(200, 60)
    with qtbot.waitExposed(window):
        window.show()
    return window


def tip(label):
    """The tooltip that a user sees."""
    QToolTip.hideText()
    event = QHelpEvent(QHelpEvent.Type.ToolTip, QPoint(3, 3), label.mapToGlobal(QPoint(3, 3)))
    QApplication.sendEvent(label, event)
    return QToolTip.text()


def test_what_does_not_fit_is_left_out_and_told_by_the_tooltip(window, qtbot):
    label = window.label
    assert window.width() == 200
    assert label.seen.endswith("…")
    assert label.fontMetrics().horizontalAdvance(label.seen) <= label.width()
    assert label.text() == LONG
    assert tip(label) == LONG
    label.setToolTip("how well they agree")
    assert tip(label) == f"{LONG}\nhow well they agree"
    narrow = label.grab().toImage()
    label.tint(WARNING, True)
    assert label.grab().toImage() != narrow
    window.resize(1200, 60)
    qtbot.waitUntil(lambda: label.seen == LONG)
    assert tip(label) == "how well they agree"


def test_the_middle_of_a_name_may_be_left_out(window):
    """Names of runs often differ at their ends."""
    window.label.left_out = Qt.TextElideMode.ElideMiddle
    start, end = window.label.seen.split("…")
    assert start
    assert end
    assert LONG.startswith(start)
    assert LONG.endswith(end)


def test_lines_become_one(window):
    label = window.label
    label.setText("first\nsecond")
    assert label.text() == "first second"
