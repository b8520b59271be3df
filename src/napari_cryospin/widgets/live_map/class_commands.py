"""Buttons that drop the class on the canvas or merge it with another one, with a question first."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QMenu, QMessageBox, QPushButton, QVBoxLayout, QWidget

from napari_cryospin.views.class_pictures import ClassPicture
from napari_cryospin.widgets.kit.parts import WARNING, button, text_label, tint
from napari_cryospin.widgets.live_map.class_button import percent_of
from napari_cryospin.widgets.session.requests import Requests
from napari_cryospin.widgets.session.session import Session

DROP_TIP = "Take the class that is shown out of the run: its particles go to the most probable of the others"
MERGE_TIP = "Make one class of the one that is shown and another one"
NOT_WITH_HALVES = "Not possible with half sets, because each numbers its classes by itself"
DROP_QUESTION = (
    "Drop class {number} of {count}?\n\nIts {particles:,} particles ({share}) go to the most probable of the other "
    "classes, later classes move up, and the present epoch begins anew. There is no way back."
)
MERGE_QUESTION = (
    "Merge classes {first} ({first_share}) and {second} ({second_share})?\n\nThey become one class with one map, "
    "number {first}; later classes move up, and the present epoch begins anew. There is no way back."
)
CHANGED_MEANWHILE = "The run's classes changed while the question was open; nothing was sent."


class ClassCommands(QWidget):
    """Buttons of the class that is shown.

    Parameters
    ----------
    session
        Session whose run is asked.
    """

    merging = Signal(int)  # number that the merged class will have

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.shown: tuple[ClassPicture, ...] = ()
        self.number = 1
        self.requests = Requests(session, self)
        self.drop = button("Drop...", DROP_TIP, self._drop)
        self.merge = QPushButton("Merge with")
        self.others = QMenu(self.merge)
        self.merge.setMenu(self.others)
        self.message = text_label(colour=WARNING)
        row = QHBoxLayout()
        row.addWidget(self.drop)
        row.addWidget(self.merge)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        self.requests.changed.connect(self._show_requests)
        self.requests.refused.connect(self.show_message)
        session.run_changed.connect(self.forget)
        self.forget()

    def forget(self) -> None:
        """Forget the classes of the run before, and what was said of them."""
        self.show_message("")

    def show_classes(self, shown: Sequence[ClassPicture], number: int, possible: bool) -> None:
        """Offer the commands for a class.

        Parameters
        ----------
        shown
            All classes.
        number
            Class on the canvas, from 1.
        possible
            Whether the run goes on and its present state is shown.
        """
        self.shown, self.number = tuple(shown), number
        self.setVisible(possible and len(shown) > 1)
        self.others.clear()
        for other in shown:
            if other.number != number:
                action = self.others.addAction(f"Class {other.number} ({percent_of(other)})")
                assert action is not None
                action.triggered.connect(lambda _=False, with_=other.number: self._merge(with_))
        self._show_requests()

    def show_message(self, text: str) -> None:
        """Show a text that the user should read; empty: none."""
        self.message.setText(text)
        self.message.setVisible(bool(text))
        tint(self.message, WARNING)

    def _show_requests(self) -> None:
        dropping, merging = (self.requests.has(kind) for kind in ("drop-class", "merge-classes"))
        self.drop.setText("Drop requested..." if dropping else "Drop...")
        self.merge.setText("Merge requested..." if merging else "Merge with")
        halves = any(one.half for one in self.shown)
        for part, tip in ((self.drop, DROP_TIP), (self.merge, MERGE_TIP)):
            part.setEnabled(not (dropping or merging or halves))
            part.setToolTip(NOT_WITH_HALVES if halves else tip)

    def _drop(self) -> None:
        chosen = self.shown[self.number - 1]
        question = DROP_QUESTION.format(
            number=chosen.number, count=len(self.shown), particles=chosen.count, share=percent_of(chosen)
        )
        if self._agreed("Drop a class", question):
            self.requests.send("drop-class", str(chosen.number))

    def _merge(self, other: int) -> None:
        first, second = (self.shown[number - 1] for number in sorted((self.number, other)))
        question = MERGE_QUESTION.format(
            first=first.number, second=second.number, first_share=percent_of(first), second_share=percent_of(second)
        )
        if self._agreed("Merge classes", question):
            self.requests.send("merge-classes", str(first.number), str(second.number))
            self.merging.emit(first.number)

    def _agreed(self, title: str, question: str) -> bool:
        """Ask the user; classes that changed meanwhile may have other numbers now, so that his answer is void."""
        self.show_message("")
        before = len(self.shown)
        answer = QMessageBox.question(self, title, question)
        if answer == QMessageBox.StandardButton.Yes and len(self.shown) != before:
            self.show_message(CHANGED_MEANWHILE)
            return False
        return bool(answer == QMessageBox.StandardButton.Yes)
