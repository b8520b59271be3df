"""A label with a picture that was computed, and a caption beneath it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_cryospin.widgets.kit.parts import text_label


def image_of_picture(picture: NDArray[np.uint8]) -> QImage:
    """Make an image of `(height, width, 4)` red, green, blue and opacity."""
    height, width, _ = picture.shape
    data = np.ascontiguousarray(picture)
    # The copy is Qt's own, so that the array may go.
    return QImage(data.tobytes(), width, height, 4 * width, QImage.Format.Format_RGBA8888).copy()


class PictureLabel(QWidget):
    """Picture above its caption.

    Parameters
    ----------
    size
        Pixels of the picture.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.picture = QLabel()
        self.picture.setFixedSize(size, size)
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.caption = text_label()
        self.caption.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.caption.setFixedWidth(size)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.picture)
        layout.addWidget(self.caption)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def show_picture(self, picture: NDArray[np.uint8] | None, caption: str = "") -> None:
        """Show a picture `(size, size, 4)`; None: none."""
        self.picture.setPixmap(QPixmap() if picture is None else QPixmap.fromImage(image_of_picture(picture)))
        self.caption.setText(caption)
