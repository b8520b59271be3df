"""Legend of the colours and markers of a particle's posterior."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QEvent, QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent, QPen, QResizeEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_cryospin.widgets.kit.colours import SWITCH_COLOUR
from napari_cryospin.widgets.kit.text_size import text_scale, usual_font
from napari_cryospin.widgets.sphere.scene import (
    LOG_DECADES,
    REGION_COLOURS,
    REGION_SHARES,
    DirectionScene,
    Marker,
    MarkerKind,
    image_of,
    log_palette,
)
from napari_cryospin.widgets.sphere.view import paint_marker, small_font

BAR_WIDTH, BAR_HEIGHT, ROW, GAP = 150, 9, 22, 12  # px: colours, row of symbols, space between symbols
NAMES = {
    "head": "head",
    "winner": "winner",
    "best": "best pose found",
    "pose": "run's pose",
    "truth": "truth",
    "region": "90 % of probability",
    "path": "path",
    "switch": "switch",
}

SCALE_TIPS = {
    False: "Colours: the smallest regions of view directions in which the pose lies with a probability of 50, 90 and "
    "99 %; in-plane angles and shifts are summed over. They mean the same for every particle.",
    True: "Colours: probability of a view direction over that of the best one, by powers of ten; in-plane angles and "
    "shifts are summed over. The scale is the same for every particle.",
}
"""Whether colours are logarithmic -> what they mean."""


class PosteriorLegend(QWidget):
    """Legend with the colours of the credible regions, and the symbols, which wrap if it is narrow."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.scene: DirectionScene | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(SCALE_TIPS[False])
        self._fit_height()

    def show_scene(self, scene: DirectionScene | None) -> None:
        self.scene = scene
        self.setToolTip(SCALE_TIPS[scene is not None and scene.log_colours])
        self._fit_height()
        self.update()

    @property
    def items(self) -> list[str]:
        """Names of the symbols that occur in the scene, in the order of the legend."""
        if self.scene is None:
            return []
        kinds = {marker.kind for marker in self.scene.markers}
        if any(marker.winner for marker in self.scene.markers):
            kinds.add("winner")  # type: ignore[arg-type]
        path = self.scene.path
        shown = {"region", *kinds} | ({"path"} if len(path.epochs) > 1 else set())
        shown |= {"switch"} if path.switch is not None else set()
        return [name for name in NAMES if name in shown]

    def places(self) -> list[tuple[str, QRectF]]:
        """Return the names of the symbols with the rectangles in which symbol and name are painted, before scaling."""
        metrics, result = QFontMetricsF(small_font(usual_font(self.font()))), []
        room = self.width() / text_scale(self.font())
        x, y = BAR_WIDTH + 2 * GAP + 8.0, 0.0
        for name in self.items:
            width = 30 + metrics.horizontalAdvance(NAMES[name])
            if x + width > room:
                # The second row begins beneath the first symbol, because the bar is as tall as two rows.
                y += ROW
                x = BAR_WIDTH + 2 * GAP + 8.0 if y < 2 * ROW else 4.0
            result.append((name, QRectF(x, y, width, ROW)))
            x += width + GAP / 2
        return result

    def _fit_height(self) -> None:
        places = self.places()
        self.setFixedHeight(round(text_scale(self.font()) * max([2 * ROW, *(box.bottom() for _, box in places)])))

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        self._fit_height()

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.FontChange:
            self._fit_height()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        if self.scene is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        scale, font = text_scale(self.font()), small_font(usual_font(self.font()))
        painter.scale(scale, scale)
        painter.setFont(font)
        text = self.palette().windowText().color()
        (self._paint_scale if self.scene.log_colours else self._paint_regions)(painter, text)
        for name, box in self.places():
            self._paint_symbol(painter, name, QPointF(box.left() + 12, box.center().y()), text)
            painter.setFont(font)
            painter.setPen(text)
            painter.drawText(box.adjusted(26, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, NAMES[name])
        painter.end()

    def _paint_regions(self, painter: QPainter, text: QColor) -> None:
        """Paint a swatch for each coloured region: the same for every particle."""
        names = [*(f"{100 * share:.0f} %" for share in REGION_SHARES), "rest"]
        width = BAR_WIDTH / len(names)
        for number, (name, colour) in enumerate(zip(names, REGION_COLOURS, strict=True)):
            swatch = QRectF(GAP + number * width, 4, width, BAR_HEIGHT)
            painter.setPen(QPen(QColor(128, 128, 128), 0.8))
            painter.setBrush(QColor(*map(int, colour)))
            painter.drawRect(swatch)
            painter.setPen(text)
            label = QRectF(swatch.left(), swatch.bottom() + 1, width, 13)
            painter.drawText(label, Qt.AlignmentFlag.AlignCenter, name)
        box = QRectF(0, BAR_HEIGHT + 18, BAR_WIDTH + 2 * GAP, 14)
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, "the pose lies here")

    def _paint_scale(self, painter: QPainter, text: QColor) -> None:
        """Paint the logarithmic scale: the same for every particle."""
        bar = QRectF(GAP, 4, BAR_WIDTH, BAR_HEIGHT)
        painter.drawImage(bar, image_of(log_palette()[::-1][None]))
        painter.setPen(text)
        for decade in range(0, LOG_DECADES + 1, 2):
            label = QRectF(GAP + BAR_WIDTH * decade / LOG_DECADES - 20, bar.bottom() + 1, 40, 13)
            painter.drawText(label, Qt.AlignmentFlag.AlignCenter, f"1e-{decade}" if decade else "1")
        box = QRectF(0, BAR_HEIGHT + 18, BAR_WIDTH + 2 * GAP, 14)
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, "probability over the best one")

    def _paint_symbol(self, painter: QPainter, name: str, place: QPointF, text: QColor) -> None:
        if name in ("region", "path"):
            for pen in (QPen(QColor(0, 0, 0, 190), 3), QPen(QColor("white"), 1.4)):
                painter.setPen(pen)
                painter.drawLine(place - QPointF(8, 0), place + QPointF(8, 0))
            if name == "path":
                painter.setBrush(QColor("white"))
                painter.drawEllipse(place, 2, 2)
        elif name == "switch":
            painter.setPen(QPen(QColor(0, 0, 0, 190), 1))
            painter.setBrush(QColor(SWITCH_COLOUR))
            painter.drawRect(QRectF(place.x() - 4.6, place.y() - 4.6, 9.2, 9.2))
        else:
            kind: MarkerKind = "head" if name == "winner" else name  # type: ignore[assignment]
            painter.save()
            if kind == "pose":
                painter.translate(place)
                painter.scale(0.5, 0.5)
                painter.translate(-place)
            paint_marker(painter, place, Marker(np.zeros(3), kind, "", 1, name == "winner"), self.font(), small=True)
            painter.restore()
