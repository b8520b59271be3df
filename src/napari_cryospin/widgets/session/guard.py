"""The question before napari is closed while a run goes on in it; the run is then saved and ended."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QMainWindow, QMessageBox, QWidget

from napari_cryospin.widgets.session.session import Session

GUARD_NAME = "cryospin-guard"
START_PAGE = "cryospin-start"
"""Name of the widget that lies over the empty canvas, and is none of napari's."""


class Guard(QObject):
    """Event filter on napari's window that asks before a run is ended.

    Parameters
    ----------
    window
        napari's window.
    session
        Session whose run ends with the window.
    """

    def __init__(self, window: QWidget, session: Session) -> None:
        super().__init__(window)
        self.setObjectName(GUARD_NAME)
        self.session = session
        window.installEventFilter(self)

    def eventFilter(self, window: QObject | None, event: QEvent | None) -> bool:
        if window is None or event is None or event.type() != QEvent.Type.Close:
            return False
        if self.session.driven_here and not taken_apart(window) and not self.may_close():
            event.ignore()
            return True
        # napari may ask a question of its own and then stay open, so the run ends only when the window has closed.
        window.event(event)
        if event.isAccepted():
            self.session.close()
        return True

    def may_close(self) -> bool:
        """Ask the user whether a run that goes on may be ended."""
        answer = QMessageBox.question(
            self.parent(),  # type: ignore[arg-type]
            "A reconstruction is going on",
            "Closing napari saves the reconstruction and ends it; it can be resumed later from its folder.\n\nClose?",
            QMessageBox.StandardButton.Close | QMessageBox.StandardButton.Cancel,
            QMessageBox.StandardButton.Cancel,
        )
        return answer == QMessageBox.StandardButton.Close


def taken_apart(window: QObject) -> bool:
    """Return whether `viewer.close()` in a script has removed the canvas, so that nothing is left to keep open."""
    centre = window.centralWidget() if isinstance(window, QMainWindow) else None
    if centre is None:
        return False
    parts = centre.findChildren(QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly)
    return all(part.isHidden() for part in parts if part.objectName() != START_PAGE)


def guard(window: QWidget | None, session: Session) -> None:
    """Install the guard on napari's window, unless it has one."""
    if isinstance(window, QMainWindow) and window.findChild(QObject, GUARD_NAME) is None:
        Guard(window, session)
