"""Panel with the number of particles seen from each direction, or their doubt, error, class or junk.

A click turns the map to a direction, a lasso selects the particles that are seen from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QComboBox, QLabel

from napari_cryospin.geometry.sphere_projection import FlatProjection, GlobeProjection
from napari_cryospin.views.curves import newest
from napari_cryospin.views.direction_figures import DirectionFigure, FigureOfDirections
from napari_cryospin.views.moment import Moment
from napari_cryospin.views.orientations import Orientations, orientations_at
from napari_cryospin.views.run_view import RunView
from napari_cryospin.widgets.charts.chart_panel import ChartPanel
from napari_cryospin.widgets.charts.half_choice import HalfChoice
from napari_cryospin.widgets.kit.lasso import inside
from napari_cryospin.widgets.sphere.sphere_map import SphereMaps

if TYPE_CHECKING:
    from napari.viewer import Viewer

EVERY, NEWS_EVERY = 1000, 5000  # ms between two countings: after a choice of the user, and after news of a run
NAME = "Particles seen from each direction"
TITLES: dict[FigureOfDirections, str] = {
    "uncertainty": "Mean number of likely poses",
    "error": "Mean rotation error (°)",
    "class": "Share of each class (%)",
    "junk": "Share of junk (%)",
}
COLOURED_BY: dict[str, tuple[FigureOfDirections | None, str]] = {
    "Count": (None, "Number of particles seen from each direction"),
    "Uncertainty": ("uncertainty", "How many poses are likely for a particle seen from there"),
    "Error": ("error", "How far poses are from the true ones, where these are known"),
    "Class": ("class", "What share of the particles is in each class"),
    "Junk": ("junk", "What share of the images does not show the particle"),
}
"""Name of a choice -> figure, None for the count; and its tooltip."""
GLOBE = "Globe"
SHAPES = {
    "Flat map": "All directions at once",
    GLOBE: "The half that faces you; turn it with the right mouse button",
}
"""Name of a choice -> its tooltip."""


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
        self.sphere = SphereMaps(NAME, self._describe)
        self.sphere.setMinimumSize(200, 115)
        self.figure = QComboBox()
        for name, (figure, tip) in COLOURED_BY.items():
            self.figure.addItem(name, figure)
            self.figure.setItemData(self.figure.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.figure.setToolTip("What the colours stand for, particle by particle averaged over each direction")
        self.shape = QComboBox()
        self.shape.addItems([*SHAPES])
        for number, tip in enumerate(SHAPES.values()):
            self.shape.setItemData(number, tip, Qt.ItemDataRole.ToolTipRole)
        self.shape.setToolTip("Draw around directions to select the particles that are seen from there")
        self.log = QCheckBox("Log colours")
        self.log.setToolTip("Colours by the logarithm of the count: shows what is rare as well")
        self.half = HalfChoice()
        self.caption.setToolTip(
            "SCF*: 1 where directions are even; 0.5: half the particles, spread evenly, would do as well. "
            "Fourier space: share of the points on a shell that some particle's slice passes."
        )
        self.caption.setAlignment(Qt.AlignmentFlag.AlignVCenter)
        self.found: Orientations | None = None
        self.coloured: DirectionFigure | None = None
        self._asked: object = None
        self._asked_colours: object = None
        self._connect()
        self.lay_out_chart(
            (QLabel("Colour"), self.figure, self.shape, self.log, self.half), self.sphere, (self.sphere,)
        )

    def _connect(self) -> None:
        session = self.session
        self.sphere.direction_clicked.connect(self._choose)
        self.sphere.lassoed.connect(self._select)
        self.figure.currentIndexChanged.connect(self.request_drawing)
        self.shape.currentIndexChanged.connect(self._reshape)
        self.log.toggled.connect(self._show)
        self.half.currentIndexChanged.connect(self.request_drawing)
        session.snapshot_arrived.connect(self.on_news)
        session.epochs_changed.connect(self.on_news)
        session.particle_chosen.connect(self._particle_chosen)
        session.particles_changed.connect(self.request_drawing)
        session.selection.changed.connect(self._show_selection)

    def forget(self) -> None:
        self.found = self.coloured = None
        self._asked = self._asked_colours = None

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

        self._ask_colours()
        self._show()

    def _ask_colours(self) -> None:
        """Request the figure by which directions are coloured, unless that was done before."""
        session, figure = self.session, self.figure.currentData()
        shown = [epoch for epoch in session.epochs if session.shown_epoch is None or epoch <= session.shown_epoch]
        if figure is None or not shown or session.folder is None:
            return
        view, half, epoch = RunView(session.folder, session.truth_of_run), self.half.half, shown[-1]
        wanted = (view.folder.path, figure, epoch, half, view.truth)
        if wanted != self._asked_colours:
            self._asked_colours = wanted
            self.worker.ask(
                lambda: (wanted, view.by_direction(figure, epoch, half=half)),
                then=self._take_colours,
                failed=self._colours_failed,
            )

    def _take_colours(self, answer: tuple[object, DirectionFigure]) -> None:
        wanted, found = answer
        if wanted == self._asked_colours:
            self.coloured = found
            self._show()

    def _colours_failed(self, error: Exception) -> None:
        self.coloured = None
        self.caption.setText(f"The figures of the view directions cannot be read: {error}")

    def _take_orientations(self, answer: tuple[object, Orientations]) -> None:
        wanted, found = answer
        if wanted == self._asked:
            self.found = found
            self._show()

    def _reading_failed(self, error: Exception) -> None:
        self._asked = None
        self.caption.setText(f"The view directions cannot be read: {error}")

    def _show(self, _: Any = None) -> None:
        found, figure = self.found, self.figure.currentData()
        if found is None:
            return
        self.log.setVisible(figure is None)
        self.caption.setText(words_of(found))
        if figure is None:
            self._entitle(NAME)
            self.sphere.set_note("")
            self.sphere.set_maps([""], found.counts[None], log=self.log.isChecked())
        elif self.coloured is None or self.coloured.figure != figure:
            self.sphere.set_note("after the first epoch" if not self.session.epochs else "a moment...")
        else:
            self._show_figure(self.coloured)
        self._mark_particle()
        self._show_selection()

    def _show_figure(self, coloured: DirectionFigure) -> None:
        self._entitle(TITLES[coloured.figure])
        self.sphere.set_note(coloured.note)
        uncertain = coloured.figure == "uncertainty"
        self.sphere.set_maps(coloured.names, coloured.values, coloured.levels, log=uncertain)

    def _entitle(self, title: str) -> None:
        if self.sphere.title != title:
            self.sphere.set_title(title)

    def _describe(self, value: float) -> str:
        figure = self.figure.currentData()
        if figure == "uncertainty":
            return f"{value:.3g} likely poses a particle ({np.log(value):.2f} nats)"
        words = {"error": "{:.0f}° off", "class": "{:.0f} % are in this class", "junk": "{:.0f} % are junk"}
        return words[figure].format(value) if figure else f"{value:.0f} particles"

    # Selection

    def _show_selection(self) -> None:
        """Mark the directions of the selected particles."""
        found = self.found
        if found is not None:
            self.sphere.set_selected(found.directions[self.session.selection.among(found.rows)])

    def _select(self, _map: int, outline: NDArray) -> None:
        """Select the particles whose view direction lies in a lasso."""
        if self.found is not None:
            chosen = inside(outline, *self.sphere.projection.place(self.found.directions).T)
            self.session.selection.select(self.found.rows[chosen], "drawn around on the sphere")

    def _reshape(self, _: int) -> None:
        """Draw a flat map, or a globe that the direction of the chosen particle faces."""
        globe = self.shape.currentText() == GLOBE
        marker = np.array([1.0, 0.0, 0.0]) if self.sphere.marker is None else self.sphere.marker
        self.sphere.set_projection(GlobeProjection(marker) if globe else FlatProjection())

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
        marker = self.sphere.marker
        if marker is not None and not np.isfinite(self.sphere.projection.place(marker)).all():
            self.sphere.set_projection(GlobeProjection(marker))  # It was on the far side.

    def _choose(self, direction: NDArray) -> None:
        """Choose a view direction, and the particle whose direction is nearest to it."""
        self.session.choose_direction(direction)
        if self.found is not None:
            nearest = int((self.found.directions @ direction).argmax())
            self.session.choose_particle(int(self.found.rows[nearest]))


def words_of(found: Orientations) -> str:
    """Write the figures of the view directions in one line."""
    empty = float((found.counts == 0).mean())
    parts = [f"{found.counts.sum():,} particles", f"empty cells {empty:.0%}", f"SCF* {found.compensation:.2f}"]
    parts += [f"Fourier space {found.sampled:.0%} at {found.angstrom:.1f} Å", f"epoch {found.epoch}"]
    return "   ".join(parts)
