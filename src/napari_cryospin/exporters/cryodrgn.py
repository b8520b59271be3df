"""Export of poses, CTF and indices for cryoDRGN, which reads the run's own particle file beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_cryospin.exporters.input_notes import no_place_notes, shows_dark_protein
from napari_cryospin.exporters.options import Exported, ExportOptions, Progress, within
from napari_cryospin.exporters.run_results import RunResults
from napari_cryospin.io import cryodrgn
from napari_cryospin.listing import first_of


def export_cryodrgn(results: RunResults, out: Path, options: ExportOptions, progress: Progress) -> Exported:
    """Write poses.pkl, ctf.pkl and ind.pkl into a folder.

    Poses and CTF have a row for every particle of the input, as cryoDRGN expects; ind.pkl lists the rows to use.
    Particles without a pose have nan as their pose, so that cryoDRGN refuses them if ind.pkl is not given to it.

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
        The input cannot be read, or the images differ in box or pixel size, or the box is not known.
    """
    results = results.with_input(within(progress, 0.0, 0.8))
    particles = results.particles
    box, pixel_size = _one_frame(results)
    rotations = np.full((len(particles), 3, 3), np.nan)
    fractions = np.full((len(particles), 2), np.nan)
    record = results.record
    rotations[record.rows] = record.rotations
    fractions[record.rows] = results.used.shifts_of_images(record.shifts) / (box * pixel_size)
    progress(0.8, "writing")
    paths, notes = [out / "poses.pkl", out / "ind.pkl"], []
    cryodrgn.write_poses(paths[0], rotations, fractions)
    cryodrgn.write_indices(paths[1], record.rows)
    command = f"{results.folder.source.particles.name} --poses poses.pkl --ind ind.pkl"
    if particles.ctf is None:
        notes.append("no ctf.pkl: the particles have no CTF")
    else:
        paths.append(out / "ctf.pkl")
        progress(0.9, "writing ctf.pkl")
        cryodrgn.write_ctf(paths[-1], particles.ctf, box, pixel_size)
        command += " --ctf ctf.pkl"
        notes += no_place_notes(particles)
    if shows_dark_protein(results):
        command += " --uninvert-data"
        notes.append("the images show dark protein, which cryoDRGN expects with --uninvert-data only")
    notes.append(f"to be given to cryoDRGN as: {command}")
    return Exported(paths=tuple(paths), notes=(*results.notes, *notes))


def _one_frame(results: RunResults) -> tuple[int, float]:
    """Return the box and the pixel size (A) of all images; raise an error if they differ, as cryoDRGN needs one box."""
    particles = results.particles
    box, pixel_size = int(particles.box_sizes[0]), float(particles.pixel_sizes[0])
    if box and (particles.box_sizes == box).all() and np.abs(particles.pixel_sizes - pixel_size).max() < 1e-6:
        return box, pixel_size
    kinds = np.unique(np.stack((particles.box_sizes, particles.pixel_sizes), axis=-1).round(6), axis=0)
    if len(kinds) > 1:
        found = first_of([f"{box:g} px at {pixel_size:g} A" for box, pixel_size in kinds])
        raise ValueError(f"{particles.source}: found images of {found}; cryoDRGN expects one box and pixel size")
    raise ValueError(f"{particles.source}: box not known, as the stacks are missing; needed for shifts of cryoDRGN")
