"""Commands to the session's run that are not answered yet. A request counts as done only when the run answered it."""

from __future__ import annotations

from napari.utils.notifications import show_error
from qtpy.QtCore import QObject, Signal

from napari_cryospin.runs.messages import LIVE_STATES, CommandKind, Event, Status
from napari_cryospin.widgets.session.session import Session


class Requests(QObject):
    """Requests of one panel.

    Parameters
    ----------
    session
        Session whose run is asked.
    parent
        Parent of this object.

    Attributes
    ----------
    unanswered : dict
        Id of a command -> its kind, until the run has answered.
    """

    changed = Signal()
    refused = Signal(str)  # reason why a request was refused

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self.session = session
        self.unanswered: dict[str, CommandKind] = {}
        session.run_changed.connect(self.unanswered.clear)
        session.status_changed.connect(self._take_status)
        session.events_arrived.connect(self._take_events)

    def has(self, kind: CommandKind) -> bool:
        """Return whether a command was sent that is not answered yet."""
        return kind in self.unanswered.values()

    def send(self, kind: CommandKind, *arguments: str) -> None:
        """Send a command to the run with what it is about, unless one of the same kind is not answered yet."""
        if self.session.folder is None or self.has(kind):
            return
        try:
            command = self.session.send(kind, *arguments)
        except OSError as error:
            show_error(f"{self.session.folder.path}: the run cannot be reached: {error}")
            return
        self.unanswered[command.id] = kind
        self.changed.emit()

    def _take_status(self, status: Status) -> None:
        if status.state not in LIVE_STATES:
            self.unanswered.clear()

    def _take_events(self, events: tuple[Event, ...]) -> None:
        for event in events:
            kind = self.unanswered.pop(str(event.detail.get("id", "")), None)
            if event.kind == "refused" and kind is not None:
                self.refused.emit(f"{kind} was refused: {event.detail.get('reason', '')}")
        self.changed.emit()
