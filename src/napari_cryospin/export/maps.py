"""A run's maps for other programs: as they are, as a reference at the particles' box, as a series, and for EMDB."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.evaluation.hand import flip_hand
from napari_cryospin.evaluation.map_filter import low_pass
from napari_cryospin.evaluation.postprocess import postprocess
from napari_cryospin.export.options import Exported, ExportOptions, Progress
from napari_cryospin.io.mrc import read_map, write_map
from napari_cryospin.io.open import open_particles
from napari_cryospin.particles import Particles
from napari_cryospin.runs.folder import RunFolder

MAPS = ("map", "map_filtered", "map_sharpened", "half_map_1", "half_map_2", "mask")
TABLES = ("fsc.csv", "fsc.star", "fsc.xml", "guinier.csv", "orientations.csv", "postprocess.json")
REFERENCE = "reference.mrc"
GREY_SCALE = (
    f"{REFERENCE}: its grey values are not on RELION's absolute scale: tick 'ref. map is on absolute greyscale: no' "
    "(--firstiter_cc); cryoSPARC needs nothing"
)


def export_maps(folder: RunFolder, out: Path, options: ExportOptions, progress: Progress) -> Exported:
    """Write all of a run's maps, their FSC, a reference and the series of the run's epochs.

    Parameters
    ----------
    folder
        A run that has results.
    out
        Folder to write to: `map.mrc`, half maps, mask, sharpened map, `reference.mrc` (at the particles' own box and
        pixel size, low-passed), tables, and `series/epoch_0001.mrc` and so on.
    options
        `flip_hand`, `b_factor`, `low_pass` and `series` are heeded.
    progress
        Called with the share that is done, and what is being done.

    Raises
    ------
    FileNotFoundError
        The run has no results yet.
    """
    maps, pixel_size, figures = _read(folder)
    out.mkdir(parents=True, exist_ok=True)
    notes = list(figures["notes"])
    if options.b_factor is not None or options.low_pass is not None:
        maps["map_sharpened"] = _sharpened_by_hand(maps, pixel_size, figures["shells"], options)
    paths = []
    for index, (name, density) in enumerate(maps.items()):
        progress(0.4 * index / len(maps), f"writing {name}.mrc")
        paths.append(_write(out / f"{name}.mrc", density, pixel_size, options))
    progress(0.4, f"writing {REFERENCE}")
    cut = options.low_pass or figures["resolution_angstrom"] or float("nan")
    source = folder.source
    particles = open_particles(source.particles, **source.options, require_stacks=False)
    reference, size = original_box_map(maps["map"], pixel_size, particles, cut)
    paths.append(_write(out / REFERENCE, reference, size, options))
    notes.append(GREY_SCALE)
    if not np.isfinite(cut):
        notes.append(f"{REFERENCE}: not low-passed, since the resolution is not known; give --low-pass")
    paths += _copy_tables(folder, out)
    if options.series:
        paths += _write_series(folder, out / "series", progress, options)
    return Exported(paths=tuple(paths), notes=tuple(notes))


def export_emdb(folder: RunFolder, out: Path, options: ExportOptions, progress: Progress) -> Exported:
    """Write what a deposition at EMDB asks for: `map.mrc`, unfiltered half maps, mask, `fsc.xml`; one box and frame.

    The map is the sharpened one; without half sets the one that was low-passed, and a note says what is missing.
    Parameters as of `export_maps`.
    """
    maps, pixel_size, figures = _read(folder)
    out.mkdir(parents=True, exist_ok=True)
    notes = list(figures["notes"])
    if options.b_factor is not None or options.low_pass is not None:
        maps["map_sharpened"] = _sharpened_by_hand(maps, pixel_size, figures["shells"], options)
    chosen = {"map": maps.get("map_sharpened", maps["map_filtered"])}
    chosen |= {name: maps[name] for name in ("half_map_1", "half_map_2", "mask") if name in maps}
    paths = []
    for index, (name, density) in enumerate(chosen.items()):
        progress(index / len(chosen), f"writing {name}.mrc")
        paths.append(_write(out / f"{name}.mrc", density, pixel_size, options))
    if "half_map_1" in chosen:
        paths += _copy_tables(folder, out, ("fsc.xml",))
    else:
        notes.append("EMDB asks for two half maps and their FSC: reconstruct with half sets (--half-sets)")
    return Exported(paths=tuple(paths), notes=tuple(notes))


def original_box_map(
    density: NDArray, pixel_size: float, particles: Particles, resolution: float
) -> tuple[NDArray[np.float32], float]:
    """Map at the particles' own box and pixel size: Fourier-padded, low-passed, no new information in it.

    Parameters
    ----------
    density
        `(n, n, n)` at the run's working box.
    pixel_size, resolution
        A; resolution nan: not low-passed.
    particles
        The run's input; of mixed optics the most frequent box and pixel size count.

    Returns
    -------
    tuple
        `(m, m, m)` map, and its pixel size in A.

    Raises
    ------
    ValueError
        The map is not of these particles: it shows another field of view.
    """
    import torch

    from napari_cryospin.physics.map_crop import fourier_pad_map

    kinds, counts = np.unique(
        np.stack((particles.box_sizes, particles.pixel_sizes), axis=-1), axis=0, return_counts=True
    )
    box, size = int(kinds[counts.argmax(), 0]), float(kinds[counts.argmax(), 1])
    if abs(box * size / (len(density) * pixel_size) - 1) > 1e-3:
        raise ValueError(
            f"{particles.source}: field of view {box * size:.1f} A; expected the map's, {len(density) * pixel_size:.1f}"
        )
    filtered = low_pass(density, pixel_size, resolution)
    return fourier_pad_map(torch.from_numpy(filtered), box).numpy(), size


def _read(folder: RunFolder) -> tuple[dict[str, NDArray[np.float32]], float, dict[str, Any]]:
    """Name -> map of the results, their pixel size, and the figures."""
    results = folder.path / "results"
    if not (results / "postprocess.json").is_file():
        state = folder.read_status().state
        raise FileNotFoundError(
            f"{folder.path}: no results yet (the run is {state}); they are written when it ends or is stopped"
        )
    found = {name: read_map(results / f"{name}.mrc") for name in MAPS if (results / f"{name}.mrc").is_file()}
    figures: dict[str, Any] = json.loads((results / "postprocess.json").read_text())
    return {name: density for name, (density, _) in found.items()}, found["map"][1], figures


def _sharpened_by_hand(
    maps: dict[str, NDArray], pixel_size: float, band: int | None, options: ExportOptions
) -> NDArray[np.float32]:
    first, second = maps.get("half_map_1", maps["map"]), maps.get("half_map_2")
    mask, b_factor, cut = maps.get("mask"), options.b_factor, options.low_pass
    return postprocess(first, second, pixel_size, mask=mask, band=band, b_factor=b_factor, low_pass=cut).sharpened


def _write(path: Path, density: NDArray, pixel_size: float, options: ExportOptions) -> Path:
    write_map(path, flip_hand(density) if options.flip_hand else density, pixel_size)
    return path


def _copy_tables(folder: RunFolder, out: Path, names: tuple[str, ...] = TABLES) -> list[Path]:
    found = [name for name in names if (folder.path / "results" / name).is_file()]
    return [Path(shutil.copyfile(folder.path / "results" / name, out / name)) for name in found]


def _write_series(folder: RunFolder, out: Path, progress: Progress, options: ExportOptions) -> list[Path]:
    """Maps of the run's epochs, all on one grid and in one frame (of half sets the first half's)."""
    out.mkdir(exist_ok=True)
    history = folder.history_paths()
    paths = []
    for index, (epoch, path) in enumerate(history.items()):
        progress(0.5 + 0.5 * index / len(history), f"writing epoch {epoch}")
        with np.load(path, allow_pickle=False) as arrays:
            density, pixel_size = arrays["map"].astype(np.float32), float(arrays["pixel_size"])
        paths.append(_write(out / f"epoch_{epoch:04d}.mrc", density, pixel_size, options))
    return paths
