"""What a particle's posterior needs of a run at one moment: from a snapshot, or from an epoch of its history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.runs.messages import Snapshot

_ARRAYS = ("indices", "half_sets", "rotations", "shifts", "noise")


@dataclass(frozen=True, kw_only=True, eq=False)
class MapState:
    """Maps, and the particles that were compared with them. One of these is made of a snapshot, and kept."""

    maps: tuple[NDArray[np.float32], ...]  # (z, y, x): one, or one a half
    pixel_size: float  # A
    band: int  # Fourier shells that the run looked at
    noise: NDArray[np.float32]  # (maps, shells) variance of a coefficient
    max_shift: float  # A; 0: shifts are not looked for
    indices: NDArray[np.int64]  # (n,) rows of the input
    half_sets: NDArray[np.int8]  # (n,) 1 / 2, or 0 where there are no halves
    rotations: NDArray[np.float32]  # (n, 3, 3)
    shifts: NDArray[np.float32]  # (n, 2) A

    @classmethod
    def of_snapshot(cls, snapshot: Snapshot) -> MapState:
        """State of a run as a snapshot has it; the arrays are the snapshot's own."""
        return cls(
            maps=snapshot.half_maps or (snapshot.map,),
            pixel_size=snapshot.pixel_size,
            band=snapshot.band,
            max_shift=snapshot.max_shift,
            **{name: getattr(snapshot, name) for name in _ARRAYS},
        )

    @classmethod
    def of_history(cls, arrays: Mapping[str, Any]) -> MapState:
        """State of a run at the end of an epoch, from the arrays of its file in history/."""
        maps = arrays["half_maps"] if "half_maps" in arrays else arrays["map"][None]
        return cls(
            maps=tuple(maps.astype(np.float32)),
            pixel_size=float(arrays["pixel_size"]),
            band=int(arrays["band"]),
            max_shift=float(arrays["max_shift"]),
            **{name: arrays[name] for name in _ARRAYS},
        )

    def row(self, particle: int) -> int:
        """Position of a row of the input among the particles that are used.

        Raises
        ------
        ValueError
            The run does not use this row.
        """
        found = np.flatnonzero(self.indices == particle)
        if not len(found):
            last = int(self.indices.max())
            raise ValueError(
                f"particle {particle}: the run does not use this row; expected one of 0 to {last} that it uses"
            )
        return int(found[0])

    def half(self, row: int) -> int:
        """Which of `maps` a particle belongs to, by its position among those used."""
        return max(0, int(self.half_sets[row]) - 1)
