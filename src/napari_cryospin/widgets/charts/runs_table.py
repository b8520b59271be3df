"""Table of two runs: how well the two agree, then a row for each figure and a column for each run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QWidget

from napari_cryospin.widgets.kit.line_label import LineLabel
from napari_cryospin.widgets.kit.parts import duration, heading_label, text_label, tint

if TYPE_CHECKING:
    from napari_cryospin.views.two_runs import RunFacts, TwoRuns

FACTS = {
    "Method": "How poses were found",
    "Seed": "Where the run's random numbers began",
    "Epochs": "How often every particle was used",
    "Time": "How long the run took, pauses left out",
    "Resolution": "FSC 0.143; without half sets a guide only",
    "Verdict": "Whether the poses are right, as far as the run can tell",
    "Pose error": "Median angle to the true rotations, where these are known",
}
"""Name of a row -> its tooltip."""
AGREEMENTS = {
    "Poses": (
        "How well the poses of both runs agree, after those of the second were turned, in either hand.\n"
        "Common turns: many particles differ by the same turn, after which the map looks the same, or nearly."
    ),
    "Maps": "How well the second map agrees with the first one, upon which it is laid",
}
"""Name of a row that both runs share -> its tooltip."""


class RunsTable(QWidget):
    """Table of two runs, whose texts can be selected."""

    def __init__(self) -> None:
        super().__init__()
        self.grid = QGridLayout(self)
        self.grid.setContentsMargins(4, 2, 4, 2)
        self.grid.setVerticalSpacing(1)
        self.names = [LineLabel(left_out=Qt.TextElideMode.ElideMiddle) for _ in range(2)]
        self.cells = {name: [text_label(), text_label()] for name in FACTS}
        self.agreements = {name: text_label() for name in AGREEMENTS}
        for column, name_label in enumerate(self.names, start=1):
            tint(name_label, bold=True)
            self.grid.addWidget(name_label, 0, column)
            self.grid.setColumnStretch(column, 1)
        for row, (name, label) in enumerate(self.agreements.items(), start=1):
            self._add_name(row, name, AGREEMENTS[name])
            self.grid.addWidget(label, row, 1, 1, 2)
        for row, (name, labels) in enumerate(self.cells.items(), start=1 + len(AGREEMENTS)):
            self._add_name(row, name, FACTS[name])
            for column, label in enumerate(labels, start=1):
                self.grid.addWidget(label, row, column)
        self.grid.setRowStretch(1 + len(FACTS) + len(AGREEMENTS), 1)
        self.setMinimumWidth(240)

    def _add_name(self, row: int, name: str, tip: str) -> None:
        label = heading_label(name)
        label.setToolTip(tip)
        self.grid.addWidget(label, row, 0)

    def show_runs(self, found: TwoRuns | None) -> None:
        """Show a comparison; None: nothing."""
        self.setVisible(found is not None)
        columns = [{}, {}] if found is None else [texts_of(facts) for facts in found.facts]
        for column, texts in enumerate(columns):
            self.names[column].setText("" if found is None else found.facts[column].name)
            for name, labels in self.cells.items():
                labels[column].setText(texts.get(name, ""))
        self.agreements["Maps"].setText("" if found is None else found.fitted.words)
        self.agreements["Poses"].setText("" if found is None else found.poses.words)


def texts_of(facts: RunFacts) -> dict[str, str]:
    """Write the figures of a run."""
    return {
        "Method": facts.method,
        "Seed": str(facts.seed),
        "Epochs": str(facts.epochs),
        "Time": duration(60 * facts.minutes),
        "Resolution": "not told" if facts.resolution is None else f"{facts.resolution:.1f} Å",
        "Verdict": facts.verdict or "none yet",
        "Pose error": "truth not known" if facts.pose_error is None else f"{facts.pose_error:.1f}°",
    }
