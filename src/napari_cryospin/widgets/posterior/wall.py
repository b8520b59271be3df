"""A wall of small posteriors, each on a flat map or a globe; a click chooses the particle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPoint, QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen

from napari_cryospin.geometry.globe_cells import globe_cells
from napari_cryospin.geometry.mollweide import mollweide_pixels
from napari_cryospin.geometry.sphere_cells import healpix_cells
from napari_cryospin.views.posterior.certainty import Certainty, certainty_of
from napari_cryospin.views.sphere_pictures import CELLS_NSIDE
from napari_cryospin.widgets.kit.particle_tiles import ParticleTiles
from napari_cryospin.widgets.kit.plots import SECOND
from napari_cryospin.widgets.kit.text_size import text_scale
from napari_cryospin.widgets.sphere.scene import colours_of, credible_levels, image_of
from napari_cryospin.widgets.sphere.view import small_font

PICTURE_ROWS = 64  # of a small picture, px
FLAT_TILE, GLOBE_TILE = QSize(92, 60), QSize(84, 92)  # px, with caption and margins
TILE_CAPTION, TILE_MARGIN = 15, 3  # px
BUSY = "…"


@dataclass(frozen=True, eq=False)
class SmallPosterior:
    """One particle on the wall."""

    row: int  # of the input, from 0
    log_posterior: NDArray[np.float32]  # (768,)
    certainty: Certainty
    entropy: float  # nats

    @classmethod
    def of(cls, row: int, log_posterior: NDArray[np.float32]) -> SmallPosterior:
        """Measure the posterior of a particle."""
        entropy = float(-(np.exp(log_posterior) * log_posterior).sum())
        return cls(row, log_posterior, certainty_of(log_posterior), entropy)

    @property
    def caption(self) -> str:
        views = self.certainty.views
        return f"{self.row + 1}: {views} view{'s' if views > 1 else ''}, {self.certainty.within:.0f}°"

    @property
    def tip(self) -> str:
        return (
            f"Particle {self.row + 1}: {self.certainty.words} (90 % of the probability)\n"
            f"Entropy: {self.entropy:.2f} nats (0: one direction is certain)\n"
            f"Click: choose this particle"
        )

    def picture(self, globe: bool) -> QImage:
        """Draw it in the colours of credible regions: a globe that its best view faces, or a flat map."""
        if globe:
            facing = healpix_cells(CELLS_NSIDE).centres[self.log_posterior.argmax()]
            cells = globe_cells(facing, CELLS_NSIDE, PICTURE_ROWS)
        else:
            cells = mollweide_pixels(CELLS_NSIDE, PICTURE_ROWS)[::-1]
        colours = colours_of(self.log_posterior, credible_levels(self.log_posterior))
        return image_of(colours[cells], cells >= 0)


class Wall(ParticleTiles):
    """Grid of small posteriors, as many as fit."""

    def __init__(self) -> None:
        super().__init__()
        self.globes = False
        self.known: dict[int, SmallPosterior] = {}
        self._pictures: dict[int, QImage] = {}
        self.setMinimumHeight(FLAT_TILE.height())
        self.setToolTip("Posteriors of the particles' view directions; click one to look at it closely")

    @property
    def tile(self) -> QSize:
        return (GLOBE_TILE if self.globes else FLAT_TILE) * text_scale(self.font())

    @property
    def columns(self) -> int:
        return max(1, self.width() // self.tile.width())

    @property
    def fits(self) -> int:
        """Number of particles that fit."""
        return self.columns * max(1, self.height() // self.tile.height())

    def show_rows(self, rows: NDArray[np.int64], selected: NDArray[np.bool_]) -> None:
        """Show the particles at `(k,)` rows of the input, of which some are selected; their posteriors may follow."""
        self.rows, self.selected = rows, selected
        self.update()

    def knows(self, row: int) -> bool:
        return row in self.known

    def set_globes(self, globes: bool) -> None:
        """Draw globes, or flat maps."""
        self.globes = globes
        self._pictures.clear()
        self.update()

    def add(self, found: SmallPosterior) -> None:
        """Draw a posterior that was computed."""
        self.known[found.row] = found
        self.update()

    def forget(self) -> None:
        """Forget all posteriors, because they are of another map."""
        self.known.clear()
        self._pictures.clear()
        self.update()

    def place(self, number: int) -> QRectF:
        """Return the rectangle of a tile, by its number on the page."""
        row, column = divmod(number, self.columns)
        width = self.width() / self.columns
        return QRectF(column * width, row * self.tile.height(), width, self.tile.height())

    def number_at(self, point: QPoint | QPointF) -> int | None:
        """Return the number of the tile at a point; None: there is none."""
        return next((number for number in range(len(self.rows)) if self.place(number).contains(QPointF(point))), None)

    def tip_of(self, row: int) -> str:
        """Return the tooltip of a particle: of its posterior, once that is known."""
        found = self.known.get(row)
        return self.toolTip() if found is None else found.tip

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        painter.setFont(small_font(self.font()))
        for number, row in enumerate(self.rows):
            self._paint_tile(painter, self.place(number), int(row), bool(self.selected[number]))
        painter.end()

    def _paint_tile(self, painter: QPainter, place: QRectF, row: int, selected: bool) -> None:
        text = self.palette().windowText().color()
        inner = place.adjusted(TILE_MARGIN, TILE_MARGIN, -TILE_MARGIN, -TILE_MARGIN)
        found, box = self.known.get(row), inner.adjusted(0, 0, 0, -TILE_CAPTION * text_scale(self.font()))
        painter.setPen(text)
        caption = f"{row + 1} {BUSY}" if found is None else found.caption
        painter.drawText(inner, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignBottom, caption)
        if found is not None:
            picture = self._pictures.setdefault(row, found.picture(self.globes))
            scale = min(box.width() / picture.width(), box.height() / picture.height())
            size = QRectF(0, 0, scale * picture.width(), scale * picture.height())
            size.moveCenter(box.center())
            painter.drawImage(size, picture)
        if selected or row == self.chosen:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(text, 2) if row == self.chosen else QPen(QColor(SECOND), 2))
            painter.drawRoundedRect(place.adjusted(2, 1, -2, -1), 4, 4)
