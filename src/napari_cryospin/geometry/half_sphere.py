"""Directions that lie evenly on a half-sphere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def half_sphere(count: int) -> NDArray[np.float64]:
    """Make unit vectors `(count, 3)` on a golden spiral over the half-sphere about +z; each stands for one area."""
    index = np.arange(count) + 0.5
    z, turn = 1 - index / count, np.pi * (1 + 5**0.5) * index
    radius = np.sqrt(1 - z**2)
    return np.stack((radius * np.cos(turn), radius * np.sin(turn), z), axis=-1)
