"""Panel with the posteriors of many particles, sorted by uncertainty; a page of them is computed in the background."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import QComboBox, QHBoxLayout

from napari_cryospin.views.moment import Moment
from napari_cryospin.views.posterior.run_posteriors import RunPosteriors
from napari_cryospin.widgets.kit.line_label import LineLabel
from napari_cryospin.widgets.kit.option_names import with_fields
from napari_cryospin.widgets.kit.page_worker import PageWorker
from napari_cryospin.widgets.kit.parts import button
from napari_cryospin.widgets.kit.worker import Worker
from napari_cryospin.widgets.posterior.wall import SmallPosterior, Wall
from napari_cryospin.widgets.session.panel import Panel

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from qtpy.QtGui import QShowEvent

WALL_EMPTY = "Start a run, or open one: with its first epoch, the particles whose pose is in doubt appear here."
MOST_FIRST, LEAST_FIRST, BY_ROW = "Most uncertain first", "Most certain first", "In the order of the input"
UNSORTED = "This run computes no uncertainties by which particles could be sorted."
Listing = tuple[RunPosteriors, Moment, NDArray[np.int64], NDArray[np.float32] | None]


class WallPanel(Panel):
    """Panel that shows which particles' poses are in doubt.

    Parameters
    ----------
    napari_viewer
        Viewer, given by napari.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer, empty=WALL_EMPTY)
        self.posteriors: RunPosteriors | None = None
        self.rows: NDArray[np.int64] = np.zeros(0, np.int64)
        self.entropy: NDArray[np.float32] | None = None
        self.order: NDArray[np.int64] = np.zeros(0, np.int64)
        self.first = 0
        self._moment: Moment | None = None
        self.wall = Wall()
        self.worker = Worker("cryospin-wall-order", self)
        session = self.session
        self.page = PageWorker("cryospin-wall", self.wall, lambda: session.live, self)
        self._build()
        session.run_changed.connect(self._new_run)
        for signal in (session.epochs_changed, session.epoch_shown):
            signal.connect(self._look)
        session.particle_chosen.connect(self._mark)
        session.selection.changed.connect(self._sort)
        session.closing.connect(self._end)
        self._new_run()

    def _build(self) -> None:
        self.sorting = QComboBox()
        self.sorting.addItems([MOST_FIRST, LEAST_FIRST, BY_ROW])
        self.sorting.setToolTip("Which particles come first, by the entropy of their posterior in the newest epoch")
        self.which = QComboBox()
        self.which.addItems(["All particles", "Selected ones"])
        self.which.setToolTip("All particles of the run, or only those that are selected in any panel")
        self.kind = QComboBox()
        self.kind.addItems(["Flat maps", "Globes"])
        self.kind.setToolTip("Flat maps show all directions; of a globe, the side with the best view is seen")
        self.before = button("◂", "The particles before these", lambda: self.turn(-1))
        self.after = button("▸", "The particles after these", lambda: self.turn(1))
        self.where = LineLabel()
        row = QHBoxLayout()
        for narrow in (self.before, self.after):
            narrow.setFixedWidth(30)
        for part in (self.sorting, self.which, self.kind, self.before, self.after):
            row.addWidget(part)
        row.addWidget(self.where, 1)
        self.content.setContentsMargins(4, 2, 4, 2)
        self.content.setSpacing(2)
        self.content.addLayout(row)
        self.content.addWidget(self.wall, 1)
        self.sorting.activated.connect(self._sort)
        self.which.activated.connect(self._sort)
        self.kind.currentIndexChanged.connect(self._redraw)
        self.wall.clicked.connect(self.session.choose_particle)
        self.wall.fitted.connect(self._show_page)
        self.page.found.connect(self._add)
        self.page.page_done.connect(self._look)
        self.page.failed.connect(self._tell_failure)

    # What there is

    def _new_run(self) -> None:
        self.page.begin(None)
        folder = self.session.folder
        self.posteriors = None if folder is None else RunPosteriors(folder)
        self._moment, self.first = None, 0
        self.rows = self.order = np.zeros(0, np.int64)
        self.wall.forget()
        self.show_empty()
        self._look()

    def _look(self, _: object = None) -> None:
        """Read which particles there are at the shown epoch, if the panel is visible and another one was shown."""
        epochs, shown = self.session.epochs, self.session.shown_epoch
        posteriors = self.posteriors
        kept = [epoch for epoch in epochs if shown is None or epoch <= shown]
        if posteriors is None or not kept or not self.isVisible():
            return
        if self._moment is not None and self._moment.epoch == kept[-1]:
            return
        if self.page.working and shown is None and self.session.live:
            return  # The page is finished first; its end looks again.
        moment = self._moment = Moment(kept[-1])
        self.page.begin(None)
        self.worker.ask(
            lambda: (posteriors, moment, *posteriors.entropies(moment)), then=self._list, failed=self._show_failure
        )

    def _list(self, answer: Listing) -> None:
        posteriors, moment, rows, entropy = answer
        if posteriors is not self.posteriors or moment is not self._moment:
            return
        known = entropy is not None and bool(np.isfinite(entropy).any())
        self.rows, self.entropy = rows, entropy if known else None
        self.sorting.setEnabled(known)
        self.sorting.setToolTip(self.sorting.toolTip() if known else UNSORTED)
        self.wall.forget()
        self.page.begin(partial(small_posterior, posteriors, moment))
        self.show_content()
        self._sort()

    def _sort(self, _: object = None) -> None:
        """Put the particles in order, and show the first page."""
        selection, rows = self.session.selection, self.rows
        way = self.sorting.currentText() if self.entropy is not None else BY_ROW
        order = np.argsort(rows, kind="stable")
        if self.entropy is not None and way != BY_ROW:
            doubt = np.nan_to_num(self.entropy, nan=-1.0)
            order = np.argsort(doubt if way == LEAST_FIRST else -doubt, kind="stable")
        ordered = rows[order]
        if self.which.currentIndex() == 1:
            ordered = ordered[selection.among(ordered)]
        self.order, self.first = ordered, 0
        self._show_page()

    def turn(self, pages: int) -> None:
        """Show a page before or after this one."""
        last = max(0, len(self.order) - 1) // self.wall.fits * self.wall.fits
        self.first = min(max(0, self.first + pages * self.wall.fits), last)
        self._show_page()

    def _redraw(self, _: object = None) -> None:
        self.wall.set_globes(self.kind.currentIndex() == 1)
        self._show_page()

    def _mark(self, row: int) -> None:
        self.wall.chosen = row
        self.wall.update()

    def _show_page(self) -> None:
        page = self.order[self.first : self.first + self.wall.fits]
        self.wall.chosen = self.session.particle
        self.wall.show_rows(page, self.session.selection.among(page))
        end = self.first + len(page)
        text = f"{self.first + 1:,} to {end:,} of {len(self.order):,}" if len(page) else "none"
        epoch = "" if self._moment is None else f", epoch {self._moment.epoch}"
        self.where.setText(text + epoch)
        self.before.setEnabled(self.first > 0)
        self.after.setEnabled(end < len(self.order))
        self.page.fill()

    def _add(self, _row: int, found: SmallPosterior) -> None:
        self.wall.add(found)

    def _show_failure(self, error: Exception) -> None:
        self._tell_failure(with_fields(error))

    def _tell_failure(self, text: str) -> None:
        self.show_content()
        self.where.setText(text)

    def showEvent(self, event: QShowEvent | None) -> None:
        super().showEvent(event)
        self._look()
        self._show_page()

    def _end(self) -> None:
        self.page.end()
        self.worker.end()


def small_posterior(posteriors: RunPosteriors, moment: Moment, row: int, cancelled: threading.Event) -> SmallPosterior:
    """Compute the posterior of a particle as the wall shows it."""
    return SmallPosterior.of(row, posteriors.directions_of(row, moment, cancelled).log_posterior)
