"""A run's results as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_cryospin.io.files import atomic_write
from napari_cryospin.io.mrc import write_map
from napari_cryospin.io.star import write_particles
from napari_cryospin.particles import Particles
from napari_cryospin.runs.messages import Results


def write_results(folder: Path, results: Results, particles: Particles) -> None:
    """Write map, filtered map, half maps, FSC and the particles with their poses.

    Parameters
    ----------
    folder
        Exists; files of the same names are replaced.
    results
        Of a run.
    particles
        The run's input; `results.indices` are rows of it.
    """
    write_map(folder / "map.mrc", results.map, results.pixel_size)
    write_map(folder / "map_filtered.mrc", results.filtered_map, results.pixel_size)
    for number, half_map in enumerate(results.half_maps, start=1):
        write_map(folder / f"half_map_{number}.mrc", half_map, results.pixel_size)
    if results.fsc is not None:
        write_fsc(folder / "fsc.csv", *results.fsc)
    columns = {"rlnLogLikeliContribution": results.log_likelihood}
    if results.half_sets is not None:
        columns["rlnRandomSubset"] = results.half_sets
    used = particles.select(results.indices)
    write_particles(folder / "particles.star", used, results.rotations, results.shifts, extra_columns=columns)


def write_fsc(path: Path, frequencies: np.ndarray, correlation: np.ndarray) -> None:
    """Write a Fourier shell correlation as comma-separated text.

    Parameters
    ----------
    path
        File to write.
    frequencies
        1/A `(shells,)`.
    correlation
        -1..1 `(shells,)`.
    """
    table = np.stack([frequencies, correlation], axis=1)
    with atomic_write(path) as part:
        np.savetxt(part, table, delimiter=",", fmt="%.6f", header="frequency_per_angstrom,fsc", comments="")
