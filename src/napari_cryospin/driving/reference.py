"""The maps that a run starts from, and their copies in the run's folder: the files are read once, as the run begins.

Where each class starts from a map of its own, the maps are laid on the first one, because all classes share one frame.
"""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import Tensor

from napari_cryospin.engine.defaults import MASK_EDGE, mask_radius, working_box
from napari_cryospin.engine.reference_file import read_references
from napari_cryospin.evaluation.fsc import spherical_mask
from napari_cryospin.evaluation.map_alignment import align_maps
from napari_cryospin.io.mrc import read_map, write_map
from napari_cryospin.particles import Particles
from napari_cryospin.physics.map_resampling import resample_map
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.reference import reference_maps, write_references
from napari_cryospin.settings import Settings

log = logging.getLogger(__name__)

MUCH_ALIKE, BETTER_LAID = 0.9, 0.1
"""Correlation with the first map from which another one is turned to lie on it, and its least gain; chosen by hand."""


def run_references(folder: RunFolder, particles: Particles) -> list[Tensor]:
    """Return the maps `(n, n, n)` that a run starts from, in the run's box: none, one, or one a class.

    The first call reads the files that the settings name, and writes copies into the folder; later calls read those.

    Raises
    ------
    FileNotFoundError, ValueError
        A map cannot be used.
    """
    settings = folder.settings
    copies = reference_maps(folder.path, len(settings.start.reference_paths))
    if settings.start.reference is None:
        return []
    if not all(copy.exists() for copy in copies):
        found = read_references(particles, settings)
        in_box = [reference_in_box(density, record.pixel_size, particles, settings) for density, record in found]
        pixel_size, first = in_box[0][1], in_box[0][0]
        write_references(folder.path, [record for _, record in found])
        for copy, (density, _), (_, record) in zip(copies, in_box, found, strict=True):
            write_map(copy, laid_on(first, density, pixel_size, settings, record.file), pixel_size)
    return [torch.from_numpy(read_map(copy)[0]) for copy in copies]


def laid_on(first: np.ndarray, other: np.ndarray, pixel_size: float, settings: Settings, name: str) -> np.ndarray:
    """Turn and move the map of a class to lie on that of the first, where that shows them to be much alike.

    Maps of different molecules stay where they are, and so do those of a symmetry, which stand as its axes want them.
    """
    if other is first or settings.volume.symmetry != "C1":
        return other
    before = float(np.corrcoef(first.ravel(), other.ravel())[0, 1])
    found = align_maps(first, other, pixel_size, either_hand=False)
    if found.correlation < max(MUCH_ALIKE, before + BETTER_LAID):
        return other
    gain = f"correlation {found.correlation:.2f} instead of {before:.2f}"
    log.warning("%s was turned to lie on the map of the first class (%s): all classes share one frame", name, gain)
    return found.density


def reference_in_box(
    density: np.ndarray, pixel_size: float, particles: Particles, settings: Settings
) -> tuple[np.ndarray, float]:
    """Bring a map to the working box of a run, low-passed and masked. Return it and its new pixel size (A).

    What the corners of the map hold in the median is its background, and becomes 0.
    """
    box, extent = particles.common_frame()
    box = working_box(settings.preparation, box)
    background = np.median(density[spherical_mask(len(density), len(density) / 2, 1.0) == 0])
    resolution = settings.start.reference_resolution
    made = resample_map(torch.from_numpy(density - background), pixel_size, box, extent / box, resolution)
    radius = mask_radius(particles, settings.preparation) * box / extent
    return made.numpy() * spherical_mask(box, radius, MASK_EDGE * box), extent / box
