"""State that all docks of one viewer share: the particles, the watched run, and what the user chose to see.

Docks come and go; the session lives as long as the viewer. It imports no torch, because the thread that drives a run
loads the engine.
"""

from __future__ import annotations

import logging
import subprocess
from bisect import bisect_left
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.settings import get_settings
from qtpy.QtCore import QObject, QTimer, Signal

from napari_cryospin.geometry.hand import HAND_FLIP
from napari_cryospin.particles import Particles
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.launch import RunThread, start_process
from napari_cryospin.runs.messages import LIVE_STATES, Command, CommandKind, Event, Status
from napari_cryospin.runs.snapshot import Snapshot
from napari_cryospin.runs.source import RunInput
from napari_cryospin.runs.watch import FolderWatch, News
from napari_cryospin.settings import Settings
from napari_cryospin.widgets.kit.option_names import with_fields
from napari_cryospin.widgets.kit.preferences import recall_settings, remember_settings
from napari_cryospin.widgets.kit.worker import Worker
from napari_cryospin.widgets.session.driving import start_thread
from napari_cryospin.widgets.session.shared_selection import SharedSelection

if TYPE_CHECKING:
    from napari.viewer import Viewer

log = logging.getLogger(__name__)

WATCH_EVERY, WATCH_EVERY_IDLE = 200, 2000
"""ms between two readings of a run's folder: while the run lives, and afterwards."""
CLOSING_WAIT = 2.0  # s that the closing window waits for a run to save and end


class Session(QObject):
    """Shared state of the docks; all of its signals are emitted in the window's thread.

    Attributes
    ----------
    particles, source
        Particles that are open, and their files; None: none yet.
    truth
        File with true poses of these particles; None: there is none.
    settings
        Settings of the next run; stored for the next session.
    folder
        Folder of the watched run; None: none yet.
    status, snapshot, events, metrics, epochs
        Newest state of that run; `epochs` are those with a history.
    lost
        Whether the folder of the watched run is not there any more, when it was read last.
    particle
        Chosen particle: row of the input.
    selection
        Selected particles of the watched run, which every panel shows.
    shown_epoch
        Epoch whose map is shown; None: the newest.
    hand_flipped
        Whether this run's map is shown and exported point-inverted (`geometry.hand`). View directions do not change;
        poses under the inverted map are `HAND_FLIP @ A`.
    view
        `(3, 3)` rotation under which the map is seen on the canvas (see `camera_link`).
    """

    particles_changed = Signal()
    settings_changed = Signal()
    run_changed = Signal()  # another folder, or one that began anew: what was shown is void
    status_changed = Signal(object)  # Status
    events_arrived = Signal(object)  # tuple of Event
    metrics_arrived = Signal(object)  # tuple of dict
    snapshot_arrived = Signal(object)  # Snapshot
    epochs_changed = Signal(object)  # tuple of int
    folder_lost = Signal(bool)  # whether the folder of the run is not there; it may come back
    particle_chosen = Signal(int)
    direction_chosen = Signal(object)  # (3,) unit vector: view direction in the map's frame
    epoch_shown = Signal(object)  # int, or None: the newest
    hand_changed = Signal(bool)
    turn_requested = Signal(object)  # (3, 3) rotation to which the map is to be turned
    view_turned = Signal(object)  # (3, 3) rotation to which the map was turned
    theme_changed = Signal()  # napari has other colours now, or texts of another size: `colours.theme_of(viewer)`
    closing = Signal()  # The window closes: threads must end.

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.particles: Particles | None = None
        self.source: RunInput | None = None
        self.truth: Path | None = None
        self.settings = recall_settings()
        self.particle = 0
        self.selection = SharedSelection(self)
        self.shown_epoch: int | None = None
        self.hand_flipped = False
        self.view = np.eye(3)
        self.thread_of_run: RunThread | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self._forget(None)
        self._worker = Worker("cryospin-watch", self)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._read_folder)
        self._timer.start(WATCH_EVERY)

    # What the user chose

    def set_particles(self, particles: Particles, source: RunInput, truth: Path | None = None) -> None:
        """Make particles the input of the next run."""
        self.particles, self.source, self.truth = particles, source, truth
        self.particles_changed.emit()

    def set_settings(self, settings: Settings) -> None:
        """Set the settings of the next run, and store them."""
        if settings != self.settings:
            self.settings = settings
            remember_settings(settings)
            self.settings_changed.emit()

    def choose_particle(self, row: int) -> None:
        """Choose a particle, by its row of the input."""
        if row != self.particle:
            self.particle = row
            self.particle_chosen.emit(row)

    def choose_direction(self, direction: np.ndarray) -> None:
        """Choose a view direction, a `(3,)` unit vector in the map's frame."""
        self.direction_chosen.emit(np.asarray(direction, dtype=np.float64))

    def show_epoch(self, epoch: int | None) -> None:
        """Show the map at the end of an epoch; None: follow the run."""
        if epoch != self.shown_epoch:
            self.shown_epoch = epoch
            self.epoch_shown.emit(epoch)

    def step_epoch(self, by: int) -> None:
        """Show the map of an epoch before or after the one that is shown; after the last one, follow the run."""
        if not self.epochs:
            return
        shown = len(self.epochs) if self.shown_epoch is None else bisect_left(self.epochs, self.shown_epoch)
        place = max(0, shown + by)
        self.show_epoch(self.epochs[place] if place < len(self.epochs) else None)

    def step_particle(self, by: int) -> None:
        """Choose the particle before or after the chosen one, of those of the run, or of all that are open."""
        if self.snapshot is not None:
            rows = np.sort(self.snapshot.particles.rows)
        elif self.particles is not None:
            rows = np.arange(len(self.particles))
        else:
            return
        place = int(np.searchsorted(rows, self.particle)) + by
        self.choose_particle(int(rows[min(max(place, 0), len(rows) - 1)]))

    def flip_hand(self, flipped: bool) -> None:
        """Show the map in the other hand, or as the run has it."""
        if flipped != self.hand_flipped:
            self.hand_flipped = flipped
            self.hand_changed.emit(flipped)

    def turn_to(self, rotation: np.ndarray) -> None:
        """Request that the map, as it is drawn, is turned to `(3, 3)` `rotation`."""
        self.turn_requested.emit(np.asarray(rotation, dtype=np.float64))

    def turn_to_pose(self, rotation: np.ndarray) -> None:
        """Request that the map is turned as a particle with pose `(3, 3)` `rotation` shows it, in either hand."""
        self.turn_to(HAND_FLIP @ rotation if self.hand_flipped else rotation)

    def turn_view(self, rotation: np.ndarray) -> None:
        """Note that the map is drawn under `(3, 3)` `rotation` now."""
        if not np.allclose(rotation, self.view, atol=1e-4):
            self.view = np.asarray(rotation, dtype=np.float64)
            self.view_turned.emit(self.view)

    def announce_theme(self, _: object = None) -> None:
        """Emit `theme_changed`. Panels connect to it, because Qt disconnects those that were deleted."""
        self.theme_changed.emit()

    # The run

    @property
    def live(self) -> bool:
        """Whether the watched run goes on, by its last status."""
        return self.status is not None and self.status.state in LIVE_STATES

    @property
    def driven_here(self) -> bool:
        """Whether a thread of this window drives a run."""
        return self.thread_of_run is not None and self.thread_of_run.is_alive()

    def start(self, folder: RunFolder, own_process: bool = False) -> None:
        """Drive a run, new or stopped, in a thread of this window or in a process that outlives it; and watch it.

        Raises
        ------
        RuntimeError
            A thread of this window already drives a run.
        """
        if own_process:
            self.process = start_process(folder)
        else:
            if self.driven_here:
                raise RuntimeError("a run is going on in this window; stop it before another one is started")
            self.thread_of_run = start_thread(folder, self.particles if self.is_input_of(folder) else None)
        self.watch(folder)

    def is_input_of(self, folder: RunFolder) -> bool:
        """Return whether the particles that are open are those of a run, with the same files beside them."""
        try:
            return self.source is not None and self.source.to_json() == folder.source.to_json()
        except (OSError, ValueError) as error:
            log.warning("%s", error)
            return False

    @property
    def truth_of_run(self) -> Path | None:
        """File with true poses of the watched run's particles; None where others are open, or no truth is known."""
        if self.folder is None or self.source is None:
            return None
        try:
            same = self.folder.source.particles.resolve() == self.source.particles.resolve()
        except (OSError, ValueError) as error:  # The folder was deleted or damaged since it is watched.
            log.warning("%s", error)
            return None
        return self.truth if same else None

    def watch(self, folder: RunFolder) -> None:
        """Watch the run in a folder: new, driven elsewhere, or ended."""
        if self.folder is None or self.folder.path != folder.path:
            self.hand_flipped = False
            self.selection.clear()
        self._forget(folder)
        self.run_changed.emit()
        self._timer.start(WATCH_EVERY)
        self._read_folder()

    def send(self, kind: CommandKind, *arguments: str) -> Command:
        """Send a command to the watched run, which answers with an event that has the command's id."""
        assert self.folder is not None
        command = Command(kind=kind, arguments=arguments, reason="by hand")
        self.folder.send(command)
        return command

    def close(self) -> None:
        """End the thread that drives a run, with a checkpoint, and stop watching."""
        self.closing.emit()
        self._timer.stop()
        self._worker.end()
        if self.thread_of_run is not None and self.thread_of_run.is_alive():
            self.thread_of_run.stop.set()
            self.thread_of_run.join(CLOSING_WAIT)

    # Watching

    def _forget(self, folder: RunFolder | None) -> None:
        self.folder = folder
        self.status: Status | None = None
        self.snapshot: Snapshot | None = None
        self.events: list[Event] = []
        self.metrics: list[dict[str, Any]] = []
        self.epochs: tuple[int, ...] = ()
        self.shown_epoch = None
        self.lost = False
        self._watch = FolderWatch(folder) if folder is not None else None

    def _read_folder(self) -> None:
        watch = self._watch
        if watch is not None:
            self._worker.ask(lambda: (watch, watch.look()), then=self._take_news, failed=self._reading_failed)
        thread = self.thread_of_run
        if thread is not None and thread.error is not None and not thread.is_alive():
            self._report_failure(thread.error)

    def _report_failure(self, error: BaseException) -> None:
        """Show the failure of a thread that could not drive its run, which the run's folder does not record."""
        self.thread_of_run = None
        if self.status is None or self.status.state != "failed":
            self.status = replace(self.status or Status(state="failed"), state="failed", message=with_fields(error))
            self.status_changed.emit(self.status)

    def _take_news(self, answer: tuple[FolderWatch, News]) -> None:
        watch, news = answer
        if watch is not self._watch:
            return
        self._note_lost(False)
        if not news:
            return
        if news.restarted:
            self._forget(self.folder)
            self._watch = watch
            self.run_changed.emit()
        if news.metrics:
            self.metrics += news.metrics
            self.metrics_arrived.emit(news.metrics)
        if news.epochs is not None:
            self.epochs = news.epochs
            self.epochs_changed.emit(news.epochs)
        if news.snapshot is not None:
            self.snapshot = news.snapshot
            self.snapshot_arrived.emit(news.snapshot)
        if news.events:
            self.events += news.events
            self.events_arrived.emit(news.events)
        if news.status is not None:
            self.status = news.status
            self.status_changed.emit(news.status)
            self._timer.setInterval(WATCH_EVERY if self.live else WATCH_EVERY_IDLE)

    def _reading_failed(self, error: Exception) -> None:
        # A folder on a network disk may be unavailable for a moment, so it is read again, less often.
        log.warning("the run's folder cannot be read: %s", error)
        self._timer.setInterval(WATCH_EVERY_IDLE)
        self._note_lost(self.folder is not None and not self.folder.path.is_dir())

    def _note_lost(self, lost: bool) -> None:
        if lost != self.lost:
            self.lost = lost
            self.folder_lost.emit(lost)


_sessions: WeakKeyDictionary[Viewer, Session] = WeakKeyDictionary()
"""Viewer -> session. napari gives a dock its viewer and nothing else, so a dock finds its session here."""


def session_of(viewer: Viewer) -> Session:
    """Return the session of a viewer, which the first call makes."""
    # napari gives each widget a proxy of its own, which is deleted with the widget.
    viewer = getattr(viewer, "__wrapped__", viewer)
    if viewer not in _sessions:
        _sessions[viewer] = Session()
        viewer.events.theme.connect(_sessions[viewer].announce_theme)
        get_settings().appearance.events.font_size.connect(_sessions[viewer].announce_theme)
    return _sessions[viewer]
