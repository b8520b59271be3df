"""A map or model from elsewhere, brought to the frame of a run's map, and how well the two agree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_cryospin.evaluation.fsc import fsc, spherical_mask
from napari_cryospin.evaluation.map_alignment import align_maps
from napari_cryospin.evaluation.map_filter import low_pass
from napari_cryospin.io.atomic_model import is_model, read_atoms
from napari_cryospin.io.mrc import read_map
from napari_cryospin.physics.map_resampling import resample_map
from napari_cryospin.views.run_map import RunMap

SPHERE_OF_FIT, EDGE_OF_FIT = 0.44, 0.06
"""Radius of the sphere in which maps are compared, and width of its edge, as shares of the box: that of half maps
(`engine.half_sets`)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedMap:
    """A map in the frame of a run's map.

    Attributes
    ----------
    name : str
        Name of the file, or of the run.
    density : ndarray
        `(n, n, n)`, on the grid of the run's map.
    pixel_size : float
        Angstrom.
    correlation : float
        Correlation of the two, both low-passed to the resolution at which they were compared, in a sphere.
    resolution : float
        Angstrom at which their FSC first falls below 0.5.
    hand_flipped : bool
        Whether the map had to be inverted: the run's map has the other hand.
    """

    name: str
    density: NDArray[np.float32]
    pixel_size: float
    correlation: float
    resolution: float
    hand_flipped: bool

    @property
    def words(self) -> str:
        """Description of how well the two agree."""
        hand = "; the run's map has the other hand" if self.hand_flipped else ""
        return f"{self.name}: correlation {self.correlation:.2f}, FSC 0.5 at {self.resolution:.1f} Å{hand}"


def read_known(path: Path, box: int, pixel_size: float, resolution: float) -> NDArray[np.float32]:
    """Read a map (.mrc) or a model (PDB, mmCIF) onto a grid, low-passed to a resolution in Angstrom.

    Raises
    ------
    FileNotFoundError, ValueError
        It cannot be read, is no cube, or states no pixel size.
    """
    if is_model(path):
        return low_pass(density_of_model(path, box, pixel_size), pixel_size, resolution)
    density, own = read_map(path)
    if not own > 0:
        raise ValueError(f"{path}: the header states no pixel size; expected one above 0")
    if len(set(density.shape)) != 1:
        raise ValueError(f"{path}: found {density.shape} voxels; expected a cube")
    return on_grid(density, own, box, pixel_size, resolution)


def on_grid(
    density: NDArray[np.float32], own: float, box: int, pixel_size: float, resolution: float
) -> NDArray[np.float32]:
    """Bring a cubic map with pixels of `own` Angstrom to another grid, low-passed; its background becomes 0."""
    centred = torch.from_numpy(np.asarray(density - np.median(density), np.float32))
    return resample_map(centred, own, box, pixel_size, resolution).numpy()


def density_of_model(path: Path, box: int, pixel_size: float) -> NDArray[np.float32]:
    """Spread the electrons of a model's atoms over the voxels around them, with its centre of mass in the box's.

    Raises
    ------
    ValueError
        An atom lies outside the box.
    """
    atoms = read_atoms(path)
    centre = np.average(atoms.positions, axis=0, weights=atoms.weights)
    place = (atoms.positions - centre)[:, ::-1] / pixel_size + box // 2  # (z, y, x) in voxels
    if (place < 0).any() or (place >= box - 1).any():
        size = np.ptp(atoms.positions, axis=0).max()
        raise ValueError(f"{path}: a model of {size:.0f} A does not fit the box of {box * pixel_size:.0f} A")
    density, low = np.zeros((box,) * 3, np.float32), np.floor(place).astype(int)
    for corner in np.ndindex(2, 2, 2):
        share = np.prod(np.where(corner, place - low, 1 - (place - low)), axis=1)
        np.add.at(density, tuple((low + corner).T), share * atoms.weights)
    return density


def fit_to_map(run_map: RunMap, known: NDArray[np.float32], name: str, resolution: float) -> FittedMap:
    """Turn and shift a map, in either hand, until it agrees with a run's map; this takes some seconds.

    Parameters
    ----------
    run_map
        Map that stays.
    known
        `(n, n, n)` map on the same grid.
    name
        Its name.
    resolution
        Angstrom down to which both are compared.
    """
    n, pixel_size = len(run_map.density), run_map.pixel_size
    sphere = spherical_mask(n, SPHERE_OF_FIT * n, EDGE_OF_FIT * n)
    fixed = low_pass(run_map.density, pixel_size, resolution) * sphere
    found = align_maps(fixed, known * sphere, pixel_size)
    aligned = found.density * sphere
    return FittedMap(
        name=name,
        density=found.density,
        pixel_size=pixel_size,
        correlation=float(np.corrcoef(aligned[sphere > 0], fixed[sphere > 0])[0, 1]),
        resolution=fsc(run_map.density * sphere, aligned, pixel_size).resolution(0.5),
        hand_flipped=found.hand_flipped,
    )
