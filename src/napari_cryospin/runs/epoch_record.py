"""The record of an epoch: maps, their noise, and the record of the particles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_cryospin.runs.messages import Stage
from napari_cryospin.runs.particle_record import OPTIONAL_ARRAYS, ParticleRecord, read_only
from napari_cryospin.runs.record_file import RecordFile, open_record, save_record

MAP_VALUES = ("epoch", "stage", "pixel_size", "band", "max_shift")
"""Names of the numbers and texts in the record of an epoch."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EpochRecord:
    """The record of a run after a number of epochs. Its arrays are read-only, and never those of the engine itself.

    Attributes
    ----------
    epoch : int
        Epochs finished.
    stage : str
        auto-encoding or auto-decoding.
    map : ndarray
        `(z, y, x)` float32, in standard deviations of the background noise in a pixel; with half sets, the map of the
        first.
    half_maps : tuple of ndarray
        Maps of the two half sets, each in a frame of its own; empty without half sets.
    pixel_size : float
        Angstrom.
    band : int
        Number of Fourier shells in which images and map are compared.
    noise : ndarray
        `(maps, groups, shells)` float32: variance of a coefficient, as the likelihood has it, of each noise group
        (`ParticleRecord.noise_group`). Records of one group may be given, and were once written, as `(maps, shells)`.
    max_shift : float
        Largest shift that is searched, Angstrom; 0: shifts are not searched.
    particles : ParticleRecord
        Poses, and everything else that is known of the particles.
    """

    epoch: int
    stage: Stage
    map: NDArray[np.float32]
    half_maps: tuple[NDArray[np.float32], ...] = ()
    pixel_size: float
    band: int
    noise: NDArray[np.float32]
    max_shift: float
    particles: ParticleRecord

    def __post_init__(self) -> None:
        object.__setattr__(self, "half_maps", tuple(frozen_map(one) for one in self.half_maps))
        object.__setattr__(self, "map", frozen_map(self.map))
        noise = np.asarray(self.noise)
        object.__setattr__(self, "noise", frozen_map(noise[:, None] if noise.ndim == 2 else noise))

    @property
    def maps(self) -> tuple[NDArray[np.float32], ...]:
        """The maps that images are compared with: one, or one for each half set."""
        return self.half_maps or (self.map,)

    def noise_of(self, position: int) -> NDArray[np.float32]:
        """Return the noise variance `(shells,)` of a particle's images, by its position in the record."""
        group = self.particles.noise_group
        spectrum: NDArray[np.float32] = self.noise[self.map_of(position), 0 if group is None else group[position]]
        return spectrum

    def map_of(self, position: int) -> int:
        """Return the number, from 0, of the map in `maps` that belongs to the particle at a position in the record."""
        return max(0, int(self.particles.half_sets[position]) - 1)

    def save(self, file: Path | BinaryIO) -> None:
        """Write the record to an .npz file, with its maps in half precision."""
        numbers = {name: getattr(self, name) for name in MAP_VALUES if name != "pixel_size"}
        halves = {"half_maps": np.stack(self.half_maps).astype(np.float16)} if self.half_maps else {}
        save_record(
            file,
            self.particles,
            map=self.map.astype(np.float16),
            **halves,
            noise=self.noise,
            pixel_size=np.float32(self.pixel_size),
            **numbers,
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a record that `save` wrote.

        Raises
        ------
        FileNotFoundError, ValueError
            There is no such file, or it is not the record of an epoch.
        """
        with open_record(path) as file:
            return cls(**read_epoch_values(file))


class EpochFile:
    """The record of an epoch in the history of a run, of which every method reads only the part that it returns.

    Parameters
    ----------
    path
        File of the record.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such file, or it is damaged. Methods and properties that read raise these, the constructor does not.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _about(self) -> dict[str, Any]:
        with open_record(self.path) as file:
            return {name: file.value(name) for name in ("epoch", "stage", "pixel_size")}

    @property
    def epoch(self) -> int:
        """Number of epochs finished."""
        return int(self._about["epoch"])

    @property
    def stage(self) -> Stage:
        """Stage of the run: auto-encoding or auto-decoding."""
        stage: Stage = self._about["stage"]
        return stage

    @property
    def pixel_size(self) -> float:
        """Pixel size of the maps, Angstrom."""
        return float(self._about["pixel_size"])

    def maps(self) -> tuple[NDArray[np.float32], ...]:
        """Read the map, `(z, y, x)`, or the maps of the two half sets."""
        with open_record(self.path) as file:
            maps = file.array("half_maps") if "half_maps" in file else file.array("map")[None]
            return tuple(frozen_map(one) for one in maps)

    def particles(self, *optional: str) -> ParticleRecord:
        """Read the record of the particles: the arrays that every record has, and the `optional` ones."""
        with open_record(self.path) as file:
            return file.particles(*optional)

    def record(self) -> EpochRecord:
        """Read the whole record."""
        return EpochRecord.load(self.path)


def read_epoch_values(file: RecordFile) -> dict[str, Any]:
    """Read the fields of an `EpochRecord` from an open file."""
    values = {name: file.value(name) for name in MAP_VALUES}
    values |= {name: file.array(name) for name in ("map", "noise")}
    halves = tuple(file.array("half_maps")) if "half_maps" in file else ()
    return {**values, "half_maps": halves, "particles": file.particles(*OPTIONAL_ARRAYS)}


def frozen_map(values: ArrayLike) -> NDArray[np.float32]:
    """Return the values as a read-only float32 array: the array itself if it is one already, else a copy."""
    return read_only(values, np.float32)
