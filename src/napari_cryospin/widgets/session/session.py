"""What all docks of one viewer share: the particles, the run that is watched, and what the user looks at.

Docks come and go; the session stays as long as the viewer. It imports no torch: the engine is loaded by the thread that
drives a run.
"""

from __future__ import annotations

import logging
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
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

if TYPE_CHECKING:
    from napari.viewer import Viewer

log = logging.getLogger(__name__)

WATCH_EVERY, WATCH_EVERY_IDLE = 200, 2000  # ms between two looks at a run's folder: while it lives, and afterwards
CLOSING_WAIT = 2.0  # s that closing the window waits for a run to save and end


class Session(QObject):
    """The state behind the docks; all of its signals are emitted in the window's thread.

    Attributes
    ----------
    particles, source
        The particles that were opened, and from which files; None: none yet.
    truth
        File with true poses of these particles, where there is one.
    settings
        Of the next run; kept from one time to the next.
    folder
        The run that is watched; None: none yet.
    status, snapshot, events, metrics, epochs
        What is known of that run; `epochs` are those with a history.
    particle
        Row of the input that the user looks at.
    shown_epoch
        Epoch whose map is shown; None: the newest.
    hand_flipped
        Whether this run's map is shown, and exported, point-inverted (`evaluation.hand`). View directions stay what
        they are; poses under the inverted map are `HAND_FLIP @ A`.
    view
        `(3, 3)` rotation under which the map is seen on the canvas (see `camera_link`).
    """

    particles_changed = Signal()
    settings_changed = Signal()
    run_changed = Signal()  # another folder, or the same one told anew: forget what was shown
    status_changed = Signal(object)  # Status
    events_arrived = Signal(object)  # tuple of Event
    metrics_arrived = Signal(object)  # tuple of dict
    snapshot_arrived = Signal(object)  # Snapshot
    epochs_changed = Signal(object)  # tuple of int
    particle_chosen = Signal(int)
    direction_chosen = Signal(object)  # (3,) unit vector: view direction in the map's frame
    epoch_shown = Signal(object)  # int, or None: the newest
    hand_changed = Signal(bool)
    turn_asked = Signal(object)  # (3, 3) rotation: whoever shows the map turns it to this view
    view_turned = Signal(object)  # (3, 3) rotation: the map was turned
    theme_changed = Signal()  # napari's colours are others now: `colours.theme_of(viewer)`
    closing = Signal()  # the window goes: end your threads

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.particles: Particles | None = None
        self.source: RunInput | None = None
        self.truth: Path | None = None
        self.settings = recall_settings()
        self.particle = 0
        self.shown_epoch: int | None = None
        self.hand_flipped = False
        self.view = np.eye(3)
        self.thread_of_run: RunThread | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self._forget(None)
        self._worker = Worker("cryospin-watch", self)
        self._worker.answered.connect(self._hear)
        self._worker.failed.connect(self._lost)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._look)
        self._timer.start(WATCH_EVERY)

    # What is looked at

    def set_particles(self, particles: Particles, source: RunInput, truth: Path | None = None) -> None:
        """Take particles that were opened as the input of the next run."""
        self.particles, self.source, self.truth = particles, source, truth
        self.particles_changed.emit()

    def set_settings(self, settings: Settings) -> None:
        """Take settings for the next run."""
        if settings != self.settings:
            self.settings = settings
            remember_settings(settings)
            self.settings_changed.emit()

    def choose_particle(self, row: int) -> None:
        """Look at one particle: row of the input."""
        if row != self.particle:
            self.particle = row
            self.particle_chosen.emit(row)

    def choose_direction(self, direction: np.ndarray) -> None:
        """Look along a direction: `(3,)` unit vector in the map's frame."""
        self.direction_chosen.emit(np.asarray(direction, dtype=np.float64))

    def show_epoch(self, epoch: int | None) -> None:
        """Go back to the end of an epoch; None: follow the run."""
        if epoch != self.shown_epoch:
            self.shown_epoch = epoch
            self.epoch_shown.emit(epoch)

    def flip_hand(self, flipped: bool) -> None:
        """Show the map as the other hand, or as the run has it."""
        if flipped != self.hand_flipped:
            self.hand_flipped = flipped
            self.hand_changed.emit(flipped)

    def turn_to(self, rotation: np.ndarray) -> None:
        """Ask for the map, as it is drawn, seen under `(3, 3)` `rotation`."""
        self.turn_asked.emit(np.asarray(rotation, dtype=np.float64))

    def turn_to_pose(self, rotation: np.ndarray) -> None:
        """Ask for the map as a particle of the run with pose `(3, 3)` `rotation` shows it, in either hand."""
        self.turn_to(HAND_FLIP @ rotation if self.hand_flipped else rotation)

    def turn_view(self, rotation: np.ndarray) -> None:
        """The map is seen under `(3, 3)` `rotation` now; told by what draws it."""
        if not np.allclose(rotation, self.view, atol=1e-4):
            self.view = np.asarray(rotation, dtype=np.float64)
            self.view_turned.emit(self.view)

    def tell_theme(self, _: object = None) -> None:
        """napari changed its theme; told by a Qt signal, which forgets panels that are gone."""
        self.theme_changed.emit()

    # The run

    @property
    def live(self) -> bool:
        """Whether the watched run goes on, as far as is known."""
        return self.status is not None and self.status.state in LIVE_STATES

    @property
    def driven_here(self) -> bool:
        """Whether a thread of this window drives a run."""
        return self.thread_of_run is not None and self.thread_of_run.is_alive()

    def start(self, folder: RunFolder, own_process: bool = False) -> None:
        """Drive a run, new or stopped, and watch it: in a thread of this window, or in a process that outlives it.

        Raises
        ------
        RuntimeError
            A thread of this window drives a run already.
        """
        if own_process:
            self.process = start_process(folder)
        else:
            if self.driven_here:
                raise RuntimeError("a run is going on in this window; stop it before another one is started")
            self.thread_of_run = start_thread(folder, self.particles if self._is_input_of(folder) else None)
        self.watch(folder)

    def _is_input_of(self, folder: RunFolder) -> bool:
        return self.source is not None and self.source.to_json() == folder.source.to_json()

    def watch(self, folder: RunFolder) -> None:
        """Show a run: one that was just started, goes on elsewhere, or ended long ago."""
        if self.folder is None or self.folder.path != folder.path:
            self.hand_flipped = False
        self._forget(folder)
        self.run_changed.emit()
        self._timer.start(WATCH_EVERY)
        self._look()

    def send(self, kind: CommandKind) -> Command:
        """Ask something of the watched run; its answer comes as an event with the command's id."""
        assert self.folder is not None
        command = Command(kind=kind, reason="by hand")
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
        self._watch = FolderWatch(folder) if folder is not None else None

    def _look(self) -> None:
        watch = self._watch
        if watch is not None:
            self._worker.ask("look", lambda: (watch, watch.look()))
        thread = self.thread_of_run
        if thread is not None and thread.error is not None and not thread.is_alive():
            self._tell_failure(thread.error)

    def _tell_failure(self, error: BaseException) -> None:
        """Say that the thread of a run failed where the run's folder does not say it: it could not be driven, say."""
        self.thread_of_run = None
        if self.status is None or self.status.state != "failed":
            self.status = replace(self.status or Status(state="failed"), state="failed", message=with_fields(error))
            self.status_changed.emit(self.status)

    def _hear(self, _: str, answer: tuple[FolderWatch, News]) -> None:
        watch, news = answer
        if watch is not self._watch or not news:
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

    def _lost(self, _: str, error: Exception) -> None:
        # A folder on a network disk may be gone for a moment: look again, more slowly.
        log.warning("the run's folder cannot be read: %s", error)
        self._timer.setInterval(WATCH_EVERY_IDLE)


_sessions: WeakKeyDictionary[Viewer, Session] = WeakKeyDictionary()
"""Where a dock finds what it shares with the others: napari hands a widget its viewer, and nothing else."""


def session_of(viewer: Viewer) -> Session:
    """The session of a viewer; made when it is first asked for."""
    # napari hands each widget a proxy of its own, which is gone with the widget.
    viewer = getattr(viewer, "__wrapped__", viewer)
    if viewer not in _sessions:
        _sessions[viewer] = Session()
        viewer.events.theme.connect(_sessions[viewer].tell_theme)
    return _sessions[viewer]
