"""Button with the small map of a class, its share and its resolution."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QAction, QIcon, QImage, QMouseEvent, QPixmap
from qtpy.QtWidgets import QToolButton

from napari_cryospin.views.class_pictures import ClassPicture
from napari_cryospin.widgets.kit.colours import class_colour

CLASS_SIDE = 44  # pixels of a picture
STYLE = """
QToolButton {{ border: 2px solid transparent; border-bottom-color: {colour}; background: transparent; padding: 2px; }}
QToolButton:checked {{ border-color: {colour}; }}
"""
"""Style with the colour of the class, which curves and bars have too; the class on the canvas is framed."""


class ClassButton(QToolButton):
    """Button that brings a class to the main canvas; with Ctrl, or by its menu, it selects the particles of the class.

    Parameters
    ----------
    number
        Number of the class, from 1.
    """

    selecting = Signal(int)  # number of the class, from 1

    def __init__(self, number: int) -> None:
        super().__init__()
        self.setCheckable(True)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setIconSize(QSize(CLASS_SIDE, CLASS_SIDE))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setStyleSheet(STYLE.format(colour=class_colour(number)))
        self.number = number
        self.select = QAction("Select its particles", self)
        self.select.triggered.connect(lambda _=False: self.selecting.emit(self.number))
        self.addAction(self.select)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        if event is not None and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.selecting.emit(self.number)
            return
        super().mousePressEvent(event)

    def show_class(self, shown: ClassPicture) -> None:
        """Show a class."""
        rows, columns = shown.picture.shape
        image = QImage(shown.picture.tobytes(), columns, rows, columns, QImage.Format.Format_Grayscale8).copy()
        smooth = Qt.TransformationMode.SmoothTransformation
        self.setIcon(QIcon(QPixmap.fromImage(image.scaled(CLASS_SIDE, CLASS_SIDE, transformMode=smooth))))
        resolution = "" if shown.resolution is None else f"\n{shown.resolution:.1f} Å"
        self.setText(f"Class {shown.number}\n{percent_of(shown)}{resolution}")
        self.setToolTip(class_tip(shown))


def percent_of(shown: ClassPicture) -> str:
    """Write the share of a class."""
    return f"{100 * shown.share:.0f} %"


def class_tip(shown: ClassPicture) -> str:
    """Write what is known of a class."""
    of_half = f" of half {shown.half}, which numbers its classes by itself" if shown.half else ""
    known = "not known" if shown.resolution is None else f"{shown.resolution:.2f} Å"
    return (
        f"Class {shown.number}{of_half}: {shown.count:,} particles are in it, mean probability {percent_of(shown)}\n"
        f"Resolution: {known} (while the run goes on, that of the largest class is measured)\n"
        "Picture: projection of its map along z, with the grey scale of all classes\n"
        "Click: show its map on the canvas. Ctrl and click: select its particles, as the button's menu does too"
    )
