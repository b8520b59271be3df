"""A page of particle images, and labels whose texts have colours."""

import numpy as np
from qtpy.QtCore import QEvent, QPoint, Qt
from qtpy.QtGui import QHelpEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QToolTip

from napari_cryospin.widgets.kit.gallery import Mosaic
from napari_cryospin.widgets.kit.parts import ERROR, text_label


def test_a_click_on_an_image_chooses_it_and_a_tooltip_tells_of_it(qtbot, monkeypatch):
    mosaic, clicked, told = Mosaic(lambda row: f"no. {row}"), [], []
    qtbot.addWidget(mosaic)
    mosaic.resize(400, 300)
    mosaic.show_images(np.array([4, 7]), np.random.default_rng(0).random((2, 8, 8), np.float32))
    mosaic.clicked.connect(clicked.append)
    monkeypatch.setattr(QToolTip, "showText", lambda point, text, widget: told.append(text))
    second, beside = mosaic.place(1).center().toPoint(), QPoint(390, 290)
    for point in (second, beside):
        QTest.mouseClick(mosaic, Qt.MouseButton.LeftButton, pos=point)
        QApplication.sendEvent(mosaic, QHelpEvent(QEvent.Type.ToolTip, point, mosaic.mapToGlobal(point)))
    assert clicked == [7]
    assert told == ["particle no. 7: click to look at it", ""]


def test_a_text_takes_its_colour_and_the_next_one_that_of_the_theme(qtbot):
    label = text_label()
    qtbot.addWidget(label)
    label.show_text("refused", ERROR)
    assert (label.text(), label.colour) == ("refused", ERROR)
    assert label.styleSheet()
    label.show_text("done")
    assert (label.text(), label.colour, label.styleSheet()) == ("done", "", "")
