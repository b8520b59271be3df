"""Writing a run's results as files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_cryospin.evaluation.gold_standard import THRESHOLD
from napari_cryospin.evaluation.orientation_distribution import OrientationDistribution, orientation_distribution
from napari_cryospin.io.files import atomic_write
from napari_cryospin.io.fsc_files import write_fsc_csv, write_fsc_star, write_fsc_xml
from napari_cryospin.io.mrc import write_map
from napari_cryospin.io.star.particles import IMAGE_COLUMNS, POSTERIOR_COLUMNS, write_particles
from napari_cryospin.particles import Particles
from napari_cryospin.runs.class_columns import class_columns
from napari_cryospin.runs.results import PARTICLES_FILE, Results, ResultsRecord, class_folder

NO_HALF_SETS_NOTE = "no half sets: no gold-standard resolution, and the map can be sharpened by hand only"
"""Note in postprocess.json of a run without half sets."""

OPTIONAL_MAPS = ("mask", "map_sharpened", "half_map_1", "half_map_2")
FSC_FILES, GUINIER_FILE = ("fsc.csv", "fsc.star", "fsc.xml"), "guinier.csv"
"""Files that some results have and others have not."""


def write_results(folder: Path, results: Results, particles: Particles) -> None:
    """Write maps, mask, FSC, view directions, figures and the particles with their poses.

    Parameters
    ----------
    folder
        Existing folder; files of the same names in it are replaced. With several classes, the results of each are
        written to a folder of their own in it, `class_1` and so on.
    results
        Results of a run.
    particles
        Input of the run; `results.particles.rows` are rows of it.
    """
    maps = {"map": results.map, "map_filtered": results.filtered_map, "mask": results.mask}
    maps |= {"map_sharpened": results.sharpened_map}
    maps |= {f"half_map_{number}": half_map for number, half_map in enumerate(results.half_maps, start=1)}
    for name, density in maps.items():
        if density is not None:
            write_map(folder / f"{name}.mrc", density, results.pixel_size)
    if results.fsc is not None:
        write_fsc_files(folder, results)
    _remove_stale(folder, results, {name for name, density in maps.items() if density is not None})
    directions = sampled_directions(results)
    _write_table(folder / "orientations.csv", directions.table)
    with atomic_write(folder / "postprocess.json") as part:
        part.write_text(json.dumps(figures(results, directions), indent=2))
    write_particle_files(folder, results, particles)
    for number, one in enumerate(results.classes, start=1):
        class_folder(folder, number).mkdir(exist_ok=True)
        write_results(class_folder(folder, number), one, particles)
    stale = len(results.classes) + 1
    while class_folder(folder, stale).is_dir():  # A run that was resumed may have fewer classes by now.
        shutil.rmtree(class_folder(folder, stale))
        stale += 1


def _remove_stale(folder: Path, results: Results, written: set[str]) -> None:
    """Remove what earlier results of a run that went on had, and these have not: it is of other maps."""
    names = {f"{name}.mrc" for name in OPTIONAL_MAPS if name not in written}
    if results.fsc is None:
        names |= set(FSC_FILES)
    if results.fsc is None or results.guinier is None:
        names.add(GUINIER_FILE)
    for name in names:
        (folder / name).unlink(missing_ok=True)


def write_particle_files(folder: Path, results: Results, particles: Particles) -> None:
    """Write the particles with their poses in the order of the input: particles.star, and the whole record as .npz."""
    record = results.particles.in_order_of_rows()
    with atomic_write(folder / PARTICLES_FILE) as part, part.open("wb") as file:
        ResultsRecord(epoch=results.epoch, stage=results.stage, particles=record).save(file)
    known, names = record.arrays, POSTERIOR_COLUMNS | IMAGE_COLUMNS
    columns = {column: known[name] for name, column in names.items() if name in known}
    columns |= class_columns(record)
    if record.has_halves:
        columns["rlnRandomSubset"] = record.half_sets
    write_particles(
        folder / "particles.star",
        particles.select(record.rows),
        record.rotations,
        record.shifts,
        extra_columns=columns,
    )


def write_fsc_files(folder: Path, results: Results) -> None:
    """Write the half maps' FSC as .csv, .star and .xml (the corrected curve), and the Guinier plot."""
    assert results.fsc is not None
    table, star, xml = (folder / name for name in FSC_FILES)
    write_fsc_csv(table, results.fsc)
    write_fsc_star(star, results.fsc, results.resolution)
    title = "Gold-standard FSC, masked and corrected by random phases"
    write_fsc_xml(xml, results.fsc["frequency"], results.fsc["corrected"], title)
    if results.guinier is not None:
        _write_table(folder / GUINIER_FILE, results.guinier)


def sampled_directions(results: Results) -> OrientationDistribution:
    """Compute the distribution of view directions, and their sampling of the shell at the resolution.

    Where the resolution is not known, the shell at half of Nyquist is used.
    """
    box = len(results.map)
    resolution = results.resolution if np.isfinite(results.resolution) else 4 * results.pixel_size
    shell = min(box / 2, box * results.pixel_size / resolution)
    return orientation_distribution(results.particles.rotations, shell, results.particles.precision)


def figures(results: Results, directions: OrientationDistribution) -> dict[str, Any]:
    """Return the content of postprocess.json: plain numbers and notes, and None for a number that is not known.

    Its `efficiency` is SCF*.
    """
    known = np.isfinite(results.resolution)
    precision = directions.precision[np.isfinite(directions.precision)]
    belongs = results.particles.belongs
    return {
        "resolution_angstrom": results.resolution if known else None,
        "threshold": THRESHOLD,
        "gold_standard": results.fsc is not None,
        "b_factor": results.b_factor if results.sharpened_map is not None else None,
        "pixel_size_angstrom": results.pixel_size,
        "shells": results.band,
        "efficiency": directions.compensation,
        "fourier_space_sampled": directions.sampled,
        "sampled_at_angstrom": len(results.map) * results.pixel_size / directions.shell,
        "precision_degrees": float(np.median(precision)) if len(precision) else None,
        "error_over_noise": results.error_over_noise if np.isfinite(results.error_over_noise) else None,
        "share_showing_particle": None if belongs is None else float(belongs.mean()),
        "verdict": None if results.verdict is None else results.verdict.to_dict(),
        "symmetry": results.symmetry,
        "looks_like": results.looks_like,
        "notes": [*_notes(results)],
    }


def _notes(results: Results) -> Iterator[str]:
    """List all notes, the verdict first where it is not a good one."""
    if results.verdict is not None and results.verdict.doubts:
        yield f"verdict: {results.verdict.sentence}"
    if results.looks_like:
        yield f"symmetry: {results.looks_like}"
    yield from results.notes
    if not results.half_maps:
        yield NO_HALF_SETS_NOTE


def _write_table(path: Path, columns: Any) -> None:
    with atomic_write(path) as part:
        pd.DataFrame(dict(columns)).to_csv(part, index=False, float_format="%.6g")
