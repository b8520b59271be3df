"""Panel with the share of particles that each head of the encoder wins, also over the sphere, and the heads' errors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import QComboBox, QLabel

from napari_cryospin.geometry.mollweide import mollweide
from napari_cryospin.views.curves import Clock, newest, series, share_names
from napari_cryospin.views.heads import HeadMaps
from napari_cryospin.views.run_view import RunView
from napari_cryospin.widgets.charts.chart_panel import ChartPanel
from napari_cryospin.widgets.charts.half_choice import HalfChoice
from napari_cryospin.widgets.kit.colours import SAMPLE_COLOUR, head_colour
from napari_cryospin.widgets.kit.curve_plot import BarPlot, Curve, CurvePlot, Mark
from napari_cryospin.widgets.kit.lasso import inside
from napari_cryospin.widgets.kit.multiples import Multiples
from napari_cryospin.widgets.kit.plots import Plot
from napari_cryospin.widgets.sphere.sphere_map import SphereMaps

if TYPE_CHECKING:
    from napari.viewer import Viewer

BEST, OVER, BOTH = "Best head (%)", "Over the epochs (%)", "Both halves (%)"  # Longer titles would widen the plots.
WINS, ERRORS = "Where each head wins (% of the particles seen from there)", "Mean rotation error of each head (°)"
AFTER_SWITCH, BEATEN = "as at the switch", "posterior beats all:"
IN_FULL = {
    AFTER_SWITCH: "After the switch the heads stay as the encoder left them.",
    BEATEN: "Share of the particles whose image a pose drawn from the posterior explains better than every head's.",
}
"""Part of the caption -> what it means."""
WORST = 90.0  # degrees, end of the colour scale of errors


class HeadsPanel(ChartPanel):
    """Panel that shows what each head of the encoder wins.

    Parameters
    ----------
    napari_viewer
        The viewer, which napari passes.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        empty = "Start a run, or open one: what its heads win appears here."
        super().__init__(napari_viewer, empty, "cryospin-heads", every=1000)
        self.bars = BarPlot(BEST, "head", self._bar_tip)
        self.over = CurvePlot(OVER, from_zero=True)
        self.over.set_x_name("epoch")
        self.spheres = SphereMaps(WINS, self._describe)
        plots = (self.bars, self.over, self.spheres)
        self.multiples = Multiples(plots, ("Now", "Over the epochs", "Sphere"), widths=(3, 3, 8), smallest=(160, 150))
        self.kind = QComboBox()
        self.kind.addItems(["Where each head wins", "How far each head is off"])
        self.bars.clicked.connect(self._select_head)
        self.spheres.lassoed.connect(self._select_lasso)
        self.kind.setToolTip("What the spheres show. Errors need particles whose true poses are known.")
        self.half = HalfChoice()
        self.maps: HeadMaps | None = None
        self._asked: tuple[Path, int, bool, int, Path | None] | None = None
        self._connect()
        self.lay_out_chart((QLabel("Spheres"), self.kind, self.half), self.multiples, plots)

    def _connect(self) -> None:
        session = self.session
        for signal in (self.kind.currentIndexChanged, self.half.currentIndexChanged, self.multiples.arranged):
            signal.connect(self.request_drawing)
        session.particles_changed.connect(self.request_drawing)
        session.selection.changed.connect(self._show_selection)
        for signal in (session.snapshot_arrived, session.metrics_arrived, session.epochs_changed):
            signal.connect(self.on_news)

    def forget(self) -> None:
        self.maps, self._asked = None, None

    def has_content(self) -> bool:
        return self._share() is not None

    # What is known

    def _share(self) -> NDArray[np.float64] | None:
        """Return the per cent that each head and the posterior sample won, `(M + 1,)`; None: not known.

        They are those of the shown epoch, or of the newest snapshot.
        """
        session, metrics = self.session, self.session.metrics
        if session.shown_epoch is None and session.snapshot is not None:
            return 100 * np.asarray(session.snapshot.head_share, dtype=np.float64)
        names = share_names(metrics)
        found = [newest(metrics, name, session.shown_epoch) for name in [*names, "sample_share"]]
        return None if not names or None in found else 100 * np.array(found, dtype=np.float64)

    def _shown_share(self) -> NDArray[np.float64] | None:
        """Return the shares of the chosen half set as soon as its epoch is read; before, those of `_share`."""
        maps, half = self.maps, self.half.half
        return maps.share if half and maps is not None and maps.half == half else self._share()

    def _bar_tip(self, bar: int) -> str:
        share = self._shown_share()
        if share is None:
            return ""
        told = f"Head {bar + 1} is the nearest of the heads for {share[bar]:.1f} % of the particles"
        if bar < len(self.bars.marked):
            told += f", and for {self.bars.marked[bar]:.1f} % of the selected ones"
        return f"{told}.\nClick: select them"

    def _describe(self, value: float) -> str:
        return f"{value:.1f}° off" if self._wants_errors else f"wins {value:.0f} % here"

    @property
    def _wants_errors(self) -> bool:
        return self.kind.currentIndex() == 1

    # Drawing

    def draw(self) -> None:
        """Draw the plots that are visible."""
        if self._share() is None:
            return
        if self.session.snapshot is not None:
            self.half.offer(self.session.snapshot.particles.half_sets)
        shown = self.multiples.shown
        self._ask_maps()  # They also tell which particles a head has won.
        if self.bars in shown:
            self._draw_bars()
        if self.over in shown:
            self._draw_over()
        if self.spheres in shown:
            self._draw_maps()
        self.caption.setText(self._caption())
        self.caption.setToolTip("\n".join(text for part, text in IN_FULL.items() if part in self.caption.text()))

    def _draw_bars(self) -> None:
        share = self._shown_share()
        assert share is not None
        heads = range(len(share) - 1)
        # The posterior's sample has no bar, because the best of the heads is counted beside it: heads add up to 100 %.
        self.bars.set_bars([str(head + 1) for head in heads], share[:-1], [head_colour(head) for head in heads])
        self.bars.set_note("" if heads else "this method has no heads")
        of_half = self.maps is not None and share is self.maps.share
        whose = f"Half {self.half.half}" if of_half else "Both halves"
        retitle(self.bars, f"{whose}: best (%)" if self.half.half else BEST)

    def _draw_over(self) -> None:
        session = self.session
        retitle(self.over, BOTH if self.half.half else OVER)
        clock, curves = Clock(session.metrics, session.status), []
        for name in [*share_names(session.metrics), "sample_share"]:
            x, y = series(session.metrics, name, "epoch", clock)
            number = name.rpartition("_")[2]
            sample = name == "sample_share"
            if len(x) and (not sample or y.any()):
                header = "posterior sample (%)" if sample else f"head {int(number) + 1} (%)"
                colour = SAMPLE_COLOUR if sample else head_colour(int(number))
                curves.append(Curve(name=header, x=x, y=100 * y, colour=colour, dashed=sample))
        self.over.set_curves(curves)
        self.over.set_note("" if curves else "after the first epoch")
        marks = [Mark(place, "switch") for place in clock.switches(session.events, "epoch")]
        marks += [Mark(place, name) for place, name in clock.changes(session.events, "epoch")]
        self.over.set_marks(marks)

    def _ask_maps(self) -> None:
        """Request the maps of the shown epoch, unless they were requested before."""
        session = self.session
        if session.folder is None or not session.epochs:
            return
        shown = [epoch for epoch in session.epochs if session.shown_epoch is None or epoch <= session.shown_epoch]
        epoch, errors, half = (shown or session.epochs)[-1], self._wants_errors, self.half.half
        view = RunView(session.folder, session.truth_of_run)
        wanted = (view.folder.path, epoch, errors, half, view.truth)
        if wanted != self._asked:
            self._asked = wanted
            self.worker.ask(
                lambda: (view.folder.path, view.heads(epoch, errors=errors, half=half)),
                then=self._take_maps,
                failed=self._reading_failed,
            )

    def _take_maps(self, answer: tuple[Path, HeadMaps]) -> None:
        path, maps = answer
        if self.session.folder is not None and self.session.folder.path == path:
            self.maps = maps
            self._show_selection()
            self.redraw.request()

    def _reading_failed(self, error: Exception) -> None:
        self._asked = None
        self.caption.setText(f"The heads of this epoch cannot be read: {error}")

    def _draw_maps(self) -> None:
        maps, wanted = self.maps, self._wants_errors
        retitle(self.spheres, ERRORS if wanted else WINS)
        if maps is None or (maps.errors, maps.half) != (wanted, self.half.half):
            self.spheres.set_note("after the first epoch" if not self.session.epochs else "a moment...")
            return
        self.spheres.set_note(maps.note)
        names = [f"head {head + 1}" for head in range(len(maps.values))]
        self.spheres.set_maps(names, maps.values, (0.0, WORST) if wanted else None)

    # Selection

    def _select_head(self, head: int) -> None:
        """Select the particles to which a head is the nearest."""
        if self.maps is not None:
            self.session.selection.select(self.maps.rows[self.maps.best_head == head], f"won by head {head + 1}")

    def _select_lasso(self, head: int, outline: NDArray) -> None:
        """Select the particles within a lasso, of the head on whose map it was drawn."""
        maps = self.maps
        if maps is not None:
            within = inside(outline, *mollweide(maps.directions).T)
            chosen = within[maps.best_head[within] == head]
            self.session.selection.select(maps.rows[chosen], f"won by head {head + 1}, drawn around on its sphere")

    def _show_selection(self) -> None:
        """Show how the selected particles are shared among the heads, and from where they are seen."""
        maps, selection = self.maps, self.session.selection
        if maps is None:
            return
        chosen = selection.among(maps.rows)
        self.spheres.set_selected(maps.directions[chosen])
        heads = maps.best_head[chosen & (maps.best_head >= 0)]
        count = len(maps.share) - 1
        self.bars.set_marked(100 * np.bincount(heads, minlength=count) / len(heads) if len(heads) else np.zeros(0))

    def _caption(self) -> str:
        parts = [] if self.maps is None else [f"epoch {self.maps.epoch}"]
        if any(event.kind == "switched" for event in self.session.events):
            parts.append(AFTER_SWITCH)
        share = self._shown_share()
        if share is not None and share[-1] > 0:
            parts.append(f"{BEATEN} {share[-1]:.0f} %")
        return ", ".join(parts)


def retitle(plot: Plot, title: str) -> None:
    """Set the title of a plot if it has another one, because each change costs a layout."""
    if plot.title != title:
        plot.set_title(title)
