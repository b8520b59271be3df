"""Globe, flat map and zoom: side by side where there is room, otherwise in tabs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QRect, Qt, QTimer
from qtpy.QtGui import QColor, QImage, QPainter, QResizeEvent
from qtpy.QtWidgets import QSizePolicy, QTabBar, QWidget

from napari_cryospin.widgets.sphere.flat_map import MollweideView
from napari_cryospin.widgets.sphere.globe import Sphere
from napari_cryospin.widgets.sphere.scene import DirectionScene
from napari_cryospin.widgets.sphere.zoom import ZoomView

if TYPE_CHECKING:
    from napari_cryospin.views.posterior.answers import Zoom

WIDE_FROM = 700  # width in px from which the three are side by side
WIDTH_SHARES = (3, 5, 3)  # of the width, side by side
LEAST_HEIGHT = 210  # px
VIEW_TIPS = {
    "Sphere": "Turn it with the mouse",
    "Flat": "All directions at a glance",
    "Zoom": "The best mode, fine grid",
}


class DirectionViews(QWidget):
    """The three maps of one scene.

    They stay children of this widget, because moving an OpenGL canvas to another parent destroys its context.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tabs = QTabBar(self)
        self.tabs.setDrawBase(False)
        for name, tip in VIEW_TIPS.items():
            self.tabs.setTabToolTip(self.tabs.addTab(name), tip)
        self.tabs.currentChanged.connect(self._arrange)
        self.sphere, self.flat, self.close_up = Sphere(self), MollweideView(self), ZoomView(self)
        self.views: tuple[QWidget, ...] = (self.sphere, self.flat, self.close_up)
        # An OpenGL canvas that is shown while Qt goes through its layouts may end the program.
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._arrange)
        self.setMinimumHeight(LEAST_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    @property
    def wide(self) -> bool:
        """Whether all three are visible at once."""
        return self.width() >= WIDE_FROM

    def show_scene(self, scene: DirectionScene | None) -> None:
        """Draw a particle's posterior and markers; its zoom follows later."""
        for view in (self.sphere, self.flat, self.close_up):
            view.show_scene(scene)

    def show_zoom(self, zoom: Zoom) -> None:
        """Draw the zoom."""
        self.close_up.show_zoom(zoom)

    def picture(self, background: str) -> QImage:
        """Draw all three side by side into a picture, whichever is visible."""
        height = max(view.height() for view in self.views)
        widths = [view.width() for view in self.views]
        image = QImage(sum(widths), height, QImage.Format.Format_ARGB32_Premultiplied)
        image.fill(QColor(background))
        painter = QPainter(image)
        painter.drawImage(0, 0, self.sphere.picture())
        x = widths[0]
        for view in (self.flat, self.close_up):
            painter.save()
            painter.translate(x, 0)
            view.paint(painter)
            painter.restore()
            x += view.width()
        painter.end()
        return image

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        self._place()
        self._soon.start()

    def _arrange(self, _: int = 0) -> None:
        """Place the views, and show those that are to be seen."""
        self._place()
        self.tabs.setVisible(not self.wide)
        for number, view in enumerate(self.views):
            view.setVisible(self.wide or number == self.tabs.currentIndex())

    def _place(self) -> None:
        if self.wide:
            x = 0
            for view, share in zip(self.views, WIDTH_SHARES, strict=True):
                width = self.width() * share // sum(WIDTH_SHARES)
                view.setGeometry(x, 0, width, self.height())
                x += width
            return
        bar = self.tabs.sizeHint().height()
        self.tabs.setGeometry(0, 0, self.width(), bar)
        for view in self.views:
            view.setGeometry(QRect(0, bar, self.width(), self.height() - bar))
        self.tabs.setCursor(Qt.CursorShape.ArrowCursor)
