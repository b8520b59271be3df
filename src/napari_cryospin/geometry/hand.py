"""The other hand of a map and of the poses under it, by point inversion through the centre."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

HAND_FLIP = np.diag([-1.0, -1.0, 1.0])
"""`HAND_FLIP @ A` sees in the point-inverted map what `A` sees in the map: the same view direction, psi + 180."""


def flip_hand(density: NDArray[Any]) -> NDArray[Any]:
    """Invert an even `(n, n, n)` map through its centre `n // 2`; its rotations become `HAND_FLIP @ A`."""
    return np.roll(density[::-1, ::-1, ::-1], (1, 1, 1), (0, 1, 2))
