"""Saving of the names of all stacks that were not found, of which the card shows the first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error, show_info
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_cryospin.io.files import write_lines
from napari_cryospin.widgets.kit.preferences import recall_choice

if TYPE_CHECKING:
    from napari_cryospin.particles import Particles


def save_missing_stacks(particles: Particles, window: QWidget) -> None:
    """Let the user choose a file, and write the names of all missing stacks to it, one a line."""
    from napari_cryospin.checks.preflight import missing_stacks  # It imports torch.

    start = Path(recall_choice("folder")) / "missing_stacks.txt"
    chosen, _ = QFileDialog.getSaveFileName(window, "Save the list of missing stacks", str(start), "*.txt")
    if not chosen:
        return
    names = missing_stacks(particles)
    try:
        write_lines(Path(chosen), names)
    except OSError as error:
        show_error(str(error))
    else:
        show_info(f"{len(names):,} missing stacks are listed in {chosen}")
