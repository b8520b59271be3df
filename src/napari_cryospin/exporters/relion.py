"""Export of particles for RELION: the input's STAR file with new poses and every other column as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_cryospin.advice import Advice
from napari_cryospin.exporters.input_notes import kept_ctf_notes, new_star_notes, shows_dark_protein
from napari_cryospin.exporters.options import Exported, ExportOptions, Progress, within
from napari_cryospin.exporters.run_results import RunResults
from napari_cryospin.io.located import both_half_sets
from napari_cryospin.io.star.particles import IMAGE_COLUMNS, POSTERIOR_COLUMNS, about_other_poses, write_particles
from napari_cryospin.listing import first_of
from napari_cryospin.runs.class_columns import class_columns


def export_relion(results: RunResults, out: Path, options: ExportOptions, progress: Progress) -> Exported:
    """Write a STAR file.

    Its rows are the selected particles, by default all that the run used, in the order of the input. Particles that the
    run left out are left out here too, because RELION reads a row without a pose as rot, tilt, psi 0. Pixel size, box
    and optics groups are those of the input, even if the working box of the run was another one.

    Parameters
    ----------
    results
        Results for the selected particles.
    out
        File to write.
    options
        Options, of which `star` and `statistics` are used.
    progress
        Called with the share that is done, 0 to 1, and a text about the present work.

    Raises
    ------
    FileNotFoundError, ValueError
        The input cannot be read, or statistics are to be computed and there is no checkpoint yet.
    """
    notes: list[str] = []
    if results.record.max_probability is None and options.statistics:
        from napari_cryospin.exporters.statistics import with_statistics  # Imports torch.

        results = with_statistics(results, within(progress, 0.0, 0.4))
    results = results.with_input(within(progress, 0.4 if options.statistics else 0.0, 0.6))
    used, record = results.used, results.record
    known = record.arrays
    columns: dict[str, Any] = {column: known[name] for name, column in POSTERIOR_COLUMNS.items() if name in known}
    if not columns:
        left_out = f"{', '.join(POSTERIOR_COLUMNS.values())} are left out: the run is not over; they can be computed"
        notes.append(Advice(left_out, "statistics"))
    columns |= {column: known[name] for name, column in IMAGE_COLUMNS.items() if name in known}
    columns |= class_columns(record)
    if both_half_sets(record.half_sets) is not None:
        columns["rlnRandomSubset"] = record.half_sets
    told = {*columns, *POSTERIOR_COLUMNS.values()}  # Of the latter the note above tells.
    dropped = [name for name in about_other_poses(used.table) if name not in told]
    if dropped:
        notes.append(f"left out, as they are about poses of an earlier job: {first_of(dropped)}")
    if shows_dark_protein(results):
        notes.append(
            "the images show dark protein, RELION expects white: invert them "
            "(relion_image_handler --multiply_constant -1)"
        )
    write_particles(
        out,
        used,
        record.rotations,
        record.shifts,
        columns,
        form=options.star,
        progress=lambda share: progress(0.6 + 0.4 * share, f"writing {out.name}"),
    )
    notes += new_star_notes(used)
    return Exported(paths=(out,), notes=(*results.notes, *notes, *kept_ctf_notes(results, ".star")))
