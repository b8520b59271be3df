"""Box of the map's symmetry: what it has or looks like, and buttons to impose one or to relax it."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLineEdit, QMessageBox, QWidget

from napari_cryospin.runs.messages import Status
from napari_cryospin.symmetry_names import GROUP_NAMES, IS_SOUGHT, LOOKS_SYMMETRIC, canonical_name
from napari_cryospin.widgets.kit.parts import GOOD, button, text_label

IMPOSE_TIP = "Turn map and poses to RELION's axes of this point group, and average the map over it from now on"
RELAX_TIP = "Let the map be without symmetry, also where one is still looked for; it stays where it is"
IMPOSE_QUESTION = (
    "Impose {group} on this run? {told}\n\nMap and poses are turned to RELION's axes, the map is averaged over the "
    "group, and an epoch begins anew. The run refuses a group that the map does not nearly have."
)
RELAX_QUESTION = (
    "Relax {group}?\n\nThe map is no longer averaged, and each particle takes one of its equivalent poses by chance."
)
FORGET_QUESTION = "Go on without {group}?\n\nThe run does not look for it in its map any more, and imposes nothing."


class SymmetryBox(QWidget):
    """Row with the symmetry of the run's map.

    Parameters
    ----------
    parent
        Parent of the row.
    """

    chosen = Signal(str)  # group to impose; C1: relax

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = text_label()
        self.group = QLineEdit()
        self.group.setPlaceholderText("group")
        self.group.setToolTip(f"Expected {GROUP_NAMES}")
        self.group.setFixedWidth(self.group.fontMetrics().horizontalAdvance("D12000"))
        self.group.textEdited.connect(self._edited)
        self.impose = button("Impose...", IMPOSE_TIP, self._impose)
        self.relax = button("Relax...", RELAX_TIP, self._relax)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.text, 1)
        for part in (self.group, self.impose, self.relax):
            row.addWidget(part)
        self.current, self.told, self.possible, self.by_hand = "C1", "", False, False
        self.sought = ""  # Group that the run looks for.

    def show_state(self, status: Status | None, *, possible: bool, requested: bool) -> None:
        """Show the symmetry of the map, and what may be done; nothing where it is not known.

        Parameters
        ----------
        status
            Status of the run.
        possible
            Whether the run has a driver, which would answer a request.
        requested
            Whether a change was requested and is not answered yet.
        """
        self.setVisible(status is not None and bool(status.symmetry))
        if status is None:
            return
        self.current, looks_like = status.symmetry, status.looks_like
        self.sought = looks_like.partition(f" {IS_SOUGHT}")[0] if IS_SOUGHT in looks_like else ""
        self.told = f"Its map {looks_like}." if looks_like.startswith("looks ") else ""
        self.possible = possible and not requested
        waiting = "change requested..." if requested else looks_like
        text = f"Symmetry {self.current}" + (f": {waiting}" if waiting else "")
        self.text.show_text(text, GOOD if looks_like.startswith(LOOKS_SYMMETRIC) and not requested else "")
        for part in (self.group, self.impose):
            part.setVisible(possible)
        self.relax.setVisible(possible and (self.current != "C1" or bool(self.sought)))
        if not self.by_hand:
            self.group.setText(advised_group(looks_like))
        self._show_possible()

    def _edited(self, text: str) -> None:
        self.by_hand = bool(text)
        self._show_possible()

    def _show_possible(self) -> None:
        self.group.setEnabled(self.possible)
        self.impose.setEnabled(self.possible and self._named() not in ("", self.current))
        self.relax.setEnabled(self.possible)

    def _named(self) -> str:
        try:
            return canonical_name(self.group.text())
        except ValueError:
            return ""

    def _impose(self) -> None:
        self._ask(IMPOSE_QUESTION, self._named(), self._named(), self.told)

    def _relax(self) -> None:
        question, group = (FORGET_QUESTION, self.sought) if self.sought else (RELAX_QUESTION, self.current)
        self._ask(question, group, "C1")

    def _ask(self, question: str, about: str, wanted: str, told: str = "") -> None:
        answer = QMessageBox.question(self, "Symmetry", question.format(group=about, told=told))
        if answer == QMessageBox.StandardButton.Yes:
            self.by_hand = False
            self.chosen.emit(wanted)


def advised_group(looks_like: str) -> str:
    """Return the group in the engine's words "looks like C3 (0.98)"; empty: there is none."""
    return looks_like.partition("like ")[2].partition(" ")[0]
