"""View of the pre-flight card: content of a particle set, and what prevents a run."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from napari_cryospin.advice import Advice
from napari_cryospin.listing import first_of
from napari_cryospin.settings import PreparationSettings
from napari_cryospin.widgets.kit.option_names import PLACES_OF_OPTIONS, with_fields
from napari_cryospin.widgets.kit.parts import ERROR, GOOD, WARNING, button, gib, heading_label, text_label, tint

if TYPE_CHECKING:
    from napari_cryospin.checks.preflight import PreflightCard

CARD_ROWS = ("file", "particles", "box", "used as", "optics groups", "CTF", "poses", "images", "contrast", "memory")
OFFER = PLACES_OF_OPTIONS["leave_out_bad"][0]
"""Text of the button, as messages name it."""


class CardView(QWidget):
    """View of a card as rows of text, with a button beside each problem that a button can solve."""

    folder_wanted = Signal()  # The user wants to choose the folder of missing stacks.
    list_wanted = Signal()  # The user wants the names of all missing stacks.
    inversion_wanted = Signal()
    leaving_out_wanted = Signal()  # The user wants to leave out images that cannot be used, or to undo that.

    def __init__(self) -> None:
        super().__init__()
        # A form layout would give text that wraps too little height, and cut it.
        form = QGridLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(3)
        form.setColumnStretch(1, 1)
        self.rows = {name: text_label() for name in CARD_ROWS}
        self.invert = button("Invert the contrast", "Multiply the images by -1", self.inversion_wanted.emit)
        for name, label in self.rows.items():
            title = heading_label(name)
            row = form.rowCount()
            form.addWidget(title, row, 0, Qt.AlignmentFlag.AlignTop)
            form.addWidget(label, row, 1)
            if name == "contrast":
                form.addWidget(self.invert, row + 1, 1)
        self.verdict = text_label(bold=True)
        self.problems, self.notes = text_label(colour=ERROR), text_label()
        self.find_folder = button("Find folder...", "Where the missing stacks are", self.folder_wanted.emit)
        tip = "Write the names of all missing stacks to a file, one a line"
        self.save_list = button("Save the list...", tip, self.list_wanted.emit)
        tip = "Run without the images that cannot be used; the run's folder lists them"
        self.leave_out = button(OFFER, tip, self.leaving_out_wanted.emit)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        about_stacks = QHBoxLayout()
        about_stacks.addWidget(self.find_folder)
        about_stacks.addWidget(self.save_list)
        layout.addWidget(self.verdict)
        layout.addWidget(self.problems)
        layout.addLayout(about_stacks)
        layout.addWidget(self.leave_out)
        layout.addWidget(self.notes)

    def show_card(self, card: PreflightCard, preparation: PreparationSettings) -> None:
        """Show the card of particles with these settings."""
        inverted, left_out = preparation.invert_contrast, preparation.leave_out_bad
        for name, text in card_texts(card).items():
            self.rows[name].setText(text)
        self.rows["file"].setToolTip(card.source)
        black = card.contrast is not None and card.contrast.verdict == "black"
        tint(self.rows["contrast"], WARNING if black else "")
        self.invert.setText("Undo the inversion" if inverted else "Invert the contrast")
        self.invert.setVisible(black or inverted)
        text, colour = verdict_of(card, black)
        self.verdict.show_text(text, colour, bold=True)
        self.problems.setText(in_window(card.problems))
        self.problems.setToolTip(self.problems.text())  # A long name without blanks cannot wrap.
        self.problems.setVisible(bool(card.problems))
        advised = {option for found in card.problems if isinstance(found, Advice) for option in found.options}
        for offered in (self.find_folder, self.save_list):
            offered.setVisible("data_dir" in advised)
        self.leave_out.setText("Refuse images that cannot be used" if left_out else OFFER)
        self.leave_out.setVisible(card.survey is not None and bool(card.survey.faults))
        self.notes.setText(in_window(card.notes))
        self.notes.setVisible(bool(card.notes))


def verdict_of(card: PreflightCard, black: bool) -> tuple[str, str]:
    """Return the text that says whether a run should begin, and its colour; `black`: the protein is dark."""
    if card.problems:
        return "Not ready for a run", ERROR
    return ("Not ready: protein is dark, invert the contrast", WARNING) if black else ("Ready for a run", GOOD)


def in_window(messages: Iterable[str]) -> str:
    """Write problems or notes one a line, with the window's fields and buttons that would help, and with Angstroms."""
    return "\n".join(re.sub(r"(?<=\d) A\b", " Å", with_fields(message)) for message in messages)


def card_texts(card: PreflightCard) -> dict[str, str]:
    """Write the rows of a card: row -> text."""
    boxes = [f"{box or '?'} px of {size:.4g} Å" for box, size in zip(card.boxes, card.pixel_sizes, strict=True)]
    used = f"{card.working_box} px of {card.working_pixel_size:.4g} Å" if card.working_box else "unknown"
    return {
        "file": card.source.replace("\\", "/").rsplit("/", 1)[-1],
        "particles": f"{card.count:,}" + (f", of which {card.used:,} are used" if card.used < card.count else ""),
        "box": first_of(boxes),
        "used as": used,
        "optics groups": str(card.optics_groups),
        "CTF": card.ctf.replace(" A,", " Å,"),
        "poses": card.poses.replace(" A ", " Å "),
        "images": str(card.survey) if card.survey else "not looked at",
        "contrast": str(card.contrast).replace("+-", "±") if card.contrast else "not judged",
        "memory": f"about {gib(card.memory_in_all)}; images and volume {gib(card.memory)} of it",
    }
