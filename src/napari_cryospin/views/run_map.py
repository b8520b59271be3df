"""A map of a run with what is needed to use it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.io.mrc import write_map


@dataclass(frozen=True, eq=False)
class RunMap:
    """A map of a run at one moment.

    Attributes
    ----------
    density : ndarray
        `(z, y, x)` float32, in standard deviations of the background noise in a pixel; read-only.
    pixel_size : float
        Angstrom.
    epoch : int
        Number of epochs that were finished.
    note : str
        What the user must know about this map, for example that it is the map of one half only.
    """

    density: NDArray[np.float32]
    pixel_size: float
    epoch: int
    note: str = ""

    def save(self, path: Path | str) -> Path:
        """Write the map to an MRC file."""
        path = Path(path)
        write_map(path, self.density, self.pixel_size)
        return path
