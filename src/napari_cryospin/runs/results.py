"""What a run leaves behind: maps, and a record of its particles."""

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

PARTICLES_FILE = "particles.npz"
"""In results/: poses and all else that a run knows of its particles, in the order of the input."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Results:
    """What a run leaves behind: maps in real space, and one pose for each particle that was used.

    Attributes
    ----------
    map : ndarray
        `(z, y, x)` float32, unfiltered; of half sets the mean.
    filtered_map : ndarray
        `(z, y, x)` float32, low-passed at the resolution reached.
    half_maps : tuple of ndarray
        Two maps in one frame where half sets were reconstructed.
    sharpened_map : ndarray, optional
        `(z, y, x)` float32, with half sets.
    mask : ndarray, optional
        `(z, y, x)` float32, 0 to 1: of the FSC.
    pixel_size : float
        Angstrom.
    resolution : float
        Angstrom; nan: it could not be estimated.
    error_over_noise : float
        1: the map explains all but the noise; nan: the run is not over.
    fsc : mapping, optional
        `(shells,)` arrays: frequency in 1/A, unmasked, ..., corrected.
    guinier : mapping, optional
        `(shells,)` arrays: square in 1/A^2, log_amplitude.
    b_factor : float
        A^2, of the sharpened map; negative sharpens.
    band : int, optional
        Fourier shells that the half maps were made of.
    notes : tuple of str
        How far these can be trusted.
    particles : ParticleRecord
        Of the particles that were looked at, all in one frame.
    epoch : int
        Epochs finished.
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
    particles: ParticleRecord
    epoch: int = 0
    stage: Stage = "auto-encoding"

    def __post_init__(self) -> None:
        object.__setattr__(self, "half_maps", tuple(frozen_map(one) for one in self.half_maps))
        for name in ("map", "filtered_map", "sharpened_map", "mask"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, frozen_map(getattr(self, name)))


@dataclass(frozen=True, kw_only=True, eq=False)
class ResultsRecord:
    """What results/particles.npz holds: a record of the particles, and when it was made.

    Attributes
    ----------
    epoch : int
        Epochs finished.
    stage : str
        auto-encoding or auto-decoding.
    particles : ParticleRecord
        In the order of the input.
    """

    epoch: int
    stage: Stage
    particles: ParticleRecord

    def save(self, file: Path | BinaryIO) -> None:
        """Write the record to an .npz file."""
        save_record(file, self.particles, epoch=self.epoch, stage=self.stage)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        FileNotFoundError, ValueError
            There is no such file, or it is no record.
        """
        with open_record(path) as file:
            particles = file.particles(*OPTIONAL_ARRAYS)
            return cls(epoch=int(file.value("epoch")), stage=file.value("stage"), particles=particles)


def epoch_of_results(path: Path) -> int:
    """Read after how many epochs results/particles.npz was written, and nothing else of it."""
    with open_record(path) as file:
        return int(file.value("epoch"))
