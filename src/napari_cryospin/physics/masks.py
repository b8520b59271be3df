"""Soft edges of masks and filters: a raised cosine from 1 to 0, for NumPy and for torch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # Filters of maps do not load torch.
    from torch import Tensor


def raised_cosine(distance: NDArray[Any], edge: float) -> NDArray[Any]:
    """Compute a weight that falls from 1 to 0 over an edge.

    Parameters
    ----------
    distance
        Distance beyond the point where the edge begins: 1 where it is at most 0.
    edge
        Width of the edge, in the unit of `distance`, above 0: 0 from there on.
    """
    return 0.5 + 0.5 * np.cos(np.pi * np.clip(distance / edge, 0, 1))


def raised_cosine_tensor(distance: Tensor, edge: float) -> Tensor:
    """Compute a weight that falls from 1 to 0 over an edge, as `raised_cosine`."""
    return 0.5 + 0.5 * (math.pi * (distance / edge).clamp(0, 1)).cos()
