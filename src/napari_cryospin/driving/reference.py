"""The map that a run starts from, and its copy in the run's folder: the file itself is read once, as the run begins."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from napari_cryospin.engine.defaults import MASK_EDGE, mask_radius, working_box
from napari_cryospin.engine.reference_file import read_reference
from napari_cryospin.evaluation.fsc import spherical_mask
from napari_cryospin.io.mrc import read_map, write_map
from napari_cryospin.particles import Particles
from napari_cryospin.physics.map_resampling import resample_map
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.reference import REFERENCE_MAP
from napari_cryospin.settings import Settings


def run_reference(folder: RunFolder, particles: Particles) -> Tensor | None:
    """Return the map `(n, n, n)` that a run starts from, in the run's box; None: it starts from none.

    The first call reads the file that the settings name, and writes its copy into the folder; later calls read that.

    Raises
    ------
    FileNotFoundError, ValueError
        The map cannot be used.
    """
    settings, copy = folder.settings, folder.path / REFERENCE_MAP
    if settings.start.reference is None:
        return None
    if not copy.exists():
        density, record = read_reference(particles, settings)
        record.write(folder.path)
        write_map(copy, *reference_in_box(density, record.pixel_size, particles, settings))
    return torch.from_numpy(read_map(copy)[0])


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
