"""The other hand of a map and of its poses, by point inversion through the centre."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

HAND_FLIP = np.diag([-1.0, -1.0, 1.0])
"""Factor of poses in the other hand: the projection of the point-inverted map at `HAND_FLIP @ A` is that of the map at
`A`. The view direction stays; psi grows by 180 degrees."""


def flip_hand(density: NDArray[Any]) -> NDArray[Any]:
    """Invert an even `(n, n, n)` map through its centre `n // 2`; its rotations become `HAND_FLIP @ A`."""
    return np.roll(density[::-1, ::-1, ::-1], (1, 1, 1), (0, 1, 2))
