"""Saving what the posterior panel shows: as a picture, and as numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.notifications import show_error
from qtpy.QtGui import QColor, QImage, QPainter
from qtpy.QtWidgets import QFileDialog, QMenu, QPushButton

from napari_cryospin.io.files import atomic_write
from napari_cryospin.widgets.colours import theme_of

if TYPE_CHECKING:
    from napari_cryospin.widgets.posterior_panel import PosteriorPanel
    from napari_cryospin.widgets.posterior_source import Detail, Look

MARGIN = 12  # px


class SaveButton(QPushButton):
    """Asks where to, and saves what a panel shows.

    Parameters
    ----------
    panel
        What is saved.
    """

    def __init__(self, panel: PosteriorPanel) -> None:
        super().__init__("Save")
        self.panel = panel
        menu = QMenu(self)
        menu.addAction("Picture (PNG) …", lambda: self._ask("Picture (*.png)", ".png"))
        menu.addAction("Numbers (npz) …", lambda: self._ask("NumPy (*.npz)", ".npz"))
        self.setMenu(menu)

    def _ask(self, kind: str, suffix: str) -> None:
        panel = self.panel
        name = f"posterior_{panel.session.particle}{suffix}"
        chosen, _ = QFileDialog.getSaveFileName(panel, "Save the posterior", name, kind)
        if chosen:
            self.save(Path(chosen).with_suffix(suffix))

    def save(self, path: Path) -> None:
        """Write a picture or numbers, as the path's ending says; nothing where no particle was looked at yet."""
        panel = self.panel
        if panel.look is None:
            return
        try:
            if path.suffix == ".png":
                save_picture(panel, path)
            else:
                save_numbers(panel.look, panel.detail, path)
        except OSError as error:
            show_error(str(error))


def picture_of(panel: PosteriorPanel) -> QImage:
    """Text, the three maps, legend and candidates beneath each other, whatever is scrolled out of sight."""
    background = theme_of(panel.viewer).background
    maps, strip = panel.views.picture(background), panel.strip.picture()
    labels = [label.grab().toImage() for label in (panel.title, panel.legend, panel.note)]
    parts = [labels[0], maps, labels[1], labels[2], strip]
    sizes = [part.deviceIndependentSize() for part in parts]
    width = max(size.width() for size in sizes) + 2 * MARGIN
    height = sum(size.height() for size in sizes) + MARGIN * (len(parts) + 1)
    image = QImage(int(width), int(height), QImage.Format.Format_RGB32)
    image.fill(QColor(background))
    painter, y = QPainter(image), float(MARGIN)
    for part, size in zip(parts, sizes, strict=True):
        painter.drawImage(MARGIN, int(y), part)
        y += size.height() + MARGIN
    painter.end()
    return image


def save_picture(panel: PosteriorPanel, path: Path) -> None:
    """Write the panel to a PNG file."""
    with atomic_write(path) as part:
        if not picture_of(panel).save(str(part), "PNG"):
            raise OSError(f"{path}: the picture cannot be written there")


def save_numbers(look: Look, detail: Detail | None, path: Path) -> None:
    """Write the posterior, candidates, path and, where they are known, zoom and truth to an .npz file."""
    arrays: dict[str, Any] = {
        "particle": look.particle,
        "epoch": look.moment.epoch,
        "stage": look.stage,
        "log_posterior": look.posterior.log_posterior,  # HEALPix, ring order; exp sums to 1
        "entropy": look.posterior.entropy,
        "rotation": look.rotation,
        "shift": look.shift,
        "winning_head": look.winning_head,
        "candidate_rotations": look.heads,
        "candidate_shifts": look.head_shifts,
        "path_epochs": look.path.epochs,
        "path_directions": look.path.directions,
        "path_after_switch": look.path.decoding,
    }
    if detail is not None:
        zoom, candidates = detail.zoom, detail.candidates
        arrays |= {"zoom_log_posterior": zoom.log_posterior, "zoom_degrees": zoom.u, "zoom_centre": zoom.centre}
        arrays |= {"zoom_axes": zoom.axes, "best_rotation": detail.best}
        arrays |= {"shown": [one.title for one in detail.shown], "error": candidates.error}
        arrays |= {"log_likelihood": candidates.log_likelihood, "angles": candidates.angles}
        arrays |= {"shown_shifts": candidates.shifts, "probability": candidates.probability}
        arrays |= {"particle_image": candidates.particle, "projections": candidates.projections}
        if detail.truth is not None:
            arrays["true_rotation"] = detail.truth
    with atomic_write(path) as part, part.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
