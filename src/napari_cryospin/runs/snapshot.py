"""The snapshot of a run at one step, for its watchers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.runs.epoch_record import MAP_VALUES, EpochRecord, frozen_map, read_epoch_values
from napari_cryospin.runs.record_file import open_record, save_record

STEP_VALUES = ("step", "loss", "resolution", "switch_ready", "switch_reason")
"""Names of the numbers and texts that a snapshot has beside those in the record of an epoch."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Snapshot(EpochRecord):
    """A run at one step: the record of the present epoch, and the progress of the run.

    Attributes
    ----------
    step : int
        Number of steps done.
    head_share : ndarray
        `(M + 1,)` float32: share of the particles for which each head is the best one; last, that of the posterior
        sample.
    loss : float
        Error of the images, in units of that of noise alone.
    resolution : float
        Angstrom; nan: not known yet.
    switch_ready, switch_reason : bool, str
        Whether the switch to auto-decoding is advised now, and the reason for that.
    """

    step: int
    head_share: NDArray[np.float32]
    loss: float
    resolution: float
    switch_ready: bool
    switch_reason: str

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "head_share", frozen_map(self.head_share))

    def save(self, file: Path | BinaryIO) -> None:
        """Write the snapshot to an .npz file, with its maps in single precision."""
        numbers = {name: getattr(self, name) for name in (*MAP_VALUES, *STEP_VALUES)}
        several = {name: np.stack(maps) for name, maps in self.several_maps.items()}
        arrays = {"map": self.map, "noise": self.noise, "head_share": self.head_share}
        save_record(file, self.particles, **arrays, **several, **numbers)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a snapshot that `save` wrote.

        Raises
        ------
        FileNotFoundError, ValueError
            There is no such file, it is not a snapshot, or it is damaged.
        """
        with open_record(path) as file:
            numbers = {name: file.value(name) for name in STEP_VALUES}
            return cls(**read_epoch_values(file), **numbers, head_share=file.array("head_share"))
