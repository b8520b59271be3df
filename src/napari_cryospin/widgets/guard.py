"""Closing napari while a run goes on in it: ask first, then save and end."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QMainWindow, QMessageBox, QWidget

from napari_cryospin.widgets.session import Session

NAME = "cryospin-guard"


class Guard(QObject):
    """Event filter on napari's window.

    Parameters
    ----------
    window
        napari's window.
    session
        Whose run ends with the window.
    """

    def __init__(self, window: QWidget, session: Session) -> None:
        super().__init__(window)
        self.setObjectName(NAME)
        self.session = session
        window.installEventFilter(self)

    def eventFilter(self, window: QObject | None, event: QEvent | None) -> bool:
        if event is None or event.type() != QEvent.Type.Close:
            return False
        if self.session.driven_here and not self.may_close():
            event.ignore()
            return True
        self.session.close()
        return False

    def may_close(self) -> bool:
        """Ask whether a run that goes on may be ended."""
        answer = QMessageBox.question(
            self.parent(),  # type: ignore[arg-type]
            "A reconstruction is going on",
            "Closing napari saves the reconstruction and ends it; it can be resumed later from its folder.\n\nClose?",
            QMessageBox.StandardButton.Close | QMessageBox.StandardButton.Cancel,
            QMessageBox.StandardButton.Cancel,
        )
        return answer == QMessageBox.StandardButton.Close


def guard(window: QWidget | None, session: Session) -> None:
    """Watch over the closing of napari's window, once."""
    if isinstance(window, QMainWindow) and window.findChild(QObject, NAME) is None:
        Guard(window, session)
