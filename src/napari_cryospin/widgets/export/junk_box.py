"""Box that tells junk from particles: a threshold of the probability of belonging, and the worst images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QDoubleSpinBox, QFormLayout, QHBoxLayout, QVBoxLayout, QWidget

from napari_cryospin.exporters.run_results import RunResults
from napari_cryospin.views.junk_and_scales import Belonging, belonging_of
from napari_cryospin.views.run_view import RunView
from napari_cryospin.widgets.export.threshold_plot import STEP, ThresholdPlot
from napari_cryospin.widgets.kit.gallery import GalleryView, ImageKind, pages_of
from napari_cryospin.widgets.kit.option_names import with_fields
from napari_cryospin.widgets.kit.parts import button, text_label
from napari_cryospin.widgets.kit.worker import Worker
from napari_cryospin.widgets.session.session import Session

FIRST_THRESHOLD = 0.5
"""Threshold that is proposed: from it on, an image shows the particle more likely than not."""
JUNK_TITLE = "Probability that the image shows the particle"
JUNK_PLOT_HEIGHT = 130  # pixels
Page = tuple[RunView, NDArray[np.int64], dict[ImageKind, NDArray[np.float32]]]


class JunkBox(QWidget):
    """Box with a histogram of the probability of belonging, a threshold in it, and the images, the worst first.

    Images are read only while the box is visible. Their rows are counted from 1, as in conditions.

    Parameters
    ----------
    session
        Session whose chosen particle a click on an image sets.

    Attributes
    ----------
    found
        Probabilities of the particles of a run; None: not estimated, or no run.
    """

    threshold_taken = Signal(float)  # The user wants the particles at or above it.

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.found: Belonging | None = None
        self.view: RunView | None = None
        self.worker = Worker("cryospin-junk", self)
        self.plot = ThresholdPlot(JUNK_TITLE, "probability", FIRST_THRESHOLD)
        self.plot.setFixedHeight(JUNK_PLOT_HEIGHT)
        self.message = text_label()
        self._make_threshold()
        self._make_gallery(session)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        row = QHBoxLayout()
        row.addWidget(self.threshold, 1)
        row.addWidget(self.take)
        form.addRow("Threshold", row)
        self.parts = QWidget()  # all that needs probabilities
        inner, layout = QVBoxLayout(self.parts), QVBoxLayout(self)
        for box in (inner, layout):
            box.setContentsMargins(0, 0, 0, 0)
        inner.addWidget(self.plot)
        inner.addLayout(form)
        inner.addWidget(self.gallery)
        inner.addWidget(self.complaint)
        layout.addWidget(self.message)
        layout.addWidget(self.parts)
        session.closing.connect(self.worker.end)
        self.forget()

    def _make_threshold(self) -> None:
        self.threshold = QDoubleSpinBox()
        self.threshold.setRange(0, 1)
        self.threshold.setSingleStep(STEP)
        self.threshold.setValue(FIRST_THRESHOLD)
        self.threshold.setToolTip("Probability from which an image counts as one of the particle")
        self.threshold.valueChanged.connect(self.plot.set_threshold)
        self.plot.moved.connect(self.threshold.setValue)
        self.plot.moved.connect(self._show_count)
        self.take = button("Choose these", "Write this threshold into the condition", self._take)

    def _make_gallery(self, session: Session) -> None:
        self.gallery = GalleryView(self._caption)
        self.gallery.random.hide()
        self.gallery.page_requested.connect(self._read_page)
        self.gallery.clicked.connect(session.choose_particle)
        session.particle_chosen.connect(self.gallery.mosaic.choose)
        self.complaint = text_label()
        self.complaint.hide()

    # Particles of a run

    def show_results(self, results: RunResults) -> None:
        """Show the particles of these results, or say that the run did not estimate what is asked."""
        try:
            self.found = belonging_of(results.record)
        except ValueError as error:
            self.forget(f"{str(error).capitalize()}.")
            return
        if self.view is None or self.view.folder.path != results.folder.path:
            self.view = RunView(results.folder)
        self.parts.show()
        self.plot.set_histogram(self.found.histogram)
        self._show_count()
        self._show_worst()

    def forget(self, text: str = "") -> None:
        """Forget the run, and show why there is nothing to see."""
        self.found, self.view = None, None
        self.parts.hide()
        self.message.setText(text)

    def _show_count(self, _: object = None) -> None:
        if self.found is not None:
            number, count = self.found.at_or_above(self.plot.threshold), len(self.found.rows)
            share = f"{100 * self.found.share:.1f} % of the images show the particle."
            self.message.setText(f"{number:,} of {count:,} particles at or above {self.plot.threshold:.2f}. {share}")

    def _take(self) -> None:
        self.threshold_taken.emit(self.plot.threshold)

    # Images

    def showEvent(self, event: QShowEvent | None) -> None:
        super().showEvent(event)
        self._show_worst()

    def _show_worst(self) -> None:
        if self.found is not None and self.isVisible():
            worst = self.found.worst()
            if not np.array_equal(worst, self.gallery.order):
                self.gallery.show_rows(worst)
            else:
                self.gallery.turn(0)

    def _read_page(self, rows: NDArray[np.int64]) -> None:
        view = self.view
        if view is not None:
            self.worker.ask(lambda: _page(view, rows), then=self._show_page, failed=self._page_failed)

    def _show_page(self, page: Page) -> None:
        view, rows, images = page
        if view is self.view:
            self.complaint.hide()
            self.gallery.show_page(rows, images)

    def _page_failed(self, error: Exception) -> None:
        self.complaint.setText(f"No images to show: {with_fields(error)}")
        self.complaint.show()

    def _caption(self, row: int) -> str:
        """Write the row, from 1, and the probability of an image."""
        assert self.found is not None
        value = self.found.values[self.found.rows == row]
        return f"{row + 1} · {value[0]:.2f}" if len(value) else str(row + 1)


def _page(view: RunView, rows: NDArray[np.int64]) -> Page:
    sign = np.float32(-1 if view.folder.settings.preparation.invert_contrast else 1)
    return view, rows, {kind: sign * images for kind, images in pages_of(view.input, rows).items()}
