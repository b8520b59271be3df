"""Job that shows a run in ChimeraX. The session owns it, so it goes on when the panel is closed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error
from qtpy.QtCore import QObject, Signal

from napari_cryospin.exporters.chimerax import ChimeraXView
from napari_cryospin.exporters.chimerax_program import find_chimerax, open_in_chimerax
from napari_cryospin.exporters.chimerax_remote import PORT, REMOTE_CONTROL_COMMAND, ChimeraXRemote, LiveModel
from napari_cryospin.exporters.options import ExportOptions
from napari_cryospin.exporters.table import export_run
from napari_cryospin.widgets.kit.preferences import recall_choice
from napari_cryospin.widgets.kit.worker import Worker
from napari_cryospin.widgets.session.session import Session

if TYPE_CHECKING:
    from napari_cryospin.runs.snapshot import Snapshot

NOT_FOUND = "ChimeraX was not found. Install it, or choose its program."
PROGRAM_CHOICE = "chimerax program"
"""Name of the stored choice of ChimeraX's program."""


class ChimeraXJob(QObject):
    """Job that starts ChimeraX on a run's files, or keeps a model in a running ChimeraX up to date, in a thread.

    Parameters
    ----------
    session
        Session; also the parent.

    Attributes
    ----------
    port, follows
        Port on which ChimeraX listens; whether it receives each new map.
    live
        Model that is kept up to date; None: there is none.
    opening, not_found
        Whether files are being written to start ChimeraX on; whether its program was not found.
    searched
        Where it was looked for in vain.
    message, went_wrong
        Text for the user; whether it reports a failure.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.session = session
        self.port, self.follows = PORT, True
        self.live: LiveModel | None = None
        self.opening, self.not_found, self.message, self.went_wrong = False, False, "", False
        self.searched = ""
        self._of: Path | None = None  # folder of the run whose map is shown
        self._worker = Worker("cryospin-chimerax", self)
        session.snapshot_arrived.connect(self._follow)
        session.hand_changed.connect(self._turn_over)
        session.run_changed.connect(self._new_run)
        session.closing.connect(self._worker.end)
        self._rest()

    def listen_at(self, port: int) -> None:
        """Use another port of ChimeraX from now on."""
        if port != self.port:
            self.port = port
            self._rest()

    def set_follows(self, follows: bool) -> None:
        """Set whether each new map is sent."""
        self.follows = follows
        self.changed.emit()

    def open(self, options: ExportOptions) -> None:
        """Write the run for ChimeraX into its folder, and start ChimeraX on it."""
        folder = self.session.folder
        if folder is None:
            return

        chosen = recall_choice(PROGRAM_CHOICE)
        program = Path(chosen) if chosen else None

        def work() -> str:
            find_chimerax(program)  # This fails before anything is written.
            script = export_run(folder, "chimerax", folder.path / "exported" / "chimerax", options=options).paths[0]
            open_in_chimerax(script, program)
            return f"Started ChimeraX on {script}"

        self.opening, self.not_found = True, False
        self._show_message("Writing maps...")
        self._worker.ask(work, then=self._opened, failed=self._opening_failed)

    def send(self, view: ChimeraXView) -> None:
        """Show the present map in a ChimeraX that is running."""
        snapshot, folder = self.session.snapshot, self.session.folder
        if snapshot is None or folder is None:
            self._show_message("No map yet.")
            return
        self.live, self._of = LiveModel(ChimeraXRemote(self.port), view), folder.path
        self._show(snapshot)

    def _rest(self) -> None:
        """Stop sending, and show how to begin."""
        self.live = None
        self._show_message(f"To send to ChimeraX, type there once:\n{REMOTE_CONTROL_COMMAND.format(port=self.port)}")

    def _show_message(self, text: str, went_wrong: bool = False) -> None:
        self.message, self.went_wrong = text, went_wrong
        self.changed.emit()

    def _follow(self, snapshot: Snapshot) -> None:
        if self.live is not None and self.follows:
            self._show(snapshot)

    def _turn_over(self, _: bool) -> None:
        if self.session.snapshot is not None:
            self._follow(self.session.snapshot)

    def _new_run(self) -> None:
        folder = self.session.folder
        if folder is None or folder.path != self._of:  # Another run, not the same one that began anew.
            self._rest()

    def _show(self, snapshot: Snapshot) -> None:
        live, flipped = self.live, self.session.hand_flipped
        assert live is not None

        def work() -> str:
            live.show(snapshot, flip=flipped)
            return f"ChimeraX shows step {snapshot.step:,}"

        self._worker.ask(work, then=self._show_message, failed=self._sending_failed)

    def _opened(self, text: str) -> None:
        self.opening = False
        self._show_message(text)

    def _opening_failed(self, error: Exception) -> None:
        self.opening = False
        self.not_found, self.searched = isinstance(error, FileNotFoundError), str(error)
        # No notification, because the user has just pressed the button beside the message.
        self._show_message(NOT_FOUND if self.not_found else str(error), went_wrong=True)

    def _sending_failed(self, error: Exception) -> None:
        self.live = None  # The model is lost, so later maps are not sent.
        self._report(f"Nothing more is sent to ChimeraX: {error}")

    def _report(self, failure: str) -> None:
        self._show_message(failure, went_wrong=True)
        show_error(failure)


def chimerax_job_of(session: Session) -> ChimeraXJob:
    """Return the session's job for ChimeraX, which the first call makes."""
    found = session.findChild(ChimeraXJob)
    return found if isinstance(found, ChimeraXJob) else ChimeraXJob(session)
