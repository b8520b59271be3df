"""How much maps of the same thing differ, place by place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

ColouredBy = Literal["plain", "halves", "epochs"]
"""What a surface is coloured by: nothing, the difference of the half maps, or the change over the last epochs."""
NEIGHBOURHOOD = 2.0
"""Width (sigma) of the neighbourhood over which differences are averaged, voxels; chosen by hand."""
LAST_EPOCHS = 5
"""Number of last epochs, each with a history, whose maps are compared; chosen by hand."""


def local_uncertainty(maps: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    """Compute the spread of maps over their mean, both as local root mean squares, `(n, n, n)`.

    0: they agree; 1: they differ as much as what they show. The scale is the same for all maps.

    Parameters
    ----------
    maps
        Two or more `(n, n, n)` maps of one frame and one scale.
    """
    from scipy.ndimage import gaussian_filter  # A window that opens need not wait for it.

    stack = np.stack([np.asarray(one, np.float32) for one in maps])
    spread = gaussian_filter(stack.var(0), NEIGHBOURHOOD)
    shown = gaussian_filter(np.square(stack.mean(0)), NEIGHBOURHOOD)
    return np.sqrt(spread / np.maximum(shown, 1e-12)).astype(np.float32)


def at_vertices(values: NDArray[Any], vertices: NDArray[Any]) -> NDArray[np.float32]:
    """Read a `(z, y, x)` map at `(n, 3)` positions in voxels, by linear interpolation."""
    from scipy.ndimage import map_coordinates

    return np.asarray(map_coordinates(values, vertices.T, order=1, mode="nearest"), np.float32)
