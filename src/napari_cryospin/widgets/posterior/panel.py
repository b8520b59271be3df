"""Panel of one particle's pose posterior: globe, flat map, zoom, and the map's projection at every candidate."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel

from napari_cryospin.views.classes import class_probabilities
from napari_cryospin.views.moment import Moment
from napari_cryospin.views.posterior.particle_posterior import ParticlePosterior
from napari_cryospin.widgets.kit.colours import theme_of
from napari_cryospin.widgets.kit.option_names import with_fields
from napari_cryospin.widgets.kit.redraw import lay_out
from napari_cryospin.widgets.kit.torch_threads import compute_alone
from napari_cryospin.widgets.kit.worker import Worker
from napari_cryospin.widgets.posterior.candidate_strip import CandidateStrip
from napari_cryospin.widgets.posterior.class_bar import ClassBar
from napari_cryospin.widgets.posterior.legend import PosteriorLegend
from napari_cryospin.widgets.posterior.map_link import MapLink
from napari_cryospin.widgets.posterior.particle_picker import ParticlePicker
from napari_cryospin.widgets.posterior.saving import SaveButton, grab, save_picture, stacked
from napari_cryospin.widgets.posterior.words import (
    EMPTY,
    figures_of,
    later_epoch,
    note_of,
    scene_of,
    title_of,
    waiting_for,
)
from napari_cryospin.widgets.session.panel import Panel
from napari_cryospin.widgets.sphere.views import DirectionViews

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from qtpy.QtGui import QHideEvent, QShowEvent

    from napari_cryospin.runs.messages import Status
    from napari_cryospin.views.run_view import RunView

FOLLOW_EVERY, FOLLOW_AT_LEAST = 3.0, 15.0  # s, shortest and longest time between two posteriors of a run that goes on
PAINTING = 30  # ms from the posterior's arrival, for its painting, until its detail is computed
FOLLOWING_SHARE = 0.02  # share of the time that following the run may take


class PosteriorPanel(Panel):
    """Panel that shows the pose posterior of one particle.

    Parameters
    ----------
    napari_viewer
        The viewer, which napari passes.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer, empty=EMPTY)
        self.posterior: ParticlePosterior | None = None
        self.view_of_run: RunView | None = None
        self._cancelled = threading.Event()
        self._moment: Moment | None = None
        self._stale = True
        self._answered_at, self._cost = 0.0, 0.0
        self._build()
        self._worker = Worker("cryospin-posterior", self)
        self._timer, self._paint_first = QTimer(self), QTimer(self)
        for timer, do in ((self._timer, self._follow_run), (self._paint_first, self._ask_detail)):
            timer.setSingleShot(True)
            timer.timeout.connect(do)
        self._connect()
        self._apply_theme()
        self._run_changed()

    def _build(self) -> None:
        self.picker, self.views = ParticlePicker(), DirectionViews()
        self.legend, self.strip = PosteriorLegend(), CandidateStrip()
        self.title, self.note = QLabel(), QLabel()
        for label in (self.title, self.note):
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.classes = ClassBar()
        self.log = QCheckBox("Log")
        self.log.setToolTip("Logarithmic colours, by powers of ten, which show what is unlikely as well")
        self.link = MapLink(self.session, self.views.sphere, self)
        self.save = SaveButton(lambda: f"posterior_{self.session.particle + 1}", self._write)
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self.link.linked)
        row.addWidget(self.log)
        row.addStretch(1)
        row.addWidget(self.link.face)
        row.addWidget(self.save)
        self.content.setSpacing(5)
        self.content.addWidget(self.picker)
        self.content.addWidget(self.title)
        self.content.addWidget(self.classes)
        self.content.addWidget(self.strip)
        self.content.addWidget(self.views, 1)
        self.content.addLayout(row)
        self.content.addWidget(self.legend)
        self.content.addWidget(self.note)

    def _connect(self) -> None:
        session = self.session
        session.run_changed.connect(self._run_changed)
        session.particles_changed.connect(self._particles_changed)
        session.snapshot_arrived.connect(self._on_news)
        session.status_changed.connect(self._status_changed)
        session.epochs_changed.connect(self._on_news)
        session.epoch_shown.connect(self._epoch_shown)
        session.particle_chosen.connect(self._particle_chosen)
        session.theme_changed.connect(self._apply_theme)
        session.closing.connect(self._stop)
        self.picker.chosen.connect(session.choose_particle)
        self.strip.clicked.connect(self.link.show_pose)
        self.log.toggled.connect(self._recolour)
        for signal in (self.views.sphere.clicked, self.views.flat.clicked, self.views.close_up.clicked):
            signal.connect(session.choose_direction)

    # What is to be shown

    def _run_changed(self) -> None:
        from napari_cryospin.views.run_view import RunView  # As in `live_map.comparisons`.

        self._cancelled.set()
        session = self.session
        self.view_of_run = None if session.folder is None else RunView(session.folder, session.truth_of_run)
        self.posterior = self._moment = None
        self._cost = 0.0
        self.link.forget()
        self.views.show_scene(None)
        self.legend.show_scene(None)
        self.strip.clear()
        self.picker.set_entropy(None)
        self.show_empty(waiting_for(session))
        self._on_news()

    def _particles_changed(self) -> None:
        """Begin anew where the truth of the run's particles became known, or is no longer."""
        if self.view_of_run is not None and self.view_of_run.truth != self.session.truth_of_run:
            self._run_changed()

    def _on_news(self, _: object = None) -> None:
        """Schedule the posterior under a new map, if the panel is visible and follows the run."""
        if self.session.snapshot is not None and self._moment is None:
            self.picker.set_rows(self.session.snapshot.particles.rows)
            self.picker.show_particle(self.session.particle)
        if self.is_empty:
            self.show_empty(waiting_for(self.session))
        self._stale = True
        self._mark_lag()
        if self.isVisible() and not self._timer.isActive() and self.session.shown_epoch is None:
            pause = min(max(FOLLOW_EVERY, self._cost / FOLLOWING_SHARE), FOLLOW_AT_LEAST)
            wait = pause - (time.monotonic() - self._answered_at)
            self._timer.start(max(0, int(1000 * wait)))

    def _status_changed(self, status: Status) -> None:
        """Show the newest map of a run that does not go on; its computation takes no time from the run."""
        if self.is_empty:
            self.show_empty(waiting_for(self.session))
        if self._stale and status.state != "running":
            self._follow_run()

    def _epoch_shown(self, _: object) -> None:
        self._moment = None
        self._mark_lag()
        self.ask()

    def _particle_chosen(self, particle: int) -> None:
        self.picker.show_particle(particle)
        self.ask()

    def _follow_run(self) -> None:
        """Show the posterior under the newest map."""
        if self.isVisible() and self._stale and self.session.shown_epoch is None:
            self._moment = None
            self.ask(following=self.posterior is not None)

    def showEvent(self, event: QShowEvent | None) -> None:
        super().showEvent(event)
        if self._stale:
            self._moment = None
            self.ask()

    def hideEvent(self, event: QHideEvent | None) -> None:
        super().hideEvent(event)
        self._cancelled.set()
        self._stale = True

    # Questions and answers

    def _present_moment(self) -> Moment | None:
        """Return the moment that is shown, of an epoch or the newest; it stays while the user chooses particles."""
        session = self.session
        if self._moment is None:
            if session.shown_epoch is not None:
                self._moment = Moment(session.shown_epoch)
            elif session.snapshot is not None:
                self._moment = Moment(session.snapshot.epoch, session.snapshot)
        return self._moment

    def ask(self, following: bool = False) -> None:
        """Request the posterior of the chosen particle, and cancel the request before it.

        Parameters
        ----------
        following
            Whether the panel follows the run, so that no user waits: then the detail is computed at once.
        """
        moment, view, particle = self._present_moment(), self.view_of_run, self.session.particle
        if not self.isVisible() or moment is None or view is None:
            self._stale = True
            return
        self._cancelled.set()
        self._paint_first.stop()  # Otherwise the detail of the particle before could be shown after this posterior.
        self._cancelled = cancelled = threading.Event()
        self._stale = False
        busy = self.session.live

        def compute() -> tuple[threading.Event, ParticlePosterior]:
            compute_alone(busy)
            found = view.posteriors.of(particle, moment, cancelled)
            return cancelled, view.posteriors.with_detail(found, cancelled) if following else found

        self._worker.ask(compute, then=self._take_posterior, failed=self._show_failure)

    def _take_posterior(self, answer: tuple[threading.Event, ParticlePosterior]) -> None:
        cancelled, found = answer
        if cancelled is not self._cancelled or cancelled.is_set():
            return
        is_new = self.posterior is None or self.posterior.directions is not found.directions
        if is_new or found.detail is None:
            self._show_posterior(found)
        if found.detail is None:
            self._draw(found)
            self._paint_first.start(PAINTING)
        else:
            self._show_detail(found)
        lay_out()

    def _ask_detail(self) -> None:
        view, posterior, cancelled = self.view_of_run, self.posterior, self._cancelled
        if view is not None and posterior is not None and not cancelled.is_set():
            self._worker.ask(
                lambda: (cancelled, view.posteriors.with_detail(posterior, cancelled)),
                then=self._take_detail,
                failed=self._show_failure,
            )

    def _take_detail(self, answer: tuple[threading.Event, ParticlePosterior]) -> None:
        # This is a separate method, because the worker drops a waiting call with the same receiver, and a detail must
        # not replace a waiting posterior.
        self._take_posterior(answer)

    def _show_failure(self, error: Exception) -> None:
        if not isinstance(error, CancelledError):
            self.note.setText(with_fields(error))
            if self.posterior is None or self.posterior.particle != self.session.particle:
                self.posterior = None
                self.link.forget()
                self.views.show_scene(None)
                self.legend.show_scene(None)
                self.strip.clear()
                self.title.setText("")
                self.classes.hide()
            self.show_content()

    def _show_posterior(self, posterior: ParticlePosterior) -> None:
        before, self.posterior = self.posterior, posterior
        self._answered_at, self._cost = time.monotonic(), posterior.seconds
        if before is None or before.particle != posterior.particle:
            self.strip.clear()
        self.show_content()
        self.picker.set_rows(posterior.rows)
        self.picker.set_entropy(posterior.entropies, posterior.rows)
        self.picker.show_particle(posterior.particle)
        self._entitle(posterior)
        self.classes.show_probabilities(class_probabilities(posterior.record, posterior.particle))
        self.note.setText(note_of(posterior))
        self.link.show_posterior(posterior)

    def _entitle(self, posterior: ParticlePosterior) -> None:
        self._mark_lag()
        self.title.setToolTip(figures_of(posterior))

    def _mark_lag(self) -> None:
        """Write the title, which says so where the map has gone on since the posterior was computed."""
        if self.posterior is not None:
            self.title.setText(title_of(self.posterior, later_epoch(self.posterior, self.session)))

    def _show_detail(self, posterior: ParticlePosterior) -> None:
        detail = posterior.detail
        assert detail is not None
        self.posterior = posterior
        self._answered_at, self._cost = time.monotonic(), posterior.seconds + detail.seconds
        self._draw(posterior)
        self.views.show_zoom(detail.zoom)
        self.strip.show_poses(detail.shown, detail.comparison)
        self._entitle(posterior)
        self.note.setText(note_of(posterior))

    def _recolour(self) -> None:
        if self.posterior is not None:
            self._draw(self.posterior)

    def _draw(self, posterior: ParticlePosterior) -> None:
        scene = scene_of(posterior, self.log.isChecked())
        self.views.show_scene(scene)
        self.legend.show_scene(scene)

    # Picture and numbers

    def _write(self, path: Path) -> None:
        """Write a picture or numbers, as the path's suffix says; write nothing if there is no posterior yet."""
        if self.posterior is None:
            return
        if path.suffix == ".png":
            save_picture(self.picture(), path)
        else:
            self.posterior.save(path)

    def picture(self) -> QImage:
        """Draw text, classes, maps, legend and candidates beneath each other, including parts that are out of sight."""
        background = theme_of(self.viewer).background
        above = [self.title] if self.classes.isHidden() else [self.title, self.classes]
        top, beneath = ([grab(part) for part in parts] for parts in (above, (self.legend, self.note)))
        return stacked([*top, self.strip.picture(), self.views.picture(background), *beneath], background)

    def _apply_theme(self) -> None:
        self.views.sphere.set_background(theme_of(self.viewer).background)

    def _stop(self) -> None:
        self._cancelled.set()
        self._worker.end()
