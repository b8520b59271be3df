"""Saving of the posterior panel's content as a picture or as numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from napari.utils.notifications import show_error
from qtpy.QtGui import QColor, QImage, QPainter
from qtpy.QtWidgets import QFileDialog, QMenu, QPushButton, QWidget

from napari_cryospin.io.files import atomic_write

SAVED_MARGIN = 12  # px around and between the parts of a saved picture


class SaveButton(QPushButton):
    """Button that asks for a file, and saves a panel's content there.

    Parameters
    ----------
    propose
        Returns the proposed name of the file, without suffix.
    write
        Writes a picture (.png) or numbers (.npz), as the suffix of its path says; raises OSError if it cannot.
    """

    def __init__(self, propose: Callable[[], str], write: Callable[[Path], None]) -> None:
        super().__init__("Save")
        self.setToolTip("Save what this panel shows, as a picture or as numbers")
        self._propose, self._write = propose, write
        menu = QMenu(self)
        menu.addAction("Picture (PNG) …", lambda: self._ask_file("Picture (*.png)", ".png"))
        menu.addAction("Numbers (npz) …", lambda: self._ask_file("NumPy (*.npz)", ".npz"))
        self.setMenu(menu)

    def _ask_file(self, kind: str, suffix: str) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self.window(), "Save the posterior", self._propose() + suffix, kind)
        if chosen:
            self.save(Path(chosen).with_suffix(suffix))

    def save(self, path: Path) -> None:
        """Write the file, or show why it cannot be written."""
        try:
            self._write(path)
        except OSError as error:
            show_error(str(error))


def grab(widget: QWidget) -> QImage:
    """Take a picture of a whole widget, including parts that are out of sight."""
    return widget.grab().toImage()


def stacked(parts: Sequence[QImage], background: str) -> QImage:
    """Lay pictures beneath each other on one background."""
    sizes = [part.deviceIndependentSize() for part in parts]
    width = max(size.width() for size in sizes) + 2 * SAVED_MARGIN
    height = sum(size.height() for size in sizes) + SAVED_MARGIN * (len(parts) + 1)
    image = QImage(int(width), int(height), QImage.Format.Format_RGB32)
    image.fill(QColor(background))
    painter, y = QPainter(image), float(SAVED_MARGIN)
    for part, size in zip(parts, sizes, strict=True):
        painter.drawImage(SAVED_MARGIN, int(y), part)
        y += size.height() + SAVED_MARGIN
    painter.end()
    return image


def save_picture(picture: QImage, path: Path) -> None:
    """Write a picture to a PNG file."""
    with atomic_write(path) as part:
        if not picture.save(str(part), "PNG"):
            raise OSError(f"{path}: the picture cannot be written there")
