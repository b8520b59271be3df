"""Base of the plots: they follow napari's theme, show values under the mouse, and are saved as picture or table."""

from __future__ import annotations

import csv
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pyqtgraph as pg
from napari.utils.notifications import show_error, show_info
from numpy.typing import NDArray
from qtpy.QtCore import QCoreApplication, QPointF, QRectF, Qt, QTimer, Signal
from qtpy.QtGui import QAction, QFont, QImage, QPainter, QResizeEvent
from qtpy.QtSvg import QSvgGenerator
from qtpy.QtWidgets import QFileDialog, QMenu, QToolButton, QToolTip

from napari_cryospin.widgets.kit.colours import Theme
from napari_cryospin.widgets.kit.text_size import USUAL_POINTS

ACCENT = "#3A97D8"
"""Colour of a plot's main curve, legible on light and on dark, #rrggbb."""
SECOND = "#E69F00"
QUIET = "#8A8F98"
"""Colour of what is drawn for comparison, #rrggbb."""
PAPER = Theme(background="#FFFFFF", foreground="#D0D0D0", text="#202020", highlight="#B0B0B0", dark=False)
"""Colours of saved pictures, which go into papers and slides."""
SMALLER = 1  # pt by which the text in plots is smaller than napari's; that along axes by as much again
HEAD_HEIGHT, FOOT_HEIGHT = 18, 26
"""Pixels above a plot for its title and its menu, and beneath it for numbers and label, at the usual size of texts."""
PAINT_WAIT = 5  # ms from a change until a plot is painted; data change ranges, and ranges change places of items
PICTURE_SCALE = 3  # pixels of a saved picture for each pixel of the screen


class Plot(pg.PlotWidget):
    """Base class of all plots. A subclass draws, and implements `table` and `readout`.

    Parameters
    ----------
    title
        Name of the quantity shown, with unit.
    axes
        Side -> pyqtgraph axis to use instead of the usual one.
    """

    whole_wanted = Signal()

    def __init__(self, title: str, axes: dict[str, pg.AxisItem] | None = None) -> None:
        super().__init__(axisItems=axes)
        self.title = title
        self.theme = PAPER
        self.setFrameShape(self.Shape.NoFrame)
        self.setMenuEnabled(False)
        self.setMinimumSize(120, 90)
        self.plotItem.setContentsMargins(0, 2, 4, 4)  # pyqtgraph puts labels 5 px too low.
        self._note = pg.TextItem(anchor=(0.5, 0.5))
        self._note.setParentItem(self.plotItem.vb)
        self.plotItem.vb.sigResized.connect(self._centre_note)
        self.scene().sigMouseMoved.connect(self._hover)
        # A scene paints its view at once, and each time the whole window is painted (see `redraw`): five times for five
        # plots. One timer for all plots lets them be painted together; with one each, those of a busy moment were not.
        self.setViewportUpdateMode(self.ViewportUpdateMode.NoViewportUpdate)
        self._to_paint = False
        painting_timer().timeout.connect(self._paint_if_changed)
        self.scene().changed.connect(self._scene_changed)
        self.menu_button = QToolButton(self)
        self.menu_button.setText("⋯")
        self.menu_button.setAutoRaise(True)
        self.menu_button.setFixedSize(20, 16)
        self.menu_button.setToolTip("Save this plot, or go back to the whole of it")
        self.menu_button.setStyleSheet("QToolButton::menu-indicator {image: none;}")
        self.menu_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu_button.setMenu(self._make_menu())
        for side in ("left", "bottom"):
            self.getAxis(side).setStyle(tickLength=-4)
            self.getAxis(side).enableAutoSIPrefix(False)
        self._labels: dict[str, str] = {}  # side -> label of its axis
        self._set_fonts()
        self.by_hand = False  # whether the user chose the range, which then stays
        self.plotItem.vb.sigRangeChangedManually.connect(self._hold)
        self.hideButtons()

    # What a subclass implements

    def table(self) -> dict[str, NDArray]:
        """Return header with unit -> column; columns have one length and are nan where a value is unknown."""
        return {}

    def readout(self, x: float, y: float) -> str:
        """Return the text for a point in the plot's coordinates; empty: none."""
        return ""

    # Appearance

    def set_theme(self, theme: Theme) -> None:
        """Apply the colours of a theme."""
        self.theme = theme
        self.setBackground(theme.background)
        for side in ("left", "bottom"):
            axis = self.getAxis(side)
            axis.setPen(theme.highlight)
            axis.setTextPen(theme.text)
        self.set_title(self.title)
        self._note.setColor(theme.text)
        self._set_fonts()

    def _set_fonts(self) -> None:
        """Write everything in the size that goes with napari's."""
        for side in ("left", "bottom"):
            self.getAxis(side).setStyle(tickFont=self.small_font)
        self.getAxis("bottom").setHeight(round(FOOT_HEIGHT * self.theme.points / USUAL_POINTS))
        for item in self.scene().items():
            if isinstance(item, pg.TextItem):
                item.setFont(self.small_font)
        self._note.setFont(font(self.theme.points - SMALLER))
        for side, text in self._labels.items():
            self.set_label(text, side)

    @property
    def small_font(self) -> QFont:
        """Font of numbers and labels in the plot."""
        return font(self.theme.points - 2 * SMALLER)

    def set_title(self, title: str) -> None:
        """Set the name of the quantity shown, with unit."""
        self.title = title
        points = self.theme.points - SMALLER
        self.plotItem.setTitle(title, color=self.theme.text, size=f"{points:g}pt", justify="left")
        height = round(HEAD_HEIGHT * self.theme.points / USUAL_POINTS)
        self.plotItem.titleLabel.setMaximumHeight(height)  # pyqtgraph would take 30 pixels.
        self.plotItem.layout.setRowFixedHeight(0, height)

    def set_label(self, name: str, side: str = "bottom") -> None:
        """Set the label along an axis, with unit."""
        self._labels[side] = name
        size = f"{self.theme.points - 2 * SMALLER:g}pt"
        self.setLabel(side, name, **{"font-size": size, "color": self.theme.text})
        self.getAxis(side).resizeEvent()  # This centres the label, for which pyqtgraph would wait for a new size.

    def set_range(self, x: tuple[float, float] | None = None, y: tuple[float, float] | None = None) -> None:
        """Show a range, unless the user chose another one."""
        if not self.by_hand:
            self.setRange(xRange=x, yRange=y, padding=0)

    def show_all(self) -> None:
        """Show the whole plot again."""
        self.by_hand = False
        self.plotItem.enableAutoRange()
        self.whole_wanted.emit()

    def _hold(self) -> None:
        self.by_hand = True

    def set_note(self, text: str) -> None:
        """Show a text in the middle of a plot that has no data yet."""
        self._note.setText(text)
        for side in ("left", "bottom"):
            self.getAxis(side).setStyle(showValues=not text, tickAlpha=0 if text else None)
        self._note.setTextWidth(min(170.0, self.plotItem.vb.width()) if text else -1)
        self._centre_note()

    @property
    def note(self) -> str:
        return str(self._note.toPlainText())

    def _scene_changed(self, places: list[QRectF]) -> None:
        if places:
            self.scene().prepareForPaint()  # What this changes would otherwise be painted in a second pass.
            self._to_paint = True
            if not painting_timer().isActive():
                painting_timer().start()

    def _paint_if_changed(self) -> None:
        if self._to_paint:
            self._to_paint = False
            self.viewport().update()

    def _centre_note(self) -> None:
        area = self.plotItem.vb.boundingRect()
        self._note.setPos(QPointF(area.width() / 2, area.height() / 2))

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        if hasattr(self, "menu_button"):  # The base class resizes before this class is initialised.
            self.menu_button.move(self.width() - self.menu_button.width(), 0)

    def _hover(self, place: QPointF) -> None:
        text = ""
        if self.plotItem.vb.sceneBoundingRect().contains(place):
            where = self.plotItem.vb.mapSceneToView(place)
            text = self.readout(where.x(), where.y())
        if text:
            QToolTip.showText(self.mapToGlobal(self.mapFromScene(place)), text, self)
        else:
            QToolTip.hideText()

    # Saving

    def _make_menu(self) -> QMenu:
        menu = QMenu(self)
        for kind, text in (("png", "picture (PNG)"), ("svg", "drawing (SVG)"), ("csv", "numbers (CSV)")):
            save = QAction(f"Save {text}...", menu)
            save.triggered.connect(lambda _, kind=kind: self.ask_and_save(kind))
            menu.addAction(save)
        whole = QAction("Show all", menu)
        whole.triggered.connect(self.show_all)
        menu.addSeparator()
        menu.addAction(whole)
        return menu

    def ask_and_save(self, kind: str) -> None:
        """Let the user choose a file, and save as png, svg or csv."""
        name = self.title.partition(" (")[0].replace(" ", "_").lower()
        chosen, _ = QFileDialog.getSaveFileName(self, "Save plot", f"{name}.{kind}", f"*.{kind}")
        if not chosen:
            return
        try:
            path = self.save(Path(chosen).with_suffix(f".{kind}"))
        except OSError as error:
            show_error(f"The plot could not be saved: {error}")
        else:
            show_info(f"Saved {path}")

    def save(self, path: Path) -> Path:
        """Write the plot as the suffix says: .png and .svg with a white background, .csv with units."""
        if path.suffix == ".csv":
            write_table(path, self.table())
            return path
        theme = self.theme
        self.set_theme(replace(PAPER, points=theme.points))
        try:
            (self._save_svg if path.suffix == ".svg" else self._save_png)(path)
        finally:
            self.set_theme(theme)
        return path

    def _save_png(self, path: Path) -> None:
        image = QImage(self.size() * PICTURE_SCALE, QImage.Format.Format_RGB32)
        image.fill(Qt.GlobalColor.white)
        painter = QPainter(image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.scene().render(painter, QRectF(image.rect()), QRectF(self.rect()))
        painter.end()
        if not image.save(str(path)):
            raise OSError(f"{path}: cannot be written")

    def _save_svg(self, path: Path) -> None:
        drawing = QSvgGenerator()
        drawing.setFileName(str(path))
        drawing.setSize(self.size())
        drawing.setViewBox(self.rect())
        drawing.setTitle(self.title)
        painter = QPainter()
        if not painter.begin(drawing):
            raise OSError(f"{path}: cannot be written")
        self.scene().render(painter, QRectF(self.rect()), QRectF(self.rect()))
        painter.end()


@cache
def painting_timer() -> QTimer:
    """Return the timer that all plots share, which paints those that changed."""
    timer = QTimer(QCoreApplication.instance())
    timer.setSingleShot(True)
    timer.setInterval(PAINT_WAIT)
    return timer


def font(points: float) -> QFont:
    """Make the font of text in plots."""
    chosen = QFont()
    chosen.setPointSizeF(points)
    return chosen


def write_table(path: Path, columns: dict[str, NDArray]) -> None:
    """Write columns of one length as CSV; headers have their units in ASCII, and nan is left empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(name.replace("Å", "A").replace("(°)", "(degrees)") for name in columns)
        for row in zip(*columns.values(), strict=True):
            writer.writerow(_text(value) for value in row)


def _text(value: object) -> str:
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{value:.8g}"
    return str(value)
