"""Particles for cryoSPARC: a result group that its job "Import Result Group" takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_cryospin.export.options import Exported, ExportOptions, Progress, within
from napari_cryospin.export.run_results import RunResults
from napari_cryospin.io.cryosparc_writer import write_result_group


def export_cryosparc(results: RunResults, out: Path, options: ExportOptions, progress: Progress) -> Exported:
    """Write particles.cs and particles.csg into a folder.

    Particles of a .cs file keep their uid and all fields but those of the alignment; others get uids of their own.
    """
    results = results.with_input(within(progress, 0.0, 0.7))
    used = results.used
    if results.folder.settings.preparation.invert_contrast:
        used = used.with_contrast(-1)
    progress(0.7, "writing particles.cs")
    paths, notes = write_result_group(
        out,
        used,
        results.rotations,
        results.shifts,
        errors=np.nan_to_num(results.error),
        half_sets=results.half_sets,
    )
    return Exported(paths=paths, notes=(*results.notes, *notes))
