"""Export of a run's maps: as they are, as a reference at the particles' box, as a series, and for EMDB."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.advice import Advice
from napari_cryospin.evaluation.map_filter import low_pass
from napari_cryospin.exporters.options import SERIES_FOLDER, Exported, ExportOptions, Progress
from napari_cryospin.exporters.run_maps import FIGURES, read_run_maps, read_series, write_figures
from napari_cryospin.io.mrc import write_map
from napari_cryospin.particles import Particles
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.run_particles import open_run_particles

RESULT_TABLES = ("fsc.csv", "fsc.star", "fsc.xml", "guinier.csv", "orientations.csv")
"""Names of the tables in results/ that are copied."""
REFERENCE = "reference.mrc"
"""Name of the map at the particles' own box and pixel size, from which a refinement can start."""
MAP_DESCRIPTIONS = {"map_filtered": "low-passed map", "map": "unfiltered map"}
"""Name of a map -> what a note calls it."""
GREY_SCALE = (
    f"{REFERENCE}: its grey values are not on RELION's absolute scale: tick 'ref. map is on absolute greyscale: no' "
    "(--firstiter_cc); cryoSPARC needs nothing"
)
"""Note on the grey values of the reference."""


def export_maps(folder: RunFolder, out: Path, options: ExportOptions, progress: Progress) -> Exported:
    """Write all of a run's maps, their FSC, a reference and the series of the run's epochs.

    Parameters
    ----------
    folder
        Folder of a run that has results.
    out
        Folder to which these are written: `map.mrc`, half maps, mask, sharpened map, `reference.mrc` (at the particles'
        own box and pixel size, low-passed), tables, and `series/epoch_0001.mrc` and so on.
    options
        Options, of which `flip_hand`, `b_factor`, `low_pass` and `series` are used.
    progress
        Called with the share that is done, 0 to 1, and a text about the present work.

    Raises
    ------
    FileNotFoundError
        The run has no results yet.
    """
    found = read_run_maps(folder, options)
    out.mkdir(parents=True, exist_ok=True)
    notes, paths = list(found.notes), []
    for index, (name, density) in enumerate(found.maps.items()):
        progress(0.4 * index / len(found.maps), f"writing {name}.mrc")
        paths.append(out / f"{name}.mrc")
        write_map(paths[-1], density, found.pixel_size)
    progress(0.4, f"writing {REFERENCE}")
    cut = options.low_pass or found.figures["resolution_angstrom"] or float("nan")
    particles = open_run_particles(folder, require_stacks=False)
    if (particles.box_sizes > 0).any():
        paths.append(out / REFERENCE)
        write_map(paths[-1], *original_box_map(found.maps["map"], found.pixel_size, particles, cut))
        notes.append(GREY_SCALE)
        if not np.isfinite(cut):
            unknown = f"{REFERENCE}: not low-passed, since the resolution is not known; give it"
            notes.append(Advice(unknown, "low_pass"))
    else:
        notes.append(f"no {REFERENCE}: the particles' box is not known, as their stacks are missing")
    paths += [*_copy_tables(folder, out), write_figures(out / FIGURES, found.figures)]
    if options.series:
        paths += _write_series(folder, out / SERIES_FOLDER, progress, options)
    return Exported(paths=tuple(paths), notes=tuple(notes))


def export_emdb(folder: RunFolder, out: Path, options: ExportOptions, progress: Progress) -> Exported:
    """Write the files of a deposition at EMDB: `map.mrc`, unfiltered half maps, mask, `fsc.xml`.

    All maps have the same box and frame. `map.mrc` is the map that `options.primary` names, by default the sharpened
    map. Without half sets, it is by default the low-passed map, and a note names what is missing.

    Parameters
    ----------
    folder, out, progress
        As in `export_maps`.
    options
        Options, of which `flip_hand`, `b_factor`, `low_pass` and `primary` are used.

    Raises
    ------
    FileNotFoundError, ValueError
        The run has no results yet, or not the map that the options name.
    """
    found = read_run_maps(folder, options)
    primary = found.primary(options)
    out.mkdir(parents=True, exist_ok=True)
    b_factor = found.figures["b_factor"]
    sharpened = f"sharpened map, B-factor {b_factor:.1f} A^2" if b_factor else "map weighted by the FSC and low-passed"
    notes = [*found.notes, f"map.mrc is the {MAP_DESCRIPTIONS.get(primary, sharpened)}"]
    chosen = {"map": found.maps[primary]}
    chosen |= {name: found.maps[name] for name in ("half_map_1", "half_map_2", "mask") if name in found.maps}
    paths = []
    for index, (name, density) in enumerate(chosen.items()):
        progress(index / len(chosen), f"writing {name}.mrc")
        paths.append(out / f"{name}.mrc")
        write_map(paths[-1], density, found.pixel_size)
    if "half_map_1" in chosen:
        paths += _copy_tables(folder, out, ("fsc.xml",))
    else:
        notes.append(Advice("EMDB asks for two half maps and their FSC: reconstruct with half sets", "half_sets"))
    return Exported(paths=tuple(paths), notes=tuple(notes))


def original_box_map(
    density: NDArray[Any], pixel_size: float, particles: Particles, resolution: float
) -> tuple[NDArray[np.float32], float]:
    """Pad a map in Fourier space to the particles' own box and pixel size, and low-pass it; it gains no information.

    Parameters
    ----------
    density
        `(n, n, n)` map at the run's working box.
    pixel_size, resolution
        Pixel size of the map, A, and resolution of the low-pass, A; a resolution of nan stands for no low-pass.
    particles
        Input of the run; if boxes or pixel sizes differ, the most frequent pair of them counts.

    Returns
    -------
    tuple
        `(m, m, m)` map, and its pixel size in A.

    Raises
    ------
    ValueError
        The map is not one of these particles, because its field of view is another one.
    """
    import torch

    from napari_cryospin.physics.map_crop import fourier_pad_map

    known = particles.box_sizes > 0
    frames = np.stack((particles.box_sizes, particles.pixel_sizes), axis=-1)[known]
    kinds, counts = np.unique(frames, axis=0, return_counts=True)
    box, size = int(kinds[counts.argmax(), 0]), float(kinds[counts.argmax(), 1])
    if abs(box * size / (len(density) * pixel_size) - 1) > 1e-3:
        raise ValueError(
            f"{particles.source}: field of view {box * size:.1f} A; expected the map's, {len(density) * pixel_size:.1f}"
        )
    filtered = low_pass(density, pixel_size, resolution)
    return fourier_pad_map(torch.from_numpy(filtered), box).numpy(), size


def _copy_tables(folder: RunFolder, out: Path, names: tuple[str, ...] = RESULT_TABLES) -> list[Path]:
    found = [name for name in names if (folder.results_path / name).is_file()]
    return [Path(shutil.copyfile(folder.results_path / name, out / name)) for name in found]


def _write_series(folder: RunFolder, out: Path, progress: Progress, options: ExportOptions) -> list[Path]:
    """Write the maps of the run's epochs, all on one grid and in one frame; with half sets, those of the first."""
    out.mkdir(exist_ok=True)
    count, paths = len(folder.history_paths()), []
    for index, (epoch, density, pixel_size) in enumerate(read_series(folder, options)):
        progress(0.5 + 0.5 * index / count, f"writing epoch {epoch}")
        paths.append(out / f"epoch_{epoch:04d}.mrc")
        write_map(paths[-1], density, pixel_size)
    return paths
