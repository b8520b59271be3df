"""What a run knows at the end of an epoch: its maps, their noise, and its particles."""

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
"""Numbers and text of an epoch's record."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EpochRecord:
    """What a run knows after a number of epochs. Arrays are read-only, and never the engine's own.

    Attributes
    ----------
    epoch : int
        Epochs finished.
    stage : str
        auto-encoding or auto-decoding.
    map : ndarray
        `(z, y, x)` float32, in standard deviations of the background noise in a pixel; of half sets the first one's.
    half_maps : tuple of ndarray
        Two maps where half sets are reconstructed, each in a frame of its own.
    pixel_size : float
        Angstrom.
    band : int
        Fourier shells that images and map are compared in.
    noise : ndarray
        `(maps, groups, shells)` float32: variance of a coefficient, as the likelihood has it, of each noise group
        (`ParticleRecord.noise_group`). Records of one group may be given, and were once written, as `(maps, shells)`.
    max_shift : float
        Angstrom; 0: shifts are not looked for.
    particles : ParticleRecord
        Poses, and what else is known of the particles.
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
        return self.noise[self.map_of(position), 0 if group is None else group[position]]

    def map_of(self, position: int) -> int:
        """Tell which of `maps` belongs to a particle, by its position in the record."""
        return max(0, int(self.particles.half_sets[position]) - 1)

    def save(self, file: Path | BinaryIO) -> None:
        """Write the record to an .npz file, its maps in half precision."""
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
        """Read what `save` wrote.

        Raises
        ------
        FileNotFoundError, ValueError
            There is no such file, or it is no record of an epoch.
        """
        with open_record(path) as file:
            return cls(**read_epoch_values(file))


class EpochFile:
    """The record of an epoch in a run's history. Every method reads what it is asked for, and no more.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    FileNotFoundError, ValueError
        By whatever reads: there is no such file, or it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _about(self) -> dict[str, Any]:
        with open_record(self.path) as file:
            return {name: file.value(name) for name in ("epoch", "stage", "pixel_size")}

    @property
    def epoch(self) -> int:
        """Epochs finished."""
        return int(self._about["epoch"])

    @property
    def stage(self) -> Stage:
        """auto-encoding or auto-decoding."""
        stage: Stage = self._about["stage"]
        return stage

    @property
    def pixel_size(self) -> float:
        """Angstrom."""
        return float(self._about["pixel_size"])

    def maps(self) -> tuple[NDArray[np.float32], ...]:
        """Read the `(z, y, x)` map, or those of the two half sets."""
        with open_record(self.path) as file:
            maps = file.array("half_maps") if "half_maps" in file else file.array("map")[None]
            return tuple(frozen_map(one) for one in maps)

    def particles(self, *optional: str) -> ParticleRecord:
        """Read what is known of the particles: the arrays that every record has, and the `optional` ones."""
        with open_record(self.path) as file:
            return file.particles(*optional)

    def record(self) -> EpochRecord:
        """Read everything."""
        return EpochRecord.load(self.path)


def read_epoch_values(file: RecordFile) -> dict[str, Any]:
    """Read the fields of an `EpochRecord`."""
    values = {name: file.value(name) for name in MAP_VALUES}
    values |= {name: file.array(name) for name in ("map", "noise")}
    halves = tuple(file.array("half_maps")) if "half_maps" in file else ()
    return {**values, "half_maps": halves, "particles": file.particles(*OPTIONAL_ARRAYS)}


def frozen_map(values: ArrayLike) -> NDArray[np.float32]:
    """Make a read-only float32 array: the same where it is one already."""
    return read_only(values, np.float32)
