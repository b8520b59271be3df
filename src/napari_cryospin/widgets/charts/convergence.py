"""Panel with a run's curves of loss, resolution, pose changes, entropy and FSC, and a line at the switch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.notifications import show_warning
from numpy.typing import NDArray
from qtpy.QtWidgets import QComboBox, QLabel

from napari_cryospin.runs.verdict import NOT_DETERMINED
from napari_cryospin.views.curves import Along, Clock, class_share_names, newest, series
from napari_cryospin.views.fsc import HalfMapFsc, epoch_fsc, results_fsc
from napari_cryospin.views.readiness import readiness_curves, readiness_of
from napari_cryospin.widgets.charts.chart_panel import ChartPanel
from napari_cryospin.widgets.kit.colours import class_colour
from napari_cryospin.widgets.kit.curve_plot import Curve, CurvePlot, Mark
from napari_cryospin.widgets.kit.multiples import Multiples
from napari_cryospin.widgets.kit.plots import ACCENT, QUIET, SECOND

if TYPE_CHECKING:
    from napari.viewer import Viewer


def curve_of(name: str, colour: str, width: float, dashed: bool = False) -> Callable[[NDArray, NDArray], Curve]:
    """Return a maker of curves that all have one name and line style."""
    return lambda x, y: Curve(name=name, x=x, y=y, colour=colour, width=width, dashed=dashed)


ALONG: dict[str, tuple[Along, str]] = {
    "Epochs": ("epoch", "epoch"),
    "Steps": ("step", "step"),
    "Time": ("time", "time (min)"),
}
FSC = "FSC of half maps"  # A longer title would not fit beside four other plots.
GOLD, HALF = 0.143, 0.5  # thresholds of the FSC
FSC_CURVES = {
    "phase_randomised": curve_of("random phases", QUIET, 1.0, dashed=True),
    "unmasked": curve_of("unmasked", QUIET, 1.2),
    "masked": curve_of("masked", SECOND, 1.2),
    "corrected": curve_of("corrected", ACCENT, 2.0),
}
CONDITIONS = (("poses (%)", ACCENT), ("heads (%)", SECOND), ("gain (%)", QUIET))
"""Name and colour of the conditions of the switch: sharpness, agreement, gain. Longer names would not fit."""
ALL_SHARES = 105.0  # per cent, with a margin: end of the axis of shares
NO_HALVES = "A resolution that is no guide only, and its curve, need half sets: they are chosen in the step Particles."


class ConvergencePanel(ChartPanel):
    """Panel that shows the convergence of a run.

    Parameters
    ----------
    napari_viewer
        The viewer, which napari passes.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer, "Start a run, or open one: its curves appear here.", "cryospin-fsc")
        self.loss = CurvePlot("Loss (1: noise)")
        self.resolution = CurvePlot("Resolution (Å)", resolution=("left",))
        self.pose_change = CurvePlot("Pose change (°)", from_zero=True)
        self.entropy = CurvePlot("Entropy (nats)", from_zero=True)
        self.readiness = CurvePlot("Readiness (%)", legend=(1, -1), from_zero=True)
        self.classes = CurvePlot("Classes (%)", legend=(1, 1), from_zero=True)
        self.fsc = CurvePlot(FSC, resolution=("bottom",), legend=(1, -1))
        self.fsc.getAxis("left").setTicks([[(one, f"{one:g}") for one in (0, GOLD, HALF, 1)]])
        self._set_tooltips()
        plots = (self.loss, self.resolution, self.pose_change, self.entropy, self.readiness, self.classes, self.fsc)
        names = ("Loss", "Resolution", "Pose change", "Entropy", "Readiness", "Classes", "FSC")
        self.multiples = Multiples(plots, names, widths=(4, 4, 4, 4, 4, 4, 5))
        self.multiples.leave_out([self.readiness, self.classes])
        self.along = QComboBox()
        self.along.addItems([*ALONG])
        self.along.setToolTip("What the curves are drawn over")
        self.results = HalfMapFsc()
        self._read_of: tuple[Path, str] | None = None  # folder and state of the run when the results were read
        self._connect(plots)
        self.lay_out_chart((QLabel("Over"), self.along), self.multiples, plots)
        self.on_news()

    def _set_tooltips(self) -> None:
        self.loss.setToolTip(
            "Error of the images in units of that of noise alone: near 1 where all else is explained. "
            "The largest values of the first steps lie above the plot."
        )
        self.resolution.setToolTip(
            "FSC 0.143: of half sets where they run (gold standard), else between two folds of the particles that "
            "share a reference, a guide only. Dashed: the finest shell of the images that is compared."
        )
        self.pose_change.setToolTip("Mean change of the particles' rotations in an epoch, after the switch.")
        self.entropy.setToolTip("Mean entropy of the particles' pose posterior: 0 where every pose is certain.")
        self.readiness.setToolTip(
            "How far each condition of the switch was met while the encoder was trained; 100: it is met. "
            "Poses: they are sharp; heads: they agree with the posterior; gain: the heads gain no more. The switch is "
            "advised where the first condition and one of the others are met."
        )
        self.classes.setToolTip(
            "Share of the particles in each class, by their mean probability; with half sets the mean of both, which "
            "number their classes independently until the end."
        )
        self.fsc.setToolTip(
            "Fourier shell correlation of the half maps; corrected: masked, less what the mask alone makes them share."
        )

    def _connect(self, plots: Sequence[CurvePlot]) -> None:
        session = self.session
        self.along.currentIndexChanged.connect(self.request_drawing)
        self.multiples.arranged.connect(self.request_drawing)
        for plot in plots:
            plot.whole_wanted.connect(self.request_drawing)
        for signal in (session.metrics_arrived, session.events_arrived, session.status_changed):
            signal.connect(self.on_news)

    def forget(self) -> None:
        self.results, self._read_of = HalfMapFsc(), None

    def has_content(self) -> bool:
        return self.session.folder is not None and bool(self.session.metrics)

    def on_news(self, _: Any = None) -> None:
        """Request a drawing because of news, and read the results of a run that has ended."""
        super().on_news()
        session = self.session
        if session.folder is None or not session.metrics or session.status is None or session.live:
            return
        path, state = session.folder.path, session.status.state
        if self._read_of != (path, state):
            self._read_of = (path, state)
            self.worker.ask(
                lambda: (path, results_fsc(path / "results")), then=self._take_results, failed=self._reading_failed
            )

    def _take_results(self, answer: tuple[Path, HalfMapFsc]) -> None:
        path, results = answer
        if self.session.folder is not None and self.session.folder.path == path:
            self.results = results
            self.redraw.request()

    def _reading_failed(self, error: Exception) -> None:
        show_warning(f"The FSC of the results cannot be read: {error}")

    # Drawing

    def draw(self) -> None:
        """Draw the plots that are visible."""
        session, (along, x_name) = self.session, ALONG[self.along.currentText()]
        self.multiples.leave_out(self._without_content())
        clock = Clock(session.metrics, session.status)
        marks = [Mark(place, "switch") for place in clock.switches(session.events, along)]
        marks += [Mark(place, name) for place, name in clock.changes(session.events, along)]
        end = None if session.shown_epoch is None else clock.end_of(session.shown_epoch, along)
        marks += [] if end is None else [Mark(end, "shown", QUIET)]
        for plot, curves, note in self._histories(along, clock):
            plot.set_x_name(x_name)
            plot.set_curves(curves)
            plot.set_marks(marks)
            plot.set_note("" if curves else note)
            plot.set_range(x=(0, clock.last(along)), y=self._range_of(plot, curves))
        if self.fsc in self.multiples.shown:
            self._draw_fsc()
        text, more = self._caption()
        self.caption.setText(text)
        self.caption.setToolTip(more)

    def _without_content(self) -> list[CurvePlot]:
        """Return the plots of what this run does not have."""
        metrics = self.session.metrics
        has_content = {
            self.classes: bool(class_share_names(metrics)),
            self.readiness: bool(readiness_of(metrics).measured),
            self.fsc: self.session.snapshot is None or self._has_halves() or bool(self._fsc().curves),
        }
        return [plot for plot, has in has_content.items() if not has]

    def _range_of(self, plot: CurvePlot, curves: list[Curve]) -> tuple[float, float] | None:
        """Return the range of a plot's y axis; None: that of its curves."""
        if plot in (self.classes, self.readiness):
            return 0.0, ALL_SHARES
        return bulk_of(curves) if plot is self.loss else None

    def _histories(self, along: Along, clock: Clock) -> Iterator[tuple[CurvePlot, list[Curve], str]]:
        """Return the visible plots other than the FSC, with their curves and the text to show if there are none."""
        later = "after the first epoch" if newest(self.session.metrics, "epoch_ended") is None else ""
        for plot, name, header, note in (
            (self.loss, "loss", "loss (1: noise)", "soon"),
            (self.pose_change, "pose_change", "pose change (°)", "after the switch"),
            (self.entropy, "entropy", "entropy (nats)", later or "not known to this method"),
        ):
            if plot in self.multiples.shown:
                x, y = series(self.session.metrics, name, along, clock)
                yield plot, [Curve(name=header, x=x, y=y, points=plot is not self.loss)] if len(x) else [], note
        if self.readiness in self.multiples.shown:
            yield self.readiness, self._readiness(along, clock), ""
        if self.classes in self.multiples.shown:
            yield self.classes, self._class_shares(along, clock), ""
        if self.resolution in self.multiples.shown:
            yield self.resolution, self._resolutions(along, clock), later or self._no_resolution()

    def _resolutions(self, along: Along, clock: Clock) -> list[Curve]:
        """Return the curves of resolution as spatial frequencies, so that a better resolution is higher."""
        curves, snapshot = [], self.session.snapshot
        if not self._told():
            return []
        x, y = series(self.session.metrics, "resolution", along, clock)
        if len(x):
            curves.append(Curve(name="FSC 0.143 (Å)", x=x, y=1 / y, points=True))
        x, band = series(self.session.metrics, "band", along, clock)
        if len(x) and snapshot is not None:
            extent = len(snapshot.map) * snapshot.pixel_size
            curves.append(Curve(name="compared to (Å)", x=x, y=band / extent, colour=QUIET, width=1.2, dashed=True))
        return curves

    def _readiness(self, along: Along, clock: Clock) -> list[Curve]:
        """Return a curve for each condition of the switch."""
        places, _ = series(self.session.metrics, "switch_entropy", along, clock)
        curves = []
        found = readiness_curves(readiness_of(self.session.metrics))
        for one, (name, colour) in zip(found, CONDITIONS, strict=True):
            y = 100 * np.array(one.reached)
            known = np.isfinite(y)
            curves.append(Curve(name=name, x=places[known], y=y[known], colour=colour, points=True))
        return [curve for curve in curves if len(curve.x)]

    def _class_shares(self, along: Along, clock: Clock) -> list[Curve]:
        """Return a curve for each class, which ends where there were fewer classes from then on."""
        curves = []
        for number, name in enumerate(class_share_names(self.session.metrics), start=1):
            x, y = series(self.session.metrics, name, along, clock)
            curves.append(Curve(name=f"class {number} (%)", x=x, y=100 * y, colour=class_colour(number), points=True))
        return curves

    def _told(self) -> bool:
        """Whether the verdict lets a resolution be told."""
        status = self.session.status
        return status is None or status.verdict != NOT_DETERMINED

    def _no_resolution(self) -> str:
        return "not known to this method" if self._told() else "not told: the poses are not determined"

    def _draw_fsc(self) -> None:
        found = self._fsc()
        table = found.curves
        self.fsc.set_title(FSC if found.epoch is None else f"FSC at epoch {found.epoch}")
        self.fsc.set_x_name("resolution (Å)")
        frequency = table.get("frequency")
        if frequency is None:
            self.fsc.set_curves([])
            self.fsc.set_note("after the first epoch")
            return
        self.fsc.set_note("")
        self.fsc.set_curves([make(frequency, table[name]) for name, make in FSC_CURVES.items() if name in table])
        self.fsc.set_marks([Mark(GOLD, "", QUIET), Mark(HALF, "", QUIET)], horizontal=True)
        self.fsc.set_range(x=(0, float(frequency[-1])), y=(-0.1, 1.05))

    def _fsc(self) -> HalfMapFsc:
        """Return the FSC of the results, or that of the shown or newest epoch."""
        shown = self.session.shown_epoch
        return self.results if shown is None and self.results.curves else epoch_fsc(self.session.metrics, shown)

    def _has_halves(self) -> bool:
        snapshot = self.session.snapshot
        return snapshot is not None and len(snapshot.half_maps) == 2

    def _caption(self) -> tuple[str, str]:
        """Return the caption with the newest figures, and its tooltip with the notes that belong to them."""
        shown, notes = self.session.shown_epoch, list(self.results.notes)
        resolution = newest(self.session.metrics, "resolution", shown) if self._told() else None
        kind = "half sets, gold standard" if self._has_halves() else "two folds, a guide only"
        if shown is None and self.results.curves:
            resolution, kind = self.results.resolution, "half sets, results"
        parts = [] if shown is None else [f"epoch {shown}"]
        parts += [] if resolution is None else [f"{resolution:.1f} Å at FSC 0.143 ({kind})"]
        compared = epoch_fsc(self.session.metrics, shown)
        if resolution is None and compared.notes:
            parts.append(f"epoch {compared.epoch}: the half maps do not agree yet")
            notes += compared.notes
        notes += [NO_HALVES] if self.fsc in self.multiples.left_out else []
        return "   ".join(parts), "\n".join([*parts, *notes])


def bulk_of(curves: list[Curve]) -> tuple[float, float] | None:
    """Return the range of a plot's y axis, from 0 to the largest value; None: there are no curves.

    Values of the first steps that are far above the others are cut off, because they would make the others look flat.
    """
    if not curves:
        return None
    values = curves[0].y
    return 0.0, 1.08 * float(min(values.max(), 2.5 * np.median(values)))
