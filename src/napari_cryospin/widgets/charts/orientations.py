"""Panel with the number of particles seen from each direction; a click turns the map to a direction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox

from napari_cryospin.views.curves import newest
from napari_cryospin.views.moment import Moment
from napari_cryospin.views.orientations import Orientations, orientations_at
from napari_cryospin.widgets.charts.chart_panel import ChartPanel
from napari_cryospin.widgets.charts.half_choice import HalfChoice
from napari_cryospin.widgets.sphere.sphere_map import SphereMaps

if TYPE_CHECKING:
    from napari.viewer import Viewer

EVERY, NEWS_EVERY = 1000, 5000  # ms between two countings: after a choice of the user, and after news of a run
NAME = "Particles seen from each direction"


class OrientationsPanel(ChartPanel):
    """Panel that shows from which directions the particles are seen.

    Parameters
    ----------
    napari_viewer
        The viewer, which napari passes.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        empty = "Start a run, or open one: view directions of its particles appear here."
        super().__init__(napari_viewer, empty, "cryospin-orientations", every=EVERY, news_every=NEWS_EVERY)
        self.sphere = SphereMaps(NAME, lambda value: f"{value:.0f} particles")
        self.sphere.setMinimumSize(200, 115)
        self.log = QCheckBox("Log colours")
        self.log.setToolTip("Colours by the logarithm of the count: shows what is rare as well")
        self.half = HalfChoice()
        self.caption.setToolTip(
            "Efficiency: 1 where directions are even; 0.5: half the particles, spread evenly, would do as well. "
            "Fourier space: share of the points on a shell that some particle's slice passes."
        )
        self.caption.setAlignment(Qt.AlignmentFlag.AlignVCenter)
        self.found: Orientations | None = None
        self._asked: object = None
        self._connect()
        self.lay_out_chart((self.log, self.half), self.sphere, (self.sphere,))

    def _connect(self) -> None:
        session = self.session
        self.sphere.direction_clicked.connect(self._choose)
        self.log.toggled.connect(self._show)
        self.half.currentIndexChanged.connect(self.request_drawing)
        session.snapshot_arrived.connect(self.on_news)
        session.epochs_changed.connect(self.on_news)
        session.particle_chosen.connect(self._particle_chosen)

    def forget(self) -> None:
        self.found, self._asked = None, None

    def has_content(self) -> bool:
        return self.session.snapshot is not None

    def draw(self) -> None:
        """Request the directions of the chosen moment and half set, unless that was done before."""
        session, snapshot = self.session, self.session.snapshot
        if snapshot is None or session.folder is None:
            return
        kept = [epoch for epoch in session.epochs if session.shown_epoch is not None and epoch <= session.shown_epoch]
        folder, resolution = session.folder, newest(session.metrics, "resolution", session.shown_epoch)
        self.half.offer(snapshot.particles.half_sets)
        moment, half = Moment(kept[-1]) if kept else Moment(snapshot.epoch, snapshot), self.half.half
        wanted = (folder.path, moment.snapshot or moment.epoch, half)
        if wanted != self._asked:
            self._asked = wanted
            self.worker.ask(
                lambda: (wanted, orientations_at(folder, moment, half, resolution)),
                then=self._take_orientations,
                failed=self._reading_failed,
            )

    def _take_orientations(self, answer: tuple[object, Orientations]) -> None:
        wanted, found = answer
        if wanted == self._asked:
            self.found = found
            self._show()

    def _reading_failed(self, error: Exception) -> None:
        self._asked = None
        self.caption.setText(f"The view directions cannot be read: {error}")

    def _show(self, _: Any = None) -> None:
        found = self.found
        if found is None:
            return
        self.sphere.set_maps([""], found.counts[None], log=self.log.isChecked())
        self.caption.setText(words_of(found))
        self._mark_particle()

    def _mark_particle(self, _: Any = None) -> None:
        """Mark the direction of the chosen particle with a ring."""
        found = self.found
        row = np.flatnonzero(np.zeros(0) if found is None else found.rows == self.session.particle)
        self.sphere.set_marker(found.directions[row[0]] if found is not None and len(row) else None)

    def _particle_chosen(self, particle: int) -> None:
        """Choose the half set of the chosen particle, and mark its direction."""
        snapshot = self.session.snapshot
        if snapshot is not None:
            for place in np.flatnonzero(snapshot.particles.rows == particle):
                self.half.show_half_of(int(place), snapshot.particles.half_sets)
        self._mark_particle()

    def _choose(self, direction: NDArray) -> None:
        """Choose a view direction, and the particle whose direction is nearest to it."""
        self.session.choose_direction(direction)
        if self.found is not None:
            nearest = int((self.found.directions @ direction).argmax())
            self.session.choose_particle(int(self.found.rows[nearest]))


def words_of(found: Orientations) -> str:
    """Write the figures of the view directions in one line."""
    empty = float((found.counts == 0).mean())
    parts = [f"{found.counts.sum():,} particles", f"empty cells {empty:.0%}", f"efficiency {found.efficiency:.2f}"]
    parts += [f"Fourier space {found.sampled:.0%} at {found.angstrom:.1f} Å", f"epoch {found.epoch}"]
    return "   ".join(parts)
