"""Export of particles for cryoSPARC: a result group for its job "Import Result Group"."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_cryospin.exporters.input_notes import inverted, kept_ctf_notes
from napari_cryospin.exporters.options import Exported, ExportOptions, Progress, within
from napari_cryospin.exporters.run_results import RunResults
from napari_cryospin.io.cryosparc.read import CsTable
from napari_cryospin.io.cryosparc.write import write_result_group


def export_cryosparc(results: RunResults, out: Path, options: ExportOptions, progress: Progress) -> Exported:
    """Write particles.cs and particles.csg into a folder.

    Particles of a .cs file keep their uid and all fields but those of the alignment, so also the sign and the CTF of
    the images. Particles of other formats get new uids, and the sign and the CTF that the run used.

    Parameters
    ----------
    results
        Results for the selected particles.
    out
        Existing folder to write to.
    options
        Options of the export; none of them has an effect here.
    progress
        Called with the share that is done, 0 to 1, and a text about the present work.

    Raises
    ------
    FileNotFoundError, ValueError
        The input cannot be read, or the box of a particle is not known.
    """
    results = results.with_input(within(progress, 0.0, 0.7))
    used, record, said = results.used, results.record, []
    if inverted(results) and isinstance(used.table, CsTable):
        said.append(
            f"blob/sign is that of {results.folder.source.particles.name}, though the run inverted the contrast: "
            "cryoSPARC will see dark protein where that sign is wrong; the poses are right all the same"
        )
    elif inverted(results):
        used = used.with_contrast(-1)
    progress(0.7, "writing particles.cs")
    paths, notes = write_result_group(
        out,
        used,
        record.rotations,
        record.shifts,
        errors=np.zeros(len(record)) if record.error is None else np.nan_to_num(record.error),
        half_sets=record.half_sets,
        scales=record.scale,
        belongs=record.belongs,
        classes=None if record.class_number is None else record.class_number - 1,
        class_posterior=record.class_probability,
    )
    return Exported(paths=paths, notes=(*results.notes, *notes, *said, *kept_ctf_notes(results, ".cs")))
