"""Choice of particles: a lasso in a plot of their figures, a condition, and the present view of the map."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QGroupBox, QHBoxLayout, QLabel, QLineEdit, QSpinBox, QVBoxLayout

from napari_cryospin.exporters.run_results import SELECTION_COLUMNS, RunResults
from napari_cryospin.exporters.selection import Selection
from napari_cryospin.geometry.angles import euler_from_rotation
from napari_cryospin.widgets.export.junk_box import JunkBox
from napari_cryospin.widgets.kit.lasso import inside
from napari_cryospin.widgets.kit.parts import WARNING, Fold, button, text_label
from napari_cryospin.widgets.kit.selection_plot import SelectionPlot
from napari_cryospin.widgets.kit.worker import Worker
from napari_cryospin.widgets.session.session import Session

UNITS = {"entropy": "nats", "rot": "degrees", "tilt": "degrees", "psi": "degrees", "shift": "Å"}
VIEW_REST = 150  # ms for which the map must rest before particles near its view are counted
PLOT_HEIGHT = 200


@dataclass(frozen=True, eq=False)
class _Points:
    """Particles as points of the plot: `(k,)` values of two figures along x and y."""

    results: RunResults
    names: tuple[str, str]
    x: NDArray[np.float64]
    y: NDArray[np.float64]


class ParticleChoice(QGroupBox):
    """Box that selects particles of a run by conditions, all of which must hold.

    Parameters
    ----------
    session
        Session that has the present view of the map.

    Attributes
    ----------
    results
        Results of the run; None: none yet.
    chosen
        `(j,)` positions of the chosen particles in the results; None: the conditions have an error.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__("Which particles")
        self.session = session
        self.results: RunResults | None = None
        self.chosen: NDArray[np.int64] | None = None
        self.lasso: NDArray[np.int64] | None = session.selection.rows  # rows of the input, selected in any panel
        self._own_lasso = False
        self.worker = Worker("cryospin-choice", self)
        self._make_plot()
        self._make_fields()
        self.junk = JunkBox(session)
        self.junk.threshold_taken.connect(self._take_threshold)
        self.fold = Fold("Junk", self.junk)
        axes = QHBoxLayout()
        axes.addWidget(self.figures["y"], 1)
        axes.addWidget(QLabel("against"))
        axes.addWidget(self.figures["x"], 1)
        count = QHBoxLayout()
        count.addWidget(self.message, 1)
        count.addWidget(button("All", "Choose all particles again", self.choose_all))
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Condition", self.condition)
        form.addRow("Near this view", self.within)
        layout = QVBoxLayout(self)
        layout.addLayout(axes)
        layout.addWidget(self.plot)
        layout.addLayout(form)
        layout.addLayout(count)
        layout.addWidget(self.fold)
        session.view_turned.connect(self._turned)
        session.selection.changed.connect(self._take_selection)
        session.closing.connect(self.worker.end)

    def _make_plot(self) -> None:
        self.figures = {axis: QComboBox() for axis in ("x", "y")}
        for (axis, figure), start in zip(self.figures.items(), ("entropy", "error"), strict=True):
            figure.setMinimumContentsLength(3)
            figure.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            for name, text in SELECTION_COLUMNS.items():
                figure.addItem(name, name)
                figure.setItemData(figure.count() - 1, text, Qt.ItemDataRole.ToolTipRole)
            figure.setToolTip(f"What is along {axis}")
            figure.setCurrentText(start)
            figure.currentIndexChanged.connect(self._draw_anew)
        self.plot = SelectionPlot()
        self.plot.setFixedHeight(PLOT_HEIGHT)
        self.plot.lassoed.connect(self._take_lasso)
        self.plot.ranged.connect(self._take_range)

    def _make_fields(self) -> None:
        self.condition = QLineEdit()
        self.condition.setPlaceholderText("all; or: entropy < 0.5 and head == 2")
        self.condition.setToolTip(
            "Comparisons joined by and, or, not, of\n"
            + "\n".join(f"{name}: {text}" for name, text in SELECTION_COLUMNS.items())
        )
        self.condition.editingFinished.connect(self._count)
        self.within = QSpinBox()
        self.within.setRange(0, 180)
        self.within.setSuffix("°")
        self.within.setSpecialValueText("any")
        self.within.setToolTip("Only particles seen from within so many degrees of the map's present view")
        self.within.valueChanged.connect(self._count)
        self.message = text_label()
        self._resting = QTimer(self)
        self._resting.setSingleShot(True)
        self._resting.setInterval(VIEW_REST)
        self._resting.timeout.connect(self._count)

    # Results

    def show_results(self, results: RunResults) -> None:
        """Offer the particles of these results; the conditions stay."""
        self.results = results
        if not self.plot.drawing:  # Otherwise it is drawn when the lasso is closed.
            self._draw()
        self.junk.show_results(results)
        self._count()

    def forget(self, text: str) -> None:
        """Forget results and lasso, which are those of another run, and show why there are no particles."""
        self.results, self.chosen, self.lasso = None, None, None
        self.plot.clear_lasso()
        self.plot.set_points(np.zeros(0), np.zeros(0), ("", ""), ("", ""))
        self.plot.set_note("")
        self.junk.forget(text)
        self.message.show_text(text)
        self.changed.emit()

    @property
    def selection(self) -> Selection:
        """Selection by the present conditions."""
        direction = None
        if self.within.value():
            rot, tilt, _ = euler_from_rotation(self.session.view)
            direction = (float(rot), float(tilt), float(self.within.value()))
        return Selection(expression=self.condition.text().strip(), direction=direction, rows=self.lasso)

    def choose_all(self) -> None:
        """Remove lasso, condition and view."""
        self.session.selection.clear()
        self.lasso = None
        self.plot.clear_lasso()
        self.condition.clear()
        self.within.setValue(0)
        self._count()

    # Drawing and counting

    def _draw_anew(self, _: object = None) -> None:
        self.plot.clear_lasso()  # The outline has no meaning along other axes.
        self._draw()
        self._count()

    def _draw(self) -> None:
        results, names = self.results, (self.figures["x"].currentText(), self.figures["y"].currentText())
        if results is not None:
            x, y = names
            self.worker.ask(
                lambda: _Points(results, names, known(results, x), known(results, y)),
                then=self._show_points,
                failed=self._refuse,
            )

    def _turned(self, _: object) -> None:
        if self.within.value():
            self._resting.start()

    def _take_lasso(self, outline: NDArray) -> None:
        results, x, y = self.results, self.plot.x, self.plot.y
        if results is None or len(x) != len(results):
            return
        self.worker.ask(
            lambda: (results, results.record.rows[inside(outline, x, y)]), then=self._set_lasso, failed=self._refuse
        )

    def _take_range(self, name: str, low: float, high: float) -> None:
        self.condition.setText(with_range(self.condition.text(), name, low, high))
        self._count()

    def _take_threshold(self, threshold: float) -> None:
        self.condition.setText(with_least(self.condition.text(), "belongs", threshold))
        self._count()

    def _count(self, _: object = None) -> None:
        results, selection = self.results, self.selection
        if results is not None:
            self.worker.ask(lambda: (results, selection.positions(results)), then=self._show_count, failed=self._refuse)

    def _is_of_run(self, results: RunResults) -> bool:
        return self.results is not None and results.folder.path == self.results.folder.path

    def _set_lasso(self, answer: tuple[RunResults, NDArray[np.int64]]) -> None:
        results, rows = answer
        if self._is_of_run(results):
            self._own_lasso = True
            self.session.selection.select(rows, "drawn around in Export")
            self._own_lasso = False
            self._take_rows(rows)

    def _take_selection(self) -> None:
        """Take over what was selected in another panel."""
        if not self._own_lasso:
            self.plot.clear_lasso()
            self._take_rows(self.session.selection.rows)

    def _take_rows(self, rows: NDArray[np.int64] | None) -> None:
        self.lasso = rows
        self._draw()
        self._count()

    def _show_points(self, points: _Points) -> None:
        if self.results is None or not self._is_of_run(points.results) or self.plot.drawing:
            return
        x, y = points.names
        self.plot.set_points(points.x, points.y, points.names, (labelled(x), labelled(y)))
        if self.chosen is not None and len(points.results) == len(self.results):
            self.plot.set_chosen(self.chosen)

    def _show_count(self, answer: tuple[RunResults, NDArray[np.int64]]) -> None:
        results, positions = answer
        if results is not self.results:
            return
        self.chosen = positions
        if not self.plot.drawing and len(self.plot.x) == len(results):
            self.plot.set_chosen(positions)
        state = " so far" if results.live else ""
        self.message.show_text(f"{len(positions):,} of {len(results):,} particles{state}, epoch {results.epoch}")
        self.changed.emit()

    def _refuse(self, error: Exception) -> None:
        if self.results is not None:
            self.chosen = None
            self.message.show_text(str(error), WARNING)
            self.changed.emit()


def known(results: RunResults, name: str) -> NDArray[np.float64]:
    """Return `(k,)` values of a figure; nan where the run does not have it."""
    try:
        return results.column(name)
    except ValueError:
        return np.full(len(results), np.nan)


def labelled(name: str) -> str:
    """Write the name of a figure with its unit."""
    return f"{name} ({UNITS[name]})" if name in UNITS else name


def with_range(condition: str, name: str, low: float, high: float) -> str:
    """Add a range of a figure to a condition; it replaces an earlier range of the same figure."""
    term = name
    if np.isfinite(low):
        term = f"{low:.4g} < {term}"
    if np.isfinite(high):
        term = f"{term} < {high:.4g}"
    return _with_term(condition, name, "" if term == name else term)


def with_least(condition: str, name: str, least: float) -> str:
    """Add the smallest value of a figure to a condition; it replaces an earlier range of the same figure."""
    return _with_term(condition, name, f"{name} >= {least:.4g}")


def _with_term(condition: str, name: str, term: str) -> str:
    """Replace the comparisons of a figure with numbers by another one; where it is empty, they are left out."""
    condition = condition.strip()
    if re.search(r"\bor\b", condition):
        return f"({condition}) and {term}" if term else condition
    number = r"-?[\d.]+(?:e[+-]?\d+)?"
    before = re.compile(rf"(?:{number} < )?{name}(?: (?:<|>=) {number})?")
    parts = [part.strip() for part in condition.split(" and ") if part.strip()]
    parts = [part for part in parts if not before.fullmatch(part)]
    return " and ".join([*parts, *([term] if term else [])])
