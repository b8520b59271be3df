"""The record of an epoch: maps, their noise, and the record of the particles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_cryospin.io.files import FileMark, file_mark
from napari_cryospin.runs.messages import Stage
from napari_cryospin.runs.particle_record import OPTIONAL_ARRAYS, ParticleRecord, read_only
from napari_cryospin.runs.record_file import RecordFile, open_record, save_record

MAP_VALUES = ("epoch", "stage", "pixel_size", "band", "max_shift")
"""Names of the numbers and texts in the record of an epoch."""
SEVERAL_MAPS = ("half_maps", "class_maps")
"""Names of arrays that hold several maps, which are left out where there are none."""


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
    class_maps : tuple of ndarray
        With several classes, the maps of all of them; with half sets, those of both halves one after the other, class
        by class. `map` and `half_maps` are then those of the first class. Empty with one class.
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
    class_maps: tuple[NDArray[np.float32], ...] = ()
    pixel_size: float
    band: int
    noise: NDArray[np.float32]
    max_shift: float
    particles: ParticleRecord

    def __post_init__(self) -> None:
        for name in ("half_maps", "class_maps"):
            object.__setattr__(self, name, tuple(frozen_map(one) for one in getattr(self, name)))
        object.__setattr__(self, "map", frozen_map(self.map))
        noise = np.asarray(self.noise)
        object.__setattr__(self, "noise", frozen_map(noise[:, None] if noise.ndim == 2 else noise))

    @property
    def maps(self) -> tuple[NDArray[np.float32], ...]:
        """The maps of the first class: one, or one for each half set."""
        return self.half_maps or (self.map,)

    @property
    def all_maps(self) -> tuple[NDArray[np.float32], ...]:
        """The maps that images are compared with: those of each class, and of each half set of it."""
        return self.class_maps or self.maps

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.all_maps) // len(self.maps)

    def maps_of_class(self, number: int) -> tuple[NDArray[np.float32], ...]:
        """Return the maps of a class, from 1: one, or one for each half set.

        Raises
        ------
        ValueError
            There is no such class.
        """
        return maps_of_class(self.all_maps, len(self.maps), number)

    def noise_of(self, position: int) -> NDArray[np.float32]:
        """Return the noise variance `(shells,)` of a particle's images, by its position in the record."""
        group = self.particles.noise_group
        spectrum: NDArray[np.float32] = self.noise[self._half_of(position), 0 if group is None else group[position]]
        return spectrum

    def _half_of(self, position: int) -> int:
        return max(0, int(self.particles.half_sets[position]) - 1)

    def map_of(self, position: int) -> int:
        """Return the number, from 0, of the map in `all_maps` that belongs to the particle at a position."""
        numbers = self.particles.class_number
        before = 0 if numbers is None else int(numbers[position]) - 1
        return before * len(self.maps) + self._half_of(position)

    @property
    def several_maps(self) -> dict[str, tuple[NDArray[np.float32], ...]]:
        """Name -> half maps and maps of classes, where there are any."""
        return {name: getattr(self, name) for name in SEVERAL_MAPS if getattr(self, name)}

    def save(self, file: Path | BinaryIO) -> None:
        """Write the record to an .npz file, with its maps in half precision."""
        numbers = {name: getattr(self, name) for name in MAP_VALUES if name != "pixel_size"}
        several = {name: np.stack(maps).astype(np.float16) for name, maps in self.several_maps.items()}
        save_record(
            file,
            self.particles,
            map=self.map.astype(np.float16),
            **several,
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
    def mark(self) -> FileMark:
        """Mark of the file: it changes when a run that was resumed writes the epoch anew."""
        return file_mark(self.path)

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

    def maps(self, number: int = 1) -> tuple[NDArray[np.float32], ...]:
        """Read the map of a class, `(z, y, x)`, or the maps of its two half sets.

        Raises
        ------
        ValueError
            There is no such class.
        """
        with open_record(self.path) as file:
            maps = file.array(_maps_name(file))
            maps = maps[None] if maps.ndim == 3 else maps
            return tuple(frozen_map(one) for one in maps_of_class(tuple(maps), _halves(file), number))

    @property
    def classes(self) -> int:
        """Number of classes; no map is read for it."""
        with open_record(self.path) as file:
            return file.shape("class_maps")[0] // _halves(file) if "class_maps" in file else 1

    def particles(self, *optional: str) -> ParticleRecord:
        """Read the record of the particles: the arrays that every record has, and the `optional` ones."""
        with open_record(self.path) as file:
            return file.particles(*optional)

    def record(self) -> EpochRecord:
        """Read the whole record."""
        return EpochRecord.load(self.path)


def _maps_name(file: RecordFile) -> str:
    """Return the name of the array that has all maps of a record."""
    return next((name for name in ("class_maps", "half_maps") if name in file), "map")


def _halves(file: RecordFile) -> int:
    """Return the number of maps of each class: 1, or 2 with half sets."""
    return file.shape("half_maps")[0] if "half_maps" in file else 1


def read_epoch_values(file: RecordFile) -> dict[str, Any]:
    """Read the fields of an `EpochRecord` from an open file."""
    values = {name: file.value(name) for name in MAP_VALUES}
    values |= {name: file.array(name) for name in ("map", "noise")}
    values |= {name: tuple(file.array(name)) for name in SEVERAL_MAPS if name in file}
    return {**values, "particles": file.particles(*OPTIONAL_ARRAYS)}


def maps_of_class(maps: tuple[NDArray[Any], ...], halves: int, number: int) -> tuple[NDArray[Any], ...]:
    """Return the maps of a class, from 1, of maps that lie class by class, with so many halves each.

    Raises
    ------
    ValueError
        There is no such class.
    """
    count = len(maps) // halves
    if not 1 <= number <= count:
        raise ValueError(f"class {number}: there is no such class; expected 1 to {count}")
    return maps[(number - 1) * halves : number * halves]


def frozen_map(values: ArrayLike) -> NDArray[np.float32]:
    """Return the values as a read-only float32 array: the array itself if it is one already, else a copy."""
    return read_only(values, np.float32)
