"""Panel of the switch to auto-decoding: whether it is time, how that came about, and the map before and after."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_cryospin.engine.readiness import HEADS_AGREE, SWITCH_ENTROPY
from napari_cryospin.views.around_switch import AroundSwitch, maps_around_switch
from napari_cryospin.views.readiness import Readiness, readiness_of
from napari_cryospin.widgets.kit.colours import theme_of
from napari_cryospin.widgets.kit.curve_plot import Curve, CurvePlot, Mark
from napari_cryospin.widgets.kit.parts import Fold, text_label
from napari_cryospin.widgets.kit.picture_label import PictureLabel
from napari_cryospin.widgets.kit.plots import ACCENT, QUIET
from napari_cryospin.widgets.kit.redraw import Redraw
from napari_cryospin.widgets.kit.worker import Worker
from napari_cryospin.widgets.run.control import run_control_of
from napari_cryospin.widgets.run.gauge import ReadinessGauge
from napari_cryospin.widgets.run.switch_box import SwitchBox
from napari_cryospin.widgets.session.panel import Panel

if TYPE_CHECKING:
    from napari.viewer import Viewer

SWITCH_EMPTY_TEXT = (
    "A run begins with an encoder, whose heads propose poses. Here is told when it is time to go on without it."
)
NO_SWITCH_TEXT = "The method of this run has no switch."
NOT_RECORDED = "What the advice is based on is measured at the end of an epoch, once enough shells are looked at."
PICTURE = 168  # px, of a map
CURVES_HEIGHT = 150  # px


class SwitchPanel(Panel):
    """Panel that shows whether it is time to switch.

    Parameters
    ----------
    napari_viewer
        Viewer, given by napari.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer, SWITCH_EMPTY_TEXT)
        self.control = run_control_of(self.session)
        self.worker = Worker("cryospin-around-switch", self)
        self.around: tuple[Path, int] | None = None  # the run and the epoch of the pictures
        self._build()
        self.redraw = Redraw(self, self.refresh)
        session = self.session
        for signal in (self.control.changed, session.run_changed, session.events_arrived):
            signal.connect(self._request)
        for signal in (self.control.progressed, session.metrics_arrived, session.epochs_changed):
            signal.connect(self._request_for_news)
        session.theme_changed.connect(self._retheme)
        session.hand_changed.connect(self._draw_again)
        session.closing.connect(self.worker.end)
        self._retheme()
        self.refresh()

    def _build(self) -> None:
        self.box = SwitchBox()
        self.box.pressed.connect(self.control.make_switch)
        self.gauge = ReadinessGauge()
        self.note = text_label(NOT_RECORDED)
        self.agreed = CurvePlot("Heads agree (%)", from_zero=True)
        self.entropy = CurvePlot("Likely poses", from_zero=True)
        self.agreed.setToolTip("Share of the particles whose nearest head agrees with the posterior, by epoch")
        self.entropy.setToolTip("Number of poses as if equally likely, of half of the particles at most this many")
        plots, row = QWidget(), QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        for plot in (self.entropy, self.agreed):
            plot.setFixedHeight(CURVES_HEIGHT)
            plot.set_x_name("epoch")
            row.addWidget(plot)
        plots.setLayout(row)
        self.over_epochs = Fold("Over the epochs", plots)
        self.over_epochs.set_open(True)
        self.compare = Fold("Map before and after the switch", self._make_pictures())
        self.compare.toggled.connect(self._unfold_maps)
        for widget in (self.box, self.gauge, self.note, self.over_epochs, self.compare):
            self.content.addWidget(widget)
        self.content.addStretch(1)

    def _make_pictures(self) -> QWidget:
        pictures, row = QWidget(), QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        self.before, self.after = PictureLabel(PICTURE), PictureLabel(PICTURE)
        self.missing = text_label()
        for widget in (self.before, self.after, self.missing):
            row.addWidget(widget)
        pictures.setLayout(row)
        return pictures

    def _retheme(self) -> None:
        for plot in (self.entropy, self.agreed):
            plot.set_theme(theme_of(self.viewer))

    def show_actions(self) -> None:
        alone = self.taken_action is None
        self.box.button.setVisible(alone)
        self.box.advice.setVisible(alone or self.control.switched is not None)  # The workspace's foot has the rest.

    # The readiness

    def _request(self, _: object = None) -> None:
        self.redraw.request()

    def _request_for_news(self, _: object = None) -> None:
        self.redraw.request_for_news()

    def refresh(self) -> None:
        """Show how the run stands."""
        if self.session.folder is None or not self.control.has_switch:
            self.show_empty(SWITCH_EMPTY_TEXT if self.session.folder is None else NO_SWITCH_TEXT)
            return
        self.show_content()
        self.box.show_run(self.control)
        self.show_actions()
        found = readiness_of(self.session.metrics)
        self.gauge.show_readiness(found)
        for widget in (self.gauge, self.over_epochs):
            widget.setVisible(found.measured)
        self.note.setVisible(not found.measured and self.control.switched is None)
        self._draw_curves(found)
        self._draw_maps()

    def _draw_curves(self, found: Readiness) -> None:
        epochs, agreed = np.array(found.epochs), 100 * np.array(found.agreed)
        likely = np.exp(np.array(found.entropy))
        known = ~np.isnan(agreed)
        self.entropy.set_curves([Curve(name="likely poses", x=epochs, y=likely, colour=ACCENT, points=True)])
        self.agreed.set_curves([Curve(name="agree (%)", x=epochs[known], y=agreed[known], colour=ACCENT, points=True)])
        if not found.measured:
            return
        switch = self._switched_after
        end = max(epochs[-1], 1.0 if switch is None else float(switch)) * 1.05
        enough = float(np.exp(SWITCH_ENTROPY))
        top = max(2.0 * enough, 1.1 * float(np.median(likely)))
        for plot, threshold, highest in ((self.entropy, enough, top), (self.agreed, 100 * HEADS_AGREE, 105.0)):
            flat = Curve(name="enough", x=np.array([0.0, end]), y=np.full(2, threshold), colour=QUIET, dashed=True)
            plot.set_curves([*plot.curves, flat])
            plot.set_marks([] if switch is None else [Mark(float(switch), "switch")])
            plot.set_range(x=(0, end), y=(0, highest))

    # The map before and after

    def _unfold_maps(self, unfolded: bool) -> None:
        """Draw the maps; the curves make room for them."""
        if unfolded:
            self.over_epochs.set_open(False)
            self._draw_maps()

    @property
    def _switched_after(self) -> int | None:
        """Number of epochs after which the run switched; None: it has not."""
        event = self.control.switched
        return None if event is None else int(event.detail.get("epoch", 0))

    def _draw_again(self, _: object = None) -> None:
        self.around = None
        self._draw_maps()

    def _draw_maps(self, _: object = None) -> None:
        """Let the thread draw the maps, unless they are folded away or drawn already."""
        folder, epoch, session = self.session.folder, self._switched_after, self.session
        if not self.compare.is_open or folder is None:
            return
        if epoch is None or not session.epochs:
            self._no_maps(ValueError("the run has not switched yet"))
            return
        wanted = folder.path, session.epochs[-1]
        if wanted != self.around:
            self.around, flipped = wanted, session.hand_flipped
            self.worker.ask(
                lambda: (wanted, maps_around_switch(folder, epoch, PICTURE, flipped=flipped)),
                then=self._take_maps,
                failed=self._no_maps,
            )

    def _take_maps(self, answer: tuple[tuple[Path, int], AroundSwitch]) -> None:
        wanted, found = answer
        if wanted != self.around:
            return
        self.missing.hide()
        for label, picture, text in (
            (self.before, found.before, f"before: epoch {found.epoch_before}"),
            (self.after, found.after, f"after: epoch {found.epoch_after}"),
        ):
            label.show_picture(picture, text)
            label.show()

    def _no_maps(self, error: Exception) -> None:
        for label in (self.before, self.after):
            label.hide()
        self.missing.setText(f"No maps to compare: {error}.")
        self.missing.show()
