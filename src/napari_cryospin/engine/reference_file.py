"""The maps that a run starts from, as files: whether they can be used. No torch, as for the check before a run."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.advice import Advice
from napari_cryospin.engine.defaults import mask_radius
from napari_cryospin.engine.resolutions import FEWEST_SHELLS
from napari_cryospin.io.mrc import read_map
from napari_cryospin.particles import Particles
from napari_cryospin.runs.reference import ReferenceRecord
from napari_cryospin.settings import Settings

Reference = tuple[NDArray[np.float32], ReferenceRecord]
"""`(n, n, n)` map as it is in its file, and what a run's folder keeps of it."""


def read_references(particles: Particles, settings: Settings) -> list[Reference]:
    """Read the maps that a run of these particles is to start from: none, one, or one a class.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such file, or a map cannot be used.
    """
    return [_read(path, particles, settings) for path in settings.start.reference_paths]


def _read(path: Path, particles: Particles, settings: Settings) -> Reference:
    density, pixel_size = read_map(path)
    _check(path, density, pixel_size, particles, settings)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return density, ReferenceRecord(
        file=str(path),
        box=len(density),
        pixel_size=pixel_size,
        resolution=settings.start.reference_resolution,
        sha256=digest,
    )


def _check(path: Path, density: NDArray[Any], pixel_size: float, particles: Particles, settings: Settings) -> None:
    """Refuse a map without a pixel size, without contrast, or too small for the particles or for its resolution."""
    if pixel_size == 0:
        raise ValueError(f"{path}: the header says no pixel size; expected one: write it into the header of the map")
    if density.min() == density.max():
        raise ValueError(f"{path}: every value is {density.flat[0]:g}; expected a map")
    side, extent = len(density) * pixel_size, particles.common_frame()[1]
    diameter = 2 * mask_radius(particles, settings.preparation)
    if side < diameter - pixel_size:
        found = f"{path}: {len(density)} px at {pixel_size:.4g} A, {side:.0f} A wide"
        expected = f"expected at least the diameter of the particles' mask, {diameter:.0f} A; is the pixel size right?"
        raise ValueError(Advice(f"{found}; {expected} Else pad the map, or make the mask smaller", "mask_radius"))
    resolution = settings.start.reference_resolution
    if 2 * pixel_size > resolution:
        found = f"{path}: pixels of {pixel_size:.4g} A hold no detail below {2 * pixel_size:.4g} A"
        expected = f"expected at most {resolution / 2:.4g} A for a map that is low-passed to {resolution:g} A"
        raise ValueError(Advice(f"{found}; {expected}: is the pixel size right?", "reference_resolution"))
    if extent / resolution < FEWEST_SHELLS:
        found = f"{path}: low-passed to {resolution:g} A, nothing is left of the map in a box of {extent:.0f} A"
        raise ValueError(Advice(f"{found}; expected at most {extent / FEWEST_SHELLS:.0f} A", "reference_resolution"))
