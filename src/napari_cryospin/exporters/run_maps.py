"""Maps of a run in one frame, with the hand and the sharpening that the options of an export state."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.advice import Advice
from napari_cryospin.evaluation.postprocess import postprocess
from napari_cryospin.exporters.options import ExportOptions
from napari_cryospin.geometry.hand import flip_hand
from napari_cryospin.io.mrc import read_map
from napari_cryospin.runs.folder import RunFolder

RESULT_MAPS = ("map", "map_filtered", "map_sharpened", "half_map_1", "half_map_2", "mask")
"""Names of maps in results/, without suffix."""
PRIMARY_MAPS = {"sharpened": "map_sharpened", "filtered": "map_filtered", "unfiltered": "map"}
"""Kind of a map -> its name in results/. By default, the first one that a run has is shown and deposited."""
FIGURES = "postprocess.json"
"""Name of the file in results/ with the figures of the maps."""


@dataclass(frozen=True, kw_only=True)
class RunMaps:
    """The maps of a run's results."""

    maps: dict[str, NDArray[np.float32]]
    """Name -> `(z, y, x)` map, for those of `RESULT_MAPS` that the run has."""
    pixel_size: float
    """Pixel size of the maps, A."""
    figures: dict[str, Any]
    """Content of postprocess.json: resolution, B-factor and so on."""
    notes: tuple[str, ...]
    """Notes for the user."""

    def primary(self, options: ExportOptions) -> str:
        """Return the name of the map that is shown in ChimeraX and deposited at EMDB.

        Raises
        ------
        ValueError
            The run has no such map.
        """
        if options.primary is None:
            return next(name for name in PRIMARY_MAPS.values() if name in self.maps)
        name = PRIMARY_MAPS[options.primary]
        if name not in self.maps:
            raise ValueError(
                Advice(
                    f"no {options.primary} map: without half sets there is one only where the B-factor is given; "
                    "expected another map: filtered or unfiltered",
                    "half_sets",
                    "b_factor",
                    "primary",
                )
            )
        return name


def read_run_maps(folder: RunFolder, options: ExportOptions) -> RunMaps:
    """Read the maps of a run that has results.

    Parameters
    ----------
    folder
        Folder of the run.
    options
        Options, of which `flip_hand`, `b_factor` and `low_pass` are used.

    Raises
    ------
    FileNotFoundError
        The run has no results yet.
    """
    results = folder.results_path
    if not (results / FIGURES).is_file():
        state = folder.read_status().state
        raise FileNotFoundError(
            f"{folder.path}: no results yet (the run is {state}); they are written when it ends or is stopped"
        )
    found = {name: read_map(results / f"{name}.mrc") for name in RESULT_MAPS if (results / f"{name}.mrc").is_file()}
    if "map" not in found:
        raise FileNotFoundError(f"{results / 'map.mrc'}: no such file; the results of the run are not whole")
    maps, pixel_size = {name: density for name, (density, _) in found.items()}, found["map"][1]
    figures: dict[str, Any] = json.loads((results / FIGURES).read_text())
    if options.b_factor is not None or options.low_pass is not None:
        maps["map_sharpened"], figures = _sharpened_by_hand(maps, pixel_size, figures, options)
    if options.flip_hand:
        maps = {name: flip_hand(density) for name, density in maps.items()}
    notes = list(figures["notes"])
    if not folder.has_newest_results():
        notes.append("the run has gone on since its results were written: these maps are those of the results")
    return RunMaps(maps=maps, pixel_size=pixel_size, figures=figures, notes=tuple(notes))


def read_series(folder: RunFolder, options: ExportOptions) -> Iterator[tuple[int, NDArray[np.float32], float]]:
    """Yield the number, the `(z, y, x)` map (with half sets, the first one's) and the pixel size (A) of each epoch.

    Of a class, epochs before there were classes have the map of the run.
    """
    for number in sorted(folder.history_paths()):
        epoch = folder.history(number)
        chosen = 1 if folder.class_number is None else min(folder.class_number, epoch.classes)
        density = epoch.maps(chosen)[0]
        yield number, flip_hand(density) if options.flip_hand else density, epoch.pixel_size


def write_figures(path: Path, figures: dict[str, Any]) -> Path:
    """Write figures of the maps as JSON, and return the path."""
    path.write_text(json.dumps(figures, indent=2))
    return path


def _sharpened_by_hand(
    maps: dict[str, NDArray[Any]], pixel_size: float, figures: dict[str, Any], options: ExportOptions
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Sharpen the map with the B-factor and the low-pass of the options, and return it with its figures."""
    first, second = maps.get("half_map_1", maps["map"]), maps.get("half_map_2")
    low_pass = options.low_pass
    if second is None and low_pass is None:  # Beyond the resolution there is only noise.
        low_pass = figures["resolution_angstrom"]
    found = postprocess(
        first,
        second,
        pixel_size,
        mask=maps.get("mask"),
        band=figures.get("shells"),
        b_factor=options.b_factor,
        low_pass=low_pass,
    )
    end = f", low-passed at {found.low_pass:.2f} A" if np.isfinite(found.low_pass) else ", not low-passed"
    notes = [note for note in figures["notes"] if not note.startswith("not sharpened")]
    notes.append(f"sharpened map: B-factor {found.b_factor:.1f} A^2{end}")
    return found.sharpened, figures | {"b_factor": found.b_factor, "low_pass_angstrom": low_pass, "notes": notes}
