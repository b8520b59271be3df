"""Control of a run: start, watch, continue, and commands to it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from napari.utils.notifications import show_error
from qtpy.QtCore import QObject, QTimer, Signal

from napari_cryospin.methods import DESCRIPTIONS
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.launch import job_of, submit
from napari_cryospin.runs.messages import LIVE_STATES, CommandKind, Event, Status
from napari_cryospin.runs.waiting import waits_for_switch
from napari_cryospin.settings import Settings
from napari_cryospin.widgets.kit.option_names import with_fields
from napari_cryospin.widgets.kit.worker import Worker
from napari_cryospin.widgets.run.state import Standing
from napari_cryospin.widgets.session.requests import Requests
from napari_cryospin.widgets.session.session import Session

log = logging.getLogger(__name__)

SILENCE = 5.0
"""Seconds without a heartbeat after which it is checked whether the run has a driver."""
CHECK_EVERY = 2000  # ms between two checks whether the run has a driver


class RunControl(QObject):
    """Commands to the session's run, and requests that are not answered yet.

    Parameters
    ----------
    session
        Session whose run is controlled; also the parent. `run_control_of` returns the one that all panels share.
    """

    changed = Signal()
    progressed = Signal()  # a new status, with the standing unchanged
    refused = Signal(str)  # reason why a request was refused

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.session = session
        self.requests = Requests(session, self)
        self.requests.changed.connect(self.changed)
        self.requests.refused.connect(self.refused)
        self.beginning = False  # whether a run is being started
        self.gone = False
        self._last_standing: Standing | None = None  # at the last status
        self.job: str | None = None
        self.worker = Worker("cryospin-run-control", self)
        session.run_changed.connect(self._forget)
        session.status_changed.connect(self._take_status)
        session.folder_lost.connect(self.changed)
        self.timer = QTimer(self)
        self.timer.timeout.connect(self._check)
        self.timer.start(CHECK_EVERY)
        session.closing.connect(self._close)
        self._forget()

    # Standing

    @property
    def standing(self) -> Standing:
        """Standing of the watched run."""
        status = self.session.status
        if self.session.folder is None:
            return "none"
        if self.session.lost:
            return "lost"
        if status is None:
            return "starting"
        if status.state == "starting" and self.job is not None and self.gone:
            return "queued"
        if status.state in LIVE_STATES and self.gone:
            return "gone"
        settings = self._settings
        return "waiting" if settings is not None and waits_for_switch(status, settings) else status.state

    @property
    def left_to_the_user(self) -> bool:
        """Whether the switch of the watched run is made by hand."""
        return self._settings is not None and self._settings.schedule.switch == "by-hand"

    @property
    def has_switch(self) -> bool:
        """Whether the method of the watched run has a switch."""
        return self._settings is None or DESCRIPTIONS[self._settings.method].has_switch

    @property
    def alive(self) -> bool:
        """Whether the run has a driver, which would answer a request."""
        return self.standing in LIVE_STATES

    @property
    def can_continue(self) -> bool:
        """Whether the watched run could go on from its checkpoint."""
        return self.standing in ("gone", "stopped", "failed", "queued") and not self.beginning

    def requested(self, kind: CommandKind) -> bool:
        """Return whether a command was sent that is not answered yet."""
        return self.requests.has(kind)

    @property
    def switched(self) -> Event | None:
        """The event of the switch, once it was made."""
        return next((event for event in reversed(self.session.events) if event.kind == "switched"), None)

    # Requests

    def request(self, kind: CommandKind, *arguments: str) -> None:
        """Send a command to the run with what it is about, unless one of the same kind is not answered yet."""
        self.requests.send(kind, *arguments)

    def start(self, folder: Path, place: str, options: str = "") -> None:
        """Start a run of the session's particles with its settings.

        Parameters
        ----------
        folder
            Folder of the new run.
        place
            Place of the driver: window, process or slurm.
        options
            Options of sbatch.
        """
        source, settings = self.session.source, self.session.settings
        if source is not None:
            self._begin(lambda: _placed(RunFolder.create(folder, source, settings), place, options))

    def continue_run(self, place: str, options: str = "") -> None:
        """Continue the watched run from its checkpoint; one that waits for the switch makes it."""
        folder = self.session.folder
        if folder is not None:
            self._begin(lambda: _placed(folder, place, options))

    def pause_or_resume(self) -> None:
        """Let the run wait after the present step, or go on."""
        if self.alive:
            self.request("resume" if self.standing == "paused" else "pause")

    def make_switch(self, place: str = "window", options: str = "") -> None:
        """Switch to auto-decoding; a run that waits for that goes on with it, driven at a place as in `start`."""
        if self.standing == "waiting":
            self.continue_run(place, options)
        else:
            self.request("switch")

    def attach(self, folder: Path) -> None:
        """Watch the run in a folder, which is driven elsewhere or has ended."""
        try:
            self.session.watch(RunFolder(folder))
        except (OSError, ValueError) as error:
            show_error(with_fields(error))

    def _begin(self, place: Callable[[], tuple[RunFolder, str, str]]) -> None:
        if self.session.driven_here:
            show_error("A run is going on in this window; stop it before another one is started.")
            return
        self.beginning = True
        self.changed.emit()
        self.worker.ask(place, then=self._begun, failed=self._beginning_failed)

    # Answers of the run and of the thread

    def _note_driver(self, answer: tuple[RunFolder, bool, str | None]) -> None:
        folder, driven, self.job = answer
        self.gone = folder is self.session.folder and not driven
        self.changed.emit()

    def _begun(self, answer: tuple[RunFolder, str, str]) -> None:
        folder, place, complaint = answer
        self.beginning = False
        try:
            if place == "slurm":
                self.session.watch(folder)
            else:
                self.session.start(folder, own_process=place == "process")
        except (RuntimeError, OSError) as error:
            show_error(with_fields(error))
        if complaint:
            show_error(complaint)
        self.changed.emit()

    def _beginning_failed(self, error: Exception) -> None:
        self.beginning = False
        show_error(with_fields(error))
        self.changed.emit()

    def _forget(self) -> None:
        self._settings = _settings_of(self.session.folder)
        self.gone, self.job, self._last_standing = False, None, None
        if self.session.folder is not None and self.session.status is not None:
            self._check()
        self.changed.emit()

    def _take_status(self, status: Status) -> None:
        if time.time() - status.heartbeat < SILENCE:
            self.gone = False
        else:
            self._check()
        same, self._last_standing = self._last_standing == self.standing, self.standing
        (self.progressed if same else self.changed).emit()

    def _close(self) -> None:
        self.timer.stop()
        self.worker.end()

    def _check(self) -> None:
        """Check in the thread whether a run has a driver, if its status is live and its heartbeat is old."""
        session, status = self.session, self.session.status
        if session.lost or status is None or status.state not in LIVE_STATES or session.driven_here:
            self.gone = False
            return
        started_here = session.process is not None and session.process.poll() is None
        if not started_here and time.time() - status.heartbeat > SILENCE:
            folder = session.folder
            assert folder is not None
            self.worker.ask(lambda: (folder, folder.is_driven(), job_of(folder)), then=self._note_driver)


def run_control_of(session: Session) -> RunControl:
    """Return the control of a session's run, which the first call makes."""
    found = session.findChild(RunControl)
    return found if isinstance(found, RunControl) else RunControl(session)


def _settings_of(folder: RunFolder | None) -> Settings | None:
    """Read the settings of a run; None: there is none, or another version wrote settings that this one cannot read."""
    if folder is None:
        return None
    try:
        return folder.settings
    except (OSError, ValueError) as error:
        log.warning("%s", error)
        return None


def _placed(folder: RunFolder, place: str, options: str) -> tuple[RunFolder, str, str]:
    """Submit the job of a run on Slurm; return the run, the place of its driver, and a text for the user."""
    if place != "slurm":
        return folder, place, ""
    try:
        submit(folder, options)
    except (FileNotFoundError, ValueError) as error:  # The user can submit the job by hand.
        return folder, place, with_fields(error)
    return folder, place, ""
