"""The results of a run: maps, and a record of the particles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.runs.epoch_record import frozen_map
from napari_cryospin.runs.messages import Stage
from napari_cryospin.runs.particle_record import OPTIONAL_ARRAYS, ParticleRecord
from napari_cryospin.runs.record_file import open_record, save_record
from napari_cryospin.runs.verdict import Verdict

PARTICLES_FILE = "particles.npz"
"""Name of the file in results/ with the record of the particles, in the order of the input."""


def class_folder(results: Path, number: int) -> Path:
    """Return the folder with the results of one class, from 1, of a run with several classes."""
    return results / f"class_{number}"


def class_count(results: Path) -> int:
    """Return the number of classes whose results are in a results folder; 1 if it has no folders of classes."""
    count = 0
    while (class_folder(results, count + 1) / "map.mrc").is_file():
        count += 1
    return max(count, 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Results:
    """The results of a run: maps in real space, and one pose for each particle that was used.

    Attributes
    ----------
    map : ndarray
        `(z, y, x)` float32, unfiltered; with half sets, the mean of the two maps.
    filtered_map : ndarray
        `(z, y, x)` float32, low-passed at the resolution that was reached.
    half_maps : tuple of ndarray
        Maps of the two half sets in one frame; empty without half sets.
    sharpened_map : ndarray, optional
        `(z, y, x)` float32; only with half sets.
    mask : ndarray, optional
        `(z, y, x)` float32, 0 to 1: mask of the FSC.
    pixel_size : float
        Angstrom.
    resolution : float
        Angstrom; nan: it could not be estimated, or the poses are not determined.
    error_over_noise : float
        Mean error of the images over that of the noise; 1: the map explains all but the noise; nan: the run is not
        over.
    fsc : mapping, optional
        Name -> `(shells,)` values: frequency in 1/A, unmasked, ..., corrected.
    guinier : mapping, optional
        Name -> `(shells,)` values: square in 1/A^2, log_amplitude.
    b_factor : float
        B-factor of the sharpened map, A^2; negative sharpens.
    band : int, optional
        Number of Fourier shells of which the half maps were made.
    notes : tuple of str
        Notes on how far the results can be trusted.
    verdict : Verdict, optional
        Verdict on whether the poses are determined; None: the results are of a version without verdicts.
    symmetry : str
        Name of the point group that map and poses have, with the convention's axes.
    looks_like : str
        Advice on a symmetry that the map looks like it has; empty: it looks like none, or has one.
    particles : ParticleRecord
        Record of the particles that were used, with all poses in one frame.
    classes : tuple of Results
        With several classes, the results of each of them, with its own particles. All other fields but `particles` and
        `notes` are then those of the largest class. Empty with one class.
    epoch : int
        Number of epochs finished.
    stage : str
        auto-encoding or auto-decoding.
    """

    map: NDArray[np.float32]
    filtered_map: NDArray[np.float32]
    half_maps: tuple[NDArray[np.float32], ...] = ()
    sharpened_map: NDArray[np.float32] | None = None
    mask: NDArray[np.float32] | None = None
    pixel_size: float
    resolution: float
    error_over_noise: float = float("nan")
    fsc: Mapping[str, NDArray[np.floating]] | None = None
    guinier: Mapping[str, NDArray[np.floating]] | None = None
    b_factor: float = 0.0
    band: int | None = None
    notes: tuple[str, ...] = ()
    verdict: Verdict | None = None
    symmetry: str = "C1"
    looks_like: str = ""
    particles: ParticleRecord
    classes: tuple[Results, ...] = ()
    epoch: int = 0
    stage: Stage = "auto-encoding"

    def __post_init__(self) -> None:
        object.__setattr__(self, "half_maps", tuple(frozen_map(one) for one in self.half_maps))
        for name in ("map", "filtered_map", "sharpened_map", "mask"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, frozen_map(getattr(self, name)))


@dataclass(frozen=True, kw_only=True, eq=False)
class ResultsRecord:
    """The content of results/particles.npz: the record of the particles, and the epoch and stage when it was made.

    Attributes
    ----------
    epoch : int
        Number of epochs finished.
    stage : str
        auto-encoding or auto-decoding.
    particles : ParticleRecord
        Record of the particles, in the order of the input.
    """

    epoch: int
    stage: Stage
    particles: ParticleRecord

    def save(self, file: Path | BinaryIO) -> None:
        """Write the record to an .npz file."""
        save_record(file, self.particles, epoch=self.epoch, stage=self.stage)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a record that `save` wrote.

        Raises
        ------
        FileNotFoundError, ValueError
            There is no such file, or it is not such a record.
        """
        with open_record(path) as file:
            particles = file.particles(*OPTIONAL_ARRAYS)
            return cls(epoch=int(file.value("epoch")), stage=file.value("stage"), particles=particles)


def epoch_of_results(path: Path) -> int:
    """Read the number of epochs after which results/particles.npz was written, and nothing else of it."""
    with open_record(path) as file:
        return int(file.value("epoch"))
