"""The card of a run's result: map, verdict, what was measured, and what to do next."""

from __future__ import annotations

from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QVBoxLayout, QWidget

from napari_cryospin.views.summary import RunSummary, SummaryRow
from napari_cryospin.widgets.kit.parts import GOOD, WARNING, TintedLabel, heading_label, text_label
from napari_cryospin.widgets.kit.picture_label import PictureLabel

CARD_PICTURE = 150  # px
TONE_COLOURS = {"good": GOOD, "doubtful": WARNING, "plain": ""}


class ResultCard(QWidget):
    """Card with a run's summary."""

    def __init__(self) -> None:
        super().__init__()
        self.summary: RunSummary | None = None
        self.picture = PictureLabel(CARD_PICTURE)
        self.picture.picture.setScaledContents(True)
        self.picture.caption.hide()
        self.name, self.verdict = text_label(bold=True), text_label()
        self.rows: list[tuple[TintedLabel, TintedLabel]] = []
        beside = QVBoxLayout()
        beside.addWidget(self.name)
        beside.addWidget(self.verdict)
        beside.addStretch(1)
        top = QHBoxLayout()
        top.addWidget(self.picture)
        top.addLayout(beside, 1)
        self.form = QFormLayout()
        self.form.setVerticalSpacing(5)
        self.form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.next_title = text_label("What next", bold=True)
        self.next_steps = QVBoxLayout()
        self.next_steps.setSpacing(4)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(top)
        layout.addLayout(self.form)
        layout.addWidget(self.next_title)
        layout.addLayout(self.next_steps)

    def show_summary(self, summary: RunSummary) -> None:
        """Show a summary in place of the one before."""
        self.summary = summary
        self.picture.show_picture(summary.picture)
        self.name.setText(summary.name)
        self.verdict.show_text(f"Verdict: {summary.verdict}", TONE_COLOURS[summary.tone])
        while self.form.rowCount():
            self.form.removeRow(0)
        for row in summary.rows:
            self._add(row)
        while (item := self.next_steps.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        for one in summary.suggestions:
            self.next_steps.addWidget(text_label(f"▸ {one.text}: {one.how}"))

    def _add(self, row: SummaryRow) -> None:
        name, text = heading_label(row.name), text_label(row.text, TONE_COLOURS[row.tone])
        for label in (name, text):
            label.setToolTip(row.about)
        self.form.addRow(name, text)
