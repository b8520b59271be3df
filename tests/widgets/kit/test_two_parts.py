"""Two parts of a panel: side by side where both fit, otherwise one at a time, and never wider than the panel."""

import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QScrollArea, QWidget

from napari_cryospin.widgets.kit.two_parts import TwoParts


class Part(QWidget):
    def minimumSizeHint(self):
        return super().minimumSizeHint().expandedTo(self.minimumSize())


@pytest.fixture
def area(qtbot):
    parts = Part(), Part()
    for part in parts:
        part.setMinimumSize(200, 50)
    area = QScrollArea()
    qtbot.addWidget(area)
    area.setWidgetResizable(True)
    area.setWidget(TwoParts(parts, ("One", "Two"), ("the first", "the second"), widths=(1, 2)))
    area.resize(900, 200)
    with qtbot.waitExposed(area):
        area.show()
    return area


def seen(area):
    return [part.isVisible() for part in area.widget().parts]


def test_parts_share_the_width_or_take_turns(area, qtbot):
    both = area.widget()
    assert seen(area) == [True, True]
    assert both.tabs.isHidden()
    assert both.parts[1].width() > 1.5 * both.parts[0].width()
    area.resize(330, 200)
    qtbot.waitUntil(lambda: seen(area) == [True, False])
    assert area.horizontalScrollBar().maximum() == 0
    QTest.mouseClick(both.tabs, Qt.MouseButton.LeftButton, pos=QPoint(both.tabs.tabRect(1).center()))
    assert seen(area) == [False, True]
    area.resize(900, 200)
    qtbot.waitUntil(lambda: seen(area) == [True, True])
