"""Gallery of particle, projection and difference, sorted by any figure; a page is computed in the background."""

from __future__ import annotations

import threading
from functools import partial

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from napari_cryospin.views.moment import Moment
from napari_cryospin.views.posterior.run_posteriors import RunPosteriors
from napari_cryospin.widgets.kit.line_label import LineLabel
from napari_cryospin.widgets.kit.page_worker import PageWorker
from napari_cryospin.widgets.kit.parts import button
from napari_cryospin.widgets.selection.figures import FIGURE_TIPS, POSE_ERROR, ParticleFigures
from napari_cryospin.widgets.selection.triples import Triples
from napari_cryospin.widgets.session.session import Session


def figure_combo(tip: str, start: str) -> QComboBox:
    """Make a list of all figures."""
    combo = QComboBox()
    combo.setMinimumContentsLength(6)
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    for name, text in FIGURE_TIPS.items():
        combo.addItem(name, name)
        combo.setItemData(combo.count() - 1, text, Qt.ItemDataRole.ToolTipRole)
    combo.setToolTip(tip)
    combo.setCurrentText(start)
    return combo


class ParticleGallery(QWidget):
    """Gallery of the selected particles, or of all where none are selected.

    Parameters
    ----------
    session
        Session that has the selection.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.figures: ParticleFigures | None = None
        self.order: NDArray[np.int64] = np.zeros(0, np.int64)
        self.first = 0
        self.triples = Triples()
        self.page = PageWorker("cryospin-gallery", self.triples, lambda: session.live, self)
        self.sorting = figure_combo("The figure by which particles are sorted; it stands beneath each", "error")
        self.down = QToolButton()
        self.down.setText("▼")
        self.down.setCheckable(True)
        self.down.setChecked(True)
        self.down.setToolTip("Highest first, or lowest first")
        self.before = button("◂", "The particles before these", lambda: self.turn(-1))
        self.after = button("▸", "The particles after these", lambda: self.turn(1))
        self.where = LineLabel()
        row = QHBoxLayout()
        for narrow in (self.before, self.after):
            narrow.setFixedWidth(30)
        for part in (QLabel("Sorted by"), self.sorting, self.down, self.before, self.after):
            row.addWidget(part)
        row.addWidget(self.where, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(row)
        layout.addWidget(self.triples, 1)
        self.sorting.currentIndexChanged.connect(self.sort)
        self.down.toggled.connect(self._turn_round)
        self.triples.clicked.connect(session.choose_particle)
        self.triples.fitted.connect(self.show_page)
        self.page.found.connect(self.triples.add)
        self.page.failed.connect(self.where.setText)
        session.selection.changed.connect(self.sort)
        session.particle_chosen.connect(self._mark)
        session.closing.connect(self.page.end)

    def show_figures(self, figures: ParticleFigures, posteriors: RunPosteriors, moment: Moment) -> None:
        """Show the particles of a run with the projections of its map at one moment."""
        self.figures = figures
        self.page.begin(partial(image_and_projection, posteriors, moment))
        self.triples.forget()
        self.sort()

    def forget(self) -> None:
        """Show nothing, because another run is watched."""
        self.page.begin(None)
        self.figures = None
        self.order = np.zeros(0, np.int64)
        self.triples.forget()
        self.show_page()

    def sort(self, _: object = None) -> None:
        """Put the particles in order, and show the first page."""
        figures, selection = self.figures, self.session.selection
        if figures is None:
            return
        every = np.ones(len(figures.results), bool)
        among = selection.among(figures.rows) if len(selection) else every
        self.order = figures.sorted_rows(self.sorting.currentText(), self.down.isChecked(), among)
        self.first = 0
        self.show_page()

    def _turn_round(self, down: bool) -> None:
        self.down.setText("▼" if down else "▲")
        self.sort()

    def turn(self, pages: int) -> None:
        """Show a page before or after this one."""
        fits = self.triples.fits
        self.first = min(max(0, self.first + pages * fits), max(0, len(self.order) - 1) // fits * fits)
        self.show_page()

    def show_page(self) -> None:
        page = self.order[self.first : self.first + self.triples.fits]
        self.triples.chosen = self.session.particle
        self.triples.show_rows(page, self._captions(page), self.session.selection.among(page))
        end = self.first + len(page)
        self.where.setText(f"{self.first + 1:,} to {end:,} of {len(self.order):,}" if len(page) else "")
        self.before.setEnabled(self.first > 0)
        self.after.setEnabled(end < len(self.order))
        self.page.fill()

    def _captions(self, page: NDArray[np.int64]) -> tuple[str, ...]:
        if self.figures is None:
            return ()
        name = self.sorting.currentText()
        values = self.figures.column(name)[np.searchsorted(self.figures.rows, page)]
        unit = "°" if name in (POSE_ERROR, "rot", "tilt", "psi", "precision") else ""
        return tuple(f"{value:.3g}{unit}" if np.isfinite(value) else "?" for value in values)

    def _mark(self, row: int) -> None:
        self.triples.chosen = row
        self.triples.update()


def image_and_projection(
    posteriors: RunPosteriors, moment: Moment, row: int, cancelled: threading.Event
) -> NDArray[np.float32]:
    """Compute the `(2, n, n)` pictures of a particle."""
    return posteriors.beside_projection(row, moment, cancelled)
