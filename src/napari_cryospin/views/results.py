"""The results of a run, read from its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_cryospin.io.fsc_files import read_fsc_csv
from napari_cryospin.io.mrc import read_map
from napari_cryospin.runs.results import PARTICLES_FILE, Results, ResultsRecord, class_count, class_folder
from napari_cryospin.runs.verdict import Verdict


def read_results(folder: Path) -> Results:
    """Read the results of a run.

    Parameters
    ----------
    folder
        The results folder.

    Raises
    ------
    FileNotFoundError, ValueError
        There are no results, or a file of them is missing or damaged.
    """
    record = ResultsRecord.load(folder / PARTICLES_FILE)
    density, pixel_size = read_map(folder / "map.mrc")
    figures: dict[str, Any] = json.loads((folder / "postprocess.json").read_text())
    halves = tuple(_map(folder, name) for name in ("half_map_1", "half_map_2"))
    guinier = folder / "guinier.csv"
    return Results(
        map=density,
        filtered_map=read_map(folder / "map_filtered.mrc")[0],
        half_maps=tuple(one for one in halves if one is not None),
        sharpened_map=_map(folder, "map_sharpened"),
        mask=_map(folder, "mask"),
        pixel_size=pixel_size,
        resolution=_number(figures["resolution_angstrom"]),
        error_over_noise=_number(figures.get("error_over_noise")),
        fsc=dict(read_fsc_csv(folder / "fsc.csv")) if (folder / "fsc.csv").is_file() else None,
        guinier=_columns(guinier) if guinier.is_file() else None,
        b_factor=figures["b_factor"] or 0.0,
        band=figures.get("shells"),
        notes=tuple(figures["notes"]),
        verdict=Verdict.from_dict(figures["verdict"]) if figures.get("verdict") else None,
        symmetry=figures.get("symmetry", "C1"),
        looks_like=figures.get("looks_like", ""),
        particles=record.particles,
        classes=_classes(folder),
        epoch=record.epoch,
        stage=record.stage,
    )


def symmetry_of_results(folder: Path) -> str | None:
    """Read which symmetry results have; None: there are none, or they do not say."""
    path = folder / "postprocess.json"
    return json.loads(path.read_text()).get("symmetry") if path.is_file() else None


def _classes(folder: Path) -> tuple[Results, ...]:
    """Read the results of each class; with one class there are none."""
    count = class_count(folder)
    return tuple(read_results(class_folder(folder, number)) for number in range(1, count + 1)) if count > 1 else ()


def _map(folder: Path, name: str) -> NDArray[np.float32] | None:
    path = folder / f"{name}.mrc"
    return read_map(path)[0] if path.is_file() else None


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _columns(path: Path) -> dict[str, NDArray[np.floating]]:
    return {str(name): column.to_numpy(dtype=np.float64) for name, column in pd.read_csv(path).items()}
