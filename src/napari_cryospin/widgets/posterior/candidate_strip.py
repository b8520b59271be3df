"""Strip of pictures: the particle's image, and beside it the map's projection at every candidate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QRectF, Qt, Signal
from qtpy.QtGui import QColor, QFont, QImage, QMouseEvent, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QSizePolicy, QWidget

from napari_cryospin.views.posterior.shown_pose import ShownPose
from napari_cryospin.widgets.kit.colours import POSE_COLOUR, SAMPLE_COLOUR, TRUTH_COLOUR, head_colour

if TYPE_CHECKING:
    from napari_cryospin.views.posterior.answers import ProjectionComparison

SIDE, BAR, LINE, PAD = 88, 18, 14, 4  # px: side of a picture, colour bar, line of text, margin
ROWS = ("error", "p (cell)", "rot", "tilt", "psi", "shift (Å)")
TIPS = (
    "error: squared difference over the noise, a Fourier coefficient; 1 where only noise is left",
    "p: posterior probability of the cell of view directions (7.3° wide) in which it lies",
    "rot, tilt, psi: RELION's angles, degrees; shift: x, y, the translation that centres the image",
)
LIMIT = 3.0
"""Grey range of all pictures to either side of 0, in standard deviations of the particle's image; chosen by hand."""


def colour_of(candidate: ShownPose) -> str:
    """Return the colour in which a candidate is drawn: that of its head, or of its kind."""
    kinds = {"best": SAMPLE_COLOUR, "pose": POSE_COLOUR, "truth": TRUTH_COLOUR}
    return kinds.get(candidate.kind) or head_colour(candidate.head)


class Card(QWidget):
    """Picture of a pose, with a colour bar above and numbers below."""

    clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedSize(SIDE + 2 * PAD, 2 * PAD + BAR + SIDE + len(ROWS) * LINE + 4)
        self.title, self.colour, self.lines = "", "", ("",) * len(ROWS)
        self.winner = False
        self.image: QImage | None = None
        self.names = False

    def show_card(self, title: str, colour: str, image: QImage | None, lines: tuple[str, ...], winner: bool) -> None:
        self.title, self.colour, self.image, self.lines, self.winner = title, colour, image, lines, winner
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        self.clicked.emit()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        text = self.palette().windowText().color()
        font = QFont(self.font())
        font.setPixelSize(11)
        bar = QRectF(PAD, PAD, SIDE, BAR)
        colour = QColor(self.colour) if self.colour else QColor(0, 0, 0, 0)
        painter.fillRect(bar, colour)
        font.setBold(True)
        painter.setFont(font)
        dark_text = self.colour and colour.lightnessF() > 0.42
        painter.setPen(QColor("black") if dark_text else QColor("white") if self.colour else text)
        painter.drawText(bar, Qt.AlignmentFlag.AlignCenter, self.title)
        font.setBold(False)
        painter.setFont(font)
        if self.image is not None:
            painter.drawImage(QRectF(PAD, PAD + BAR, SIDE, SIDE), self.image)
        if self.winner:
            painter.setPen(QPen(text, 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(PAD - 2, PAD - 2, SIDE + 4, SIDE + BAR + 4), 3, 3)
        painter.setPen(text)
        where = Qt.AlignmentFlag.AlignRight if self.names else Qt.AlignmentFlag.AlignHCenter
        for number, line in enumerate(self.lines):
            box = QRectF(PAD, PAD + BAR + SIDE + 4 + number * LINE, SIDE, LINE)
            painter.drawText(box, where | Qt.AlignmentFlag.AlignVCenter, line)
        painter.end()


class CandidateStrip(QWidget):
    """Strip with the particle's card, beside which the cards of the candidates scroll, by ascending error."""

    clicked = Signal(object)  # ShownPose

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.particle = Card()
        self.particle.names = True
        self.particle.setToolTip("The particle's image, low-passed as the projections are\n" + "\n".join(TIPS))
        self.cards: list[Card] = []
        self.shown: tuple[ShownPose, ...] = ()
        self._inner = QWidget()
        self._row = QHBoxLayout(self._inner)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(2)
        self._row.addStretch(1)
        self.scrolled = QScrollArea()
        self.scrolled.setWidget(self._inner)
        self.scrolled.setWidgetResizable(True)
        self.scrolled.setFrameShape(QFrame.Shape.NoFrame)
        self.scrolled.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.particle, 0, Qt.AlignmentFlag.AlignTop)
        layout.addWidget(self.scrolled, 1)
        self.setFixedHeight(self.particle.height() + 14)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.clear()

    def clear(self) -> None:
        """Remove the pictures, because nothing is known yet."""
        self.shown = ()
        self.particle.show_card("particle", "", None, ROWS, False)
        for card in self.cards:
            card.hide()

    def show_poses(self, shown: tuple[ShownPose, ...], candidates: ProjectionComparison) -> None:
        """Show a particle with its projections at `(k,)` poses, by ascending error."""
        order = np.argsort(candidates.error, kind="stable")
        self.shown = tuple(shown[number] for number in order)
        limit = LIMIT * float(candidates.particle.std())
        self.particle.show_card("particle", "", grey(candidates.particle, limit), ROWS, False)
        while len(self.cards) < len(shown):
            self._add_card()
        for place, card in enumerate(self.cards):
            card.setVisible(place < len(shown))
        for card, one, number in zip(self.cards, self.shown, order, strict=False):
            picture = grey(candidates.projections[number], limit)
            card.show_card(one.title, colour_of(one), picture, numbers(candidates, number), one.winner)

    def _add_card(self) -> None:
        card, number = Card(), len(self.cards)
        card.setToolTip("The map's projection at this pose, with the particle's CTF\nClick: turn the map to this pose")
        card.setCursor(Qt.CursorShape.PointingHandCursor)
        card.clicked.connect(lambda: self.clicked.emit(self.shown[number]))
        self.cards.append(card)
        self._row.insertWidget(number, card, 0, Qt.AlignmentFlag.AlignTop)

    def picture(self) -> QImage:
        """Draw the particle and all candidates, including those out of sight."""
        cards = [self.particle, *(card for card in self.cards if not card.isHidden())]
        width, height = self.particle.width(), self.particle.height()
        image = QImage((width + 2) * len(cards), height, QImage.Format.Format_ARGB32_Premultiplied)
        image.fill(Qt.GlobalColor.transparent)
        painter = QPainter(image)
        for number, card in enumerate(cards):
            painter.drawPixmap(number * (width + 2), 0, card.grab())
        painter.end()
        return image


def grey(picture: NDArray, limit: float) -> QImage:
    """Make a grey picture of `(y, x)` values between -limit and limit, y upwards as in ChimeraX and IMOD."""
    levels = np.clip(127.5 * (1 + picture[::-1] / max(limit, 1e-12)), 0, 255).astype(np.uint8)
    rows, columns = levels.shape
    return QImage(levels.tobytes(), columns, rows, columns, QImage.Format.Format_Grayscale8).copy()


def numbers(candidates: ProjectionComparison, number: int) -> tuple[str, ...]:
    """Write a candidate's numbers as text, one line for each of `ROWS`."""
    probability = float(candidates.probability[number])
    share = f"{100 * probability:.3g} %" if probability >= 1e-5 else "< 0.001 %"
    angles = tuple(f"{angle:.1f}°" for angle in candidates.angles[number])
    x, y = candidates.shifts[number]
    return (f"{candidates.error[number]:.4f}", share, *angles, f"{x:.1f}, {y:.1f}")
