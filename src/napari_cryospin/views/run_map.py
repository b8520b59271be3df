"""A map of a run, as it is handed out."""

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
        Epochs that were finished.
    note : str
        What must be known of this map: that it is one half's alone, say.
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
