"""A page of particle images: raw, low-passed or phase-flipped; a click chooses a particle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPoint, QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QButtonGroup, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_cryospin.widgets.kit.particle_tiles import ParticleTiles
from napari_cryospin.widgets.kit.parts import button

GALLERY_COLUMNS, GALLERY_ROWS = 4, 3
PAGE_SIZE = GALLERY_COLUMNS * GALLERY_ROWS
GALLERY_GAP = 3  # pixels between images
GREY_SPREAD = 3.0  # standard deviations from the mean to black, and to white

ImageKind = Literal["raw", "low_passed", "phase_flipped"]
IMAGE_KINDS: dict[ImageKind, tuple[str, str]] = {
    "raw": ("Raw", "The images as they are in the file"),
    "low_passed": ("Low-passed", "Low-passed to 20 Å"),
    "phase_flipped": ("Phase-flipped", "Low-passed to 20 Å, with the phases of the CTF flipped"),
}
CAPTION_SHARE = 7.5 / 9  # of the size of texts, for the number in a picture; chosen by hand


def pages_of(particles: Any, rows: NDArray[np.int64]) -> dict[ImageKind, NDArray[np.float32]]:
    """Read the images of some particles of an input, of each kind; this takes a while."""
    from napari_cryospin.views.gallery import gallery_images  # Imports torch.

    found = gallery_images(particles, rows)
    return {"raw": found.raw, "low_passed": found.low_passed, "phase_flipped": found.phase_flipped}


def row_number(row: int) -> str:
    """Write a row of the input as people count it, from 1."""
    return str(row + 1)


class Mosaic(ParticleTiles):
    """Widget that draws images in a grid of a fixed number of rows and columns.

    Parameters
    ----------
    caption
        Returns the text beneath an image, by the row of the input.
    """

    def __init__(self, caption: Callable[[int], str] = row_number) -> None:
        super().__init__()
        self.caption = caption
        self.pictures: list[QImage] = []
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def show_images(self, rows: NDArray[np.int64], images: NDArray[np.float32]) -> None:
        """Show `(k, n, n)` images of `(k,)` rows of the input."""
        self.rows, self.pictures = rows, [picture_of(image) for image in images]
        self.update()

    def choose(self, row: int) -> None:
        self.chosen = row
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(320, self.heightForWidth(320))

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return width * GALLERY_ROWS // GALLERY_COLUMNS

    @property
    def side(self) -> float:
        """Distance of neighbouring images, pixels."""
        return min((self.width() + GALLERY_GAP) / GALLERY_COLUMNS, (self.height() + GALLERY_GAP) / GALLERY_ROWS)

    def place(self, number: int) -> QRectF:
        """Return the rectangle in which an image is drawn, by its number on the page."""
        row, column = divmod(number, GALLERY_COLUMNS)
        size = self.side - GALLERY_GAP
        return QRectF(column * self.side, row * self.side, size, size)

    def number_at(self, point: QPoint | QPointF) -> int | None:
        point = QPointF(point)
        return next((number for number in range(len(self.pictures)) if self.place(number).contains(point)), None)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        for number, picture in enumerate(self.pictures):
            place = self.place(number)
            painter.drawImage(place, picture)
            row = int(self.rows[number])
            if row == self.chosen:
                painter.setPen(QPen(self.palette().highlight().color(), 2))
                painter.drawRect(place.adjusted(1, 1, -1, -1))
            self._caption(painter, place, self.caption(row))

    def _caption(self, painter: QPainter, place: QRectF, caption: str) -> None:
        font = self.font()
        font.setPointSizeF(CAPTION_SHARE * font.pointSizeF())
        painter.setFont(font)
        text = f" {caption} "
        box = QRectF(painter.fontMetrics().boundingRect(text))
        box.moveBottomLeft(place.bottomLeft())
        painter.fillRect(box, QColor(0, 0, 0, 140))
        painter.setPen(QColor(255, 255, 255))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)

    def tip_of(self, row: int) -> str:
        return f"particle {self.caption(row)}: click to look at it"


def picture_of(image: NDArray[np.float32]) -> QImage:
    """Convert an image to grey: `GREY_SPREAD` standard deviations to either side of the mean."""
    spread = GREY_SPREAD * float(image.std()) or 1.0
    grey = np.clip((image - image.mean()) / spread * 127.5 + 127.5, 0, 255).astype(np.uint8)
    height, width = grey.shape
    return QImage(grey.tobytes(), width, height, width, QImage.Format.Format_Grayscale8).copy()


class GalleryView(QWidget):
    """A page of particles with its controls; the panel reads the images.

    It emits `page_requested` with the rows of a page; the panel then calls `show_page`.

    Parameters
    ----------
    caption
        As of `Mosaic`.
    """

    page_requested = Signal(object)  # (k,) rows of the input
    clicked = Signal(int)

    def __init__(self, caption: Callable[[int], str] = row_number) -> None:
        super().__init__()
        self.order: NDArray[np.int64] = np.zeros(0, np.int64)  # rows of the input, as pages follow each other
        self.first, self.sign = 0, 1.0
        self.rows: NDArray[np.int64] = np.zeros(0, np.int64)
        self.pages: dict[ImageKind, NDArray[np.float32]] = {}
        self.kind: ImageKind = "low_passed"
        self.mosaic = Mosaic(caption)
        self.mosaic.clicked.connect(self.clicked)
        self.where = QLabel()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(self._kinds())
        layout.addWidget(self.mosaic)
        row = QHBoxLayout()
        self.previous = button("◂", "The particles before these", lambda: self.turn(-PAGE_SIZE))
        self.following = button("▸", "The particles after these", lambda: self.turn(PAGE_SIZE))
        for narrow in (self.previous, self.following):
            narrow.setFixedWidth(36)
        row.addWidget(self.previous)
        row.addWidget(self.following)
        self.random = button("Random", "Particles drawn at random", self.shuffle)
        row.addWidget(self.random)
        row.addWidget(self.where, 1)
        layout.addLayout(row)

    def _kinds(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(0)
        self.group = QButtonGroup(self)
        self.buttons: dict[ImageKind, QPushButton] = {}
        for kind, (title, tip) in IMAGE_KINDS.items():
            made = button(title, tip)
            made.setCheckable(True)
            made.setChecked(kind == self.kind)
            self.group.addButton(made)
            self.buttons[kind] = made
            row.addWidget(made)
        self.group.buttonClicked.connect(self._choose_kind)
        return row

    def _choose_kind(self) -> None:
        self.kind = next(kind for kind, made in self.buttons.items() if made.isChecked())
        self._draw()

    def show_particles(self, count: int) -> None:
        """Show the first page of another set of particles, in the order of the input."""
        self.show_rows(np.arange(count))

    def show_rows(self, rows: NDArray[np.int64]) -> None:
        """Show the first page of particles in an order: `(k,)` rows of the input."""
        self.order, self.first = rows, 0
        self.turn(0)

    def turn(self, by: int) -> None:
        """Show the page that begins `by` particles later."""
        self.first = max(0, min(self.first + by, len(self.order) - 1))
        self._want(self.order[self.first : self.first + PAGE_SIZE])

    def shuffle(self) -> None:
        """Show a page of particles drawn at random."""
        rng = np.random.default_rng()
        self._want(np.sort(rng.choice(self.order, min(PAGE_SIZE, len(self.order)), replace=False)))

    def _want(self, rows: NDArray[np.int64]) -> None:
        if len(rows):
            self.page_requested.emit(rows)

    def show_page(self, rows: NDArray[np.int64], pages: dict[ImageKind, NDArray[np.float32]]) -> None:
        """Show a page: images of each kind for `(k,)` rows of the input."""
        self.rows, self.pages = rows, pages
        self._draw()

    def set_sign(self, sign: float) -> None:
        """Show the images multiplied by `sign`."""
        if sign != self.sign:
            self.sign = sign
            self._draw()

    def _draw(self) -> None:
        if not self.pages:
            return
        self.mosaic.show_images(self.rows, self.sign * self.pages[self.kind])
        self.where.setText(self._where())
        self.previous.setEnabled(self.first > 0)
        self.following.setEnabled(self.first + PAGE_SIZE < len(self.order))

    def _where(self) -> str:
        """Write which rows are shown or, in another order than the input's, which places in it."""
        count = len(self.order)
        if (np.diff(self.order) > 0).all():
            return f"{self.rows.min() + 1} to {self.rows.max() + 1} of {count:,}"
        return f"{self.first + 1:,} to {self.first + len(self.rows):,} of {count:,}"
