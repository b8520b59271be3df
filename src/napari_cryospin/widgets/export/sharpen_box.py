"""Box of the sharpened map: B-factor and low-pass, automatic or by hand, and their effect on the amplitudes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QFormLayout, QVBoxLayout, QWidget

from napari_cryospin.evaluation.gold_standard import THRESHOLD
from napari_cryospin.views.amplitudes import MapAmplitudes, read_amplitudes
from napari_cryospin.widgets.kit.colours import Theme
from napari_cryospin.widgets.kit.curve_plot import Curve, CurvePlot, Mark
from napari_cryospin.widgets.kit.parts import text_label
from napari_cryospin.widgets.kit.plots import ACCENT, QUIET, SECOND
from napari_cryospin.widgets.kit.worker import Worker
from napari_cryospin.widgets.session.session import Session

if TYPE_CHECKING:
    import pandas as pd

NO_RESULTS_TEXT = "B-factor and low-pass are asked for once the run has results: when it ends, or is stopped."
FSC_COLOURS = {"corrected": ACCENT, "masked": SECOND, "unmasked": QUIET}


class SharpenBox(QWidget):
    """Fields for B-factor and low-pass, the Guinier plot before and after them, and the FSC.

    Parameters
    ----------
    session
        Session whose run's results are shown.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.figures: MapAmplitudes | None = None
        self.b_factor = _field("Å²", -2000, 500, 0)
        self.low_pass = _field("Å", 1, 200, 1)
        self.by_hand = {
            "b_factor": self._switch("B-factor", self.b_factor, "negative sharpens; automatic: from the Guinier plot"),
            "low_pass": self._switch("Low-pass", self.low_pass, "nothing finer; automatic: the resolution reached"),
        }
        self.guinier = CurvePlot("Guinier plot: ln amplitude", legend=(-1, 1))
        self.guinier.set_x_name("1 / resolution² (1/Å²)")
        self.fsc = CurvePlot("Fourier shell correlation", resolution=("bottom",), legend=(1, -1))
        self.fsc.set_x_name("resolution (Å)")
        self.message = text_label()
        self.fields = QWidget()
        form = QFormLayout(self.fields)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow(self.by_hand["b_factor"], self.b_factor)
        form.addRow(self.by_hand["low_pass"], self.low_pass)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.message)
        layout.addWidget(self.fields)
        for plot in (self.guinier, self.fsc):
            plot.setFixedHeight(150)
            layout.addWidget(plot)
        self.worker = Worker("cryospin-sharpen", self)
        session.closing.connect(self.worker.end)
        self._show(None)

    def _switch(self, text: str, field: QDoubleSpinBox, tip: str) -> QCheckBox:
        switch = QCheckBox(text)
        switch.setToolTip(f"Tick to set by hand. {text}: {tip}")
        switch.toggled.connect(field.setEnabled)
        switch.toggled.connect(self._automatic)
        field.setToolTip(switch.toolTip())
        field.setEnabled(False)
        field.valueChanged.connect(self._draw)
        return switch

    def set_theme(self, theme: Theme) -> None:
        """Apply the colours of a theme."""
        for plot in (self.guinier, self.fsc):
            plot.set_theme(theme)

    @property
    def options(self) -> dict[str, float | None]:
        """B-factor (A^2) and low-pass (A), by their names in the options of an export; None: automatic."""
        fields = {"b_factor": self.b_factor, "low_pass": self.low_pass}
        return {name: field.value() if self.by_hand[name].isChecked() else None for name, field in fields.items()}

    def load(self) -> None:
        """Read the run's results again."""
        folder = self.session.folder
        if folder is None:
            self._show(None)
        else:
            self.worker.ask(
                lambda: (folder.path, read_amplitudes(folder.path / "results")),
                then=self._take,
                failed=self._reading_failed,
            )

    def _take(self, answer: tuple[Path, MapAmplitudes | None]) -> None:
        path, figures = answer
        if self.session.folder is not None and path == self.session.folder.path:
            self._show(figures)

    def _reading_failed(self, error: Exception) -> None:
        self._show(None)
        self.message.setText(f"the results cannot be read: {error}")

    def _show(self, figures: MapAmplitudes | None) -> None:
        self.figures = figures
        for part in (self.fields, self.guinier):
            part.setVisible(figures is not None)
        self.fsc.setVisible(figures is not None and figures.fsc is not None)
        if figures is None:
            self.message.setText(NO_RESULTS_TEXT)
            for switch in self.by_hand.values():
                switch.setChecked(False)
            return
        known = "resolution not known" if figures.resolution is None else f"{figures.resolution:.1f} Å"
        how = "gold standard, FSC 0.143" if figures.gold_standard else "no half sets: a guide only, sharpen by hand"
        self.message.setText(f"{known} ({how})")
        self._automatic()
        if figures.fsc is not None:
            self._draw_fsc(figures.fsc)

    def _automatic(self, _: object = None) -> None:
        """Show the automatic values in the fields that are not set by hand."""
        if self.figures is None:
            return
        nyquist = 2 * self.figures.pixel_size
        values = {"b_factor": self.figures.b_factor or 0.0, "low_pass": self.figures.resolution or nyquist}
        for (name, value), field in zip(values.items(), (self.b_factor, self.low_pass), strict=True):
            if not self.by_hand[name].isChecked():
                field.setValue(value)
        self._draw()

    def _draw(self, _: object = None) -> None:
        figures = self.figures
        if figures is None:
            return
        made = figures.sharpened(self.b_factor.value(), self.low_pass.value())
        kept = np.isfinite(made)
        curves = [
            Curve(name="unfiltered", x=figures.square, y=figures.log_amplitude, colour=QUIET),
            Curve(name="sharpened", x=figures.square[kept], y=made[kept], colour=ACCENT),
        ]
        if figures.line is not None:
            curves.append(Curve(name="fit", x=figures.line[0], y=figures.line[1], colour=SECOND, dashed=True))
        self.guinier.set_curves(curves)
        self.changed.emit()

    def _draw_fsc(self, table: pd.DataFrame) -> None:
        x = table["frequency"].to_numpy()
        names = [name for name in FSC_COLOURS if name in table]
        self.fsc.set_curves([Curve(name=n, x=x, y=table[n].to_numpy(), colour=FSC_COLOURS[n]) for n in names])
        self.fsc.set_marks([Mark(THRESHOLD, "", QUIET)], horizontal=True)
        self.fsc.set_range(x=(0, float(x[-1])), y=(min(-0.05, float(table[names].to_numpy().min())), 1.05))


def _field(unit: str, low: float, high: float, decimals: int) -> QDoubleSpinBox:
    field = QDoubleSpinBox()
    field.setRange(low, high)
    field.setDecimals(decimals)
    field.setSuffix(f" {unit}")
    field.setSingleStep(10.0 if decimals == 0 else 0.5)
    field.setKeyboardTracking(False)
    return field
