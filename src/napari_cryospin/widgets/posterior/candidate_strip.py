"""Strip of pictures: the particle's image, and beside it the map's projection at every candidate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QEvent, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QFont, QImage, QMouseEvent, QPainter, QPaintEvent, QPen, QResizeEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_cryospin.views.posterior.shown_pose import ShownPose
from napari_cryospin.widgets.kit.colours import POSE_COLOUR, SAMPLE_COLOUR, TRUTH_COLOUR, head_colour
from napari_cryospin.widgets.kit.greys import grey_picture
from napari_cryospin.widgets.kit.text_size import text_scale

if TYPE_CHECKING:
    from napari_cryospin.views.posterior.answers import ProjectionComparison

SHORT_TITLES = {"best": "best", "pose": "run", "truth": "truth"}
BAR, LINE, PAD = 16, 14, 4  # px: colour bar, line of text, margin
WIDE_SIDE, NARROW_SIDE, LEAST_SIDE = 88, 54, 44  # px: of a picture; the second is the largest in two rows
USUAL_CARDS = 10  # of a run with seven heads, before anything is known
MOST_ROWS, FEW_LINES = 2, 2  # rows of cards, and lines beneath a picture where there is more than one row
CARD_TIP = "the map's projection at this pose, with the particle's CTF. Click: turn the map to this pose"
ROWS = ("error", "prob.", "rot", "tilt", "psi", "shift (Å)")
TIPS = (
    "error: squared difference over the noise, a Fourier coefficient; 1 where only noise is left",
    "prob.: probability of the cell of view directions (7.3° wide) in which it lies",
    "rot, tilt, psi: RELION's angles, degrees; shift: x, y, the translation that centres the image",
)
LIMIT = 3.0
"""Grey range of all pictures to either side of 0, in standard deviations of the particle's image; chosen by hand."""


def colour_of(candidate: ShownPose) -> str:
    """Return the colour in which a candidate is drawn: that of its head, or of its kind."""
    kinds = {"best": SAMPLE_COLOUR, "pose": POSE_COLOUR, "truth": TRUTH_COLOUR}
    return kinds.get(candidate.kind) or head_colour(candidate.head)


def short_title(candidate: ShownPose) -> str:
    """Return the name of a candidate that fits on a small card: a number is that of a head."""
    return SHORT_TITLES.get(candidate.kind) or str(candidate.head + 1)


class Card(QWidget):
    """Picture of a pose, with a colour bar above and numbers below; `fit` sets its size."""

    clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title, self.colour, self.lines = "", "", ("",) * len(ROWS)
        self.winner = False
        self.image: QImage | None = None
        self.names = False
        self.side, self.rows = WIDE_SIDE, len(ROWS)
        self.fit(self.side, self.rows)

    def fit(self, side: int, rows: int) -> None:
        """Set the side of the picture, px at the usual size of texts, and the number of lines beneath it."""
        self.side, self.rows = side, rows
        scale = text_scale(self.font())
        self.setFixedSize(round(scale * (side + 2 * PAD)), round(scale * card_height(side, rows)))
        self.update()

    def show_card(self, title: str, colour: str, image: QImage | None, lines: tuple[str, ...], winner: bool) -> None:
        self.title, self.colour, self.image, self.lines, self.winner = title, colour, image, lines, winner
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        self.clicked.emit()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.scale(text_scale(self.font()), text_scale(self.font()))
        text = self.palette().windowText().color()
        font = QFont(self.font())
        font.setPixelSize(11 if self.side > LEAST_SIDE else 10)
        bar = QRectF(PAD, PAD, self.side, BAR)
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
            painter.drawImage(QRectF(PAD, PAD + BAR, self.side, self.side), self.image)
        if self.winner:
            painter.setPen(QPen(text, 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(PAD - 2, PAD - 2, self.side + 4, self.side + BAR + 4), 3, 3)
        painter.setPen(text)
        where = Qt.AlignmentFlag.AlignRight if self.names else Qt.AlignmentFlag.AlignHCenter
        for number, line in enumerate(self.lines[: self.rows]):
            box = QRectF(0, PAD + BAR + self.side + 4 + number * LINE, self.side + PAD * (2 - self.names), LINE)
            painter.drawText(box, where | Qt.AlignmentFlag.AlignVCenter, line)
        painter.end()


class CandidateStrip(QWidget):
    """Cards of the particle and, by ascending error, of all candidates, as large as lets all be seen at once.

    They wrap into a second row, and have fewer numbers then; the other numbers are in their tooltips.
    """

    clicked = Signal(object)  # ShownPose

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.particle = Card(self)
        self.particle.names = True
        self.particle.setToolTip("The particle's image, low-passed as the projections are\n" + "\n".join(TIPS))
        self.cards: list[Card] = []
        self.shown: tuple[ShownPose, ...] = ()
        self._room = USUAL_CARDS
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.clear()

    def clear(self) -> None:
        """Remove the pictures, because nothing is known yet."""
        self.shown = ()
        self.particle.show_card("particle", "", None, ROWS, False)
        for card in self.cards:
            card.hide()
        self._arrange()

    def show_poses(self, shown: tuple[ShownPose, ...], candidates: ProjectionComparison) -> None:
        """Show a particle with its projections at `(k,)` poses, by ascending error."""
        order = np.argsort(candidates.error, kind="stable")
        self.shown = tuple(shown[number] for number in order)
        limit = LIMIT * float(candidates.particle.std())
        self.particle.show_card("particle", "", grey_picture(candidates.particle, limit), ROWS, False)
        while len(self.cards) < len(shown):
            self._add_card()
        for place, card in enumerate(self.cards):
            card.setVisible(place < len(shown))
        for card, one, number in zip(self.cards, self.shown, order, strict=False):
            picture, lines = grey_picture(candidates.projections[number], limit), numbers(candidates, number)
            card.show_card(short_title(one), colour_of(one), picture, lines, one.winner)
            told = "\n".join(f"{name}: {line}" for name, line in zip(ROWS, lines, strict=True))
            card.setToolTip(f"{one.title}: {CARD_TIP}\n{told}")
        self._room = 0
        self._arrange()

    def _add_card(self) -> None:
        card, number = Card(self), len(self.cards)
        card.setCursor(Qt.CursorShape.PointingHandCursor)
        card.clicked.connect(lambda: self.clicked.emit(self.shown[number]))
        self.cards.append(card)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        self._arrange()

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.FontChange:
            self._arrange()

    def _arrange(self) -> None:
        """Lay the cards out in the fewest rows, at most `MOST_ROWS` unless the width is very small."""
        cards = [self.particle, *(card for card in self.cards[: len(self.shown)])]
        self._room = max(len(cards), self._room)  # The strip keeps its height while the next particle is computed.
        scale = text_scale(self.font())
        side, columns, rows = layout_of(self._room, int(self.width() / scale))
        for number, card in enumerate(cards):
            card.fit(side, rows)
            row, column = divmod(number, columns)
            card.move(column * (card.width() + 2), row * card.height())
        self.setFixedHeight(-(-self._room // columns) * round(scale * card_height(side, rows)))

    def picture(self) -> QImage:
        """Draw the particle and all candidates as they are laid out."""
        image = QImage(self.size(), QImage.Format.Format_ARGB32_Premultiplied)
        image.fill(Qt.GlobalColor.transparent)
        painter = QPainter(image)
        for card in (self.particle, *self.cards[: len(self.shown)]):
            painter.drawPixmap(card.pos(), card.grab())
        painter.end()
        return image


def card_height(side: int, rows: int) -> int:
    """Return the height of a card, px, whose picture has this side and beneath which are so many lines."""
    return 2 * PAD + BAR + side + rows * LINE + 4


def layout_of(count: int, width: int) -> tuple[int, int, int]:
    """Choose the side of the pictures of so many cards, px, how many are in a row, and the lines beneath each."""
    for side in range(WIDE_SIDE, LEAST_SIDE - 1, -2):
        columns = max(1, (width + 2) // (side + 2 * PAD + 2))
        if columns >= count:
            return side, columns, len(ROWS)
        if columns * MOST_ROWS >= count and side <= NARROW_SIDE:
            return side, -(-count // MOST_ROWS), FEW_LINES
    return LEAST_SIDE, columns, FEW_LINES


def numbers(candidates: ProjectionComparison, number: int) -> tuple[str, ...]:
    """Write a candidate's numbers as text, one line for each of `ROWS`."""
    probability = float(candidates.probability[number])
    share = f"{100 * probability:.3g} %" if probability >= 1e-5 else "< 0.001 %"
    angles = tuple(f"{angle:.1f}°" for angle in candidates.angles[number])
    x, y = candidates.shifts[number]
    return (f"{candidates.error[number]:.4f}", share, *angles, f"{x:.1f}, {y:.1f}")
