"""Panel of the particles before a run: open them, check them, and choose which of them a run uses."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari.utils.notifications import show_error
from numpy.typing import NDArray
from qtpy.QtWidgets import QHBoxLayout, QLabel, QMenu, QProgressBar, QVBoxLayout, QWidget

from napari_cryospin.settings import PreparationSettings
from napari_cryospin.widgets.kit.gallery import GalleryView, ImageKind, pages_of
from napari_cryospin.widgets.kit.option_names import with_fields
from napari_cryospin.widgets.kit.parts import ERROR, Fold, button, text_label
from napari_cryospin.widgets.kit.settings_form import GroupForm
from napari_cryospin.widgets.kit.worker import Worker
from napari_cryospin.widgets.particles.card import CardView
from napari_cryospin.widgets.particles.drop import DropArea, PixelSizeQuestion
from napari_cryospin.widgets.particles.inputs import Judge
from napari_cryospin.widgets.particles.missing_list import save_missing_stacks
from napari_cryospin.widgets.particles.opener import ParticlesOpener
from napari_cryospin.widgets.particles.samples import SAMPLES
from napari_cryospin.widgets.particles.stack_layer import add_stack_layer
from napari_cryospin.widgets.session.docks import reveal
from napari_cryospin.widgets.session.panel import Panel

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from qtpy.QtGui import QAction, QDragEnterEvent, QDropEvent

    from napari_cryospin.checks.preflight import PreflightCard


class ParticlesPanel(Panel):
    """Panel in which particles are opened and checked.

    Parameters
    ----------
    napari_viewer
        Viewer, given by napari.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer)
        self.setAcceptDrops(True)
        self._with_layer = False
        self.opener = ParticlesOpener(self.session, self)
        self.worker = Worker("cryospin-particles", self)
        self.judge = Judge()
        self._build()
        self.opener.busy.connect(self._show_busy)
        self.opener.size_needed.connect(self.question.ask)
        self.opener.opened.connect(self._opened)
        self.opener.attached.connect(self._show_run)
        self.session.particles_changed.connect(self._show_particles)
        self.session.settings_changed.connect(self._show_settings)
        self._show_particles()

    # Widgets

    def _build(self) -> None:
        self.content.addLayout(self._top())
        self.busy, self.bar = QLabel(), QProgressBar()
        self.bar.setRange(0, 0)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(4)
        self.area = DropArea()
        self.question = PixelSizeQuestion()
        self.question.answered.connect(self.opener.open_source)
        self.card = CardView()
        self.card.folder_wanted.connect(self.opener.find_folder)
        self.card.list_wanted.connect(self.save_missing)
        self.card.inversion_wanted.connect(self.invert)
        self.card.leaving_out_wanted.connect(self.leave_out_bad)
        self.gallery = GalleryView()
        self.gallery.page_requested.connect(self._read_page)
        self.gallery.clicked.connect(self.session.choose_particle)
        self.session.particle_chosen.connect(self.gallery.mosaic.choose)
        self.gallery_message = text_label()
        self.about = QWidget()
        layout = QVBoxLayout(self.about)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.card, self.gallery, self.gallery_message, *self._forms()):
            layout.addWidget(widget)
        layout.addLayout(self._bottom())
        self.go_on = button("Continue to the run ▸", "Go on to the tab Run", self._show_run)
        self.foot.addWidget(self.go_on)
        for widget in (self.busy, self.bar, self.question, self.area, self.about):
            self.content.addWidget(widget)
        self.content.addStretch(1)
        self._show_busy("")
        self.gallery_message.hide()

    def _top(self) -> QHBoxLayout:
        row = QHBoxLayout()
        tip = "Open .star, .csg, .cs with its passthrough files, .mrcs alone or with .pkl"
        row.addWidget(button("Open...", tip, self.opener.choose))
        tip = "Add files to these particles: passthrough .cs, CTF or poses .pkl"
        self.add = button("Add...", tip, self.opener.choose_more)
        samples = QMenu(self)
        samples.setToolTipsVisible(True)
        for sample in SAMPLES.values():
            action = samples.addAction(sample.title)
            assert action is not None
            action.setToolTip(sample.about)
            action.setData(sample.key)
        self.samples = button("Samples", "Particles simulated from a known map: the truth is known")
        self.samples.setMenu(samples)
        samples.triggered.connect(self._open_sample)
        row.addWidget(self.add)
        row.addWidget(self.samples)
        row.addStretch(1)
        return row

    def _forms(self) -> list[QWidget]:
        self.form = GroupForm(PreparationSettings, ("box", "mask_radius", "subset", "half_sets"))
        self.more = GroupForm(PreparationSettings, ("noise", "cache"))
        self.complaint = text_label(colour=ERROR)
        self.complaint.hide()
        for form in (self.form, self.more):
            form.changed.connect(self._take_form)
        return [self.form, Fold("More", self.more), self.complaint]

    def _bottom(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.addWidget(button("Show as layer", "Show all images as a layer, read as you browse", self.add_layer))
        row.addStretch(1)
        return row

    def _show_busy(self, text: str) -> None:
        """Show what is being done in the background; empty: nothing."""
        self.question.hide()
        self.busy.setText(text)
        self.busy.setVisible(bool(text))
        self.bar.setVisible(bool(text))

    # Results of the thread

    def _show_card(self, card: PreflightCard) -> None:
        self.card.show_card(card, self.session.settings.preparation)
        self._show_busy("")

    def _card_failed(self, error: Exception) -> None:
        self._show_busy("")
        show_error(with_fields(error))

    def _show_page(self, page: tuple[NDArray[np.int64], dict[ImageKind, NDArray[np.float32]]]) -> None:
        self.gallery_message.hide()
        self.gallery.show_page(*page)

    def _page_failed(self, error: Exception) -> None:
        self.gallery_message.setText(f"No images to show: {with_fields(error)}")
        self.gallery_message.show()

    def _show_particles(self) -> None:
        particles = self.session.particles
        self.area.setVisible(particles is None)
        self.about.setVisible(particles is not None)
        self.add.setVisible(particles is not None)
        self.show_actions()
        if particles is not None:
            self._show_settings()
            self.gallery.show_particles(len(particles))
            self.gallery.mosaic.choose(self.session.particle)

    def show_actions(self) -> None:
        self.go_on.setVisible(self.session.particles is not None and self.taken_action is None)

    def open_files(self, paths: Sequence[Path], *, with_layer: bool = False) -> None:
        """Open particles, or watch the run whose folder is given.

        Parameters
        ----------
        paths
            The particle file and the files that belong to it, in any order.
        with_layer
            Whether to show the images as a layer too.
        """
        self._with_layer = with_layer
        self.opener.open_files(paths)

    def _open_sample(self, action: QAction) -> None:
        self.opener.open_sample(action.data())

    def _opened(self) -> None:
        self.scroll_area.ensureVisible(0, 0)  # The card is above.
        if self._with_layer:
            self._with_layer = False
            self.add_layer()

    def _read_page(self, rows: NDArray[np.int64]) -> None:
        particles = self.session.particles
        self.worker.ask(lambda: (rows, pages_of(particles, rows)), then=self._show_page, failed=self._page_failed)

    # Choices

    def _show_settings(self) -> None:
        settings, particles, truth = self.session.settings, self.session.particles, self.session.truth
        for form in (self.form, self.more):
            form.show_values(settings.preparation)
        self.gallery.set_sign(-1.0 if settings.preparation.invert_contrast else 1.0)
        if particles is not None:
            self._show_busy("Looking at the images...")
            judge = self.judge
            self.worker.ask(lambda: judge(particles, settings, truth), then=self._show_card, failed=self._card_failed)

    def _take_form(self) -> None:
        try:
            preparation = self.more.applied_to(self.form.applied_to(self.session.settings.preparation))
            self._set_preparation(preparation)
        except ValueError as error:
            self.complaint.setText(with_fields(error))
        else:
            self.complaint.setText("")
        self.complaint.setVisible(bool(self.complaint.text()))

    def _set_preparation(self, preparation: PreparationSettings) -> None:
        self.session.set_settings(dataclasses.replace(self.session.settings, preparation=preparation))

    def invert(self) -> None:
        """Invert the contrast, or undo the inversion."""
        now = self.session.settings.preparation
        self._set_preparation(dataclasses.replace(now, invert_contrast=not now.invert_contrast))

    def leave_out_bad(self) -> None:
        """Leave out the images that cannot be used, or undo that."""
        now = self.session.settings.preparation
        self._set_preparation(dataclasses.replace(now, leave_out_bad=not now.leave_out_bad))

    def save_missing(self) -> None:
        """Save the names of all stacks that were not found."""
        if self.session.particles is not None:
            save_missing_stacks(self.session.particles, self)

    def add_layer(self) -> None:
        """Show all images as a layer."""
        if self.session.particles is not None:
            try:
                add_stack_layer(self.viewer, self.session.particles)
            except (ValueError, OSError) as error:
                show_error(with_fields(error))

    def _show_run(self) -> None:
        reveal(self.viewer, "Run")

    # Dropping

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        data = None if event is None else event.mimeData()
        if event is not None and data is not None and data.hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        data = None if event is None else event.mimeData()
        if event is not None and data is not None:
            event.acceptProposedAction()
            self.open_files([Path(url.toLocalFile()) for url in data.urls()])
