"""The mouse in a plot."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication


def drag(plot: Any, *corners: tuple[float, float]) -> None:
    """Press at the first of some places (in the plot's coordinates), move over the others, let go at the last."""
    places = [plot.mapFromScene(plot.plotItem.vb.mapViewToScene(QPointF(*corner))) for corner in corners]
    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    steps = [(QEvent.Type.MouseButtonPress, places[0], left)]
    steps += [(QEvent.Type.MouseMove, place, none) for place in places[1:]]
    steps += [(QEvent.Type.MouseButtonRelease, places[-1], left)]
    for kind, place, button in steps:
        where = QPointF(place)
        event = QMouseEvent(kind, where, QPointF(plot.mapToGlobal(place)), button, left, Qt.KeyboardModifier.NoModifier)
        QApplication.sendEvent(plot.viewport(), event)
