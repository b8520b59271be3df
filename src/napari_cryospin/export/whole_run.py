"""Exports of what belongs to a run as a whole, as the table has them."""

from __future__ import annotations

from pathlib import Path

from napari_cryospin.export.chimerax import export_chimerax
from napari_cryospin.export.options import Exported, ExportOptions, Progress
from napari_cryospin.runs.folder import RunFolder


def chimerax(folder: RunFolder, out: Path, options: ExportOptions, progress: Progress) -> Exported:
    """A folder with a script for ChimeraX."""
    return Exported(paths=tuple(export_chimerax(folder, out, progress=progress, flip=options.flip_hand)))
