"""Grey pictures of images, as ChimeraX and IMOD show them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtGui import QImage


def grey_picture(picture: NDArray[np.float32], limit: float) -> QImage:
    """Make a grey picture of `(y, x)` values between -limit and limit, y upwards as in ChimeraX."""
    levels = np.clip(127.5 * (1 + picture[::-1] / max(limit, 1e-12)), 0, 255).astype(np.uint8)
    rows, columns = levels.shape
    return QImage(levels.tobytes(), columns, rows, columns, QImage.Format.Format_Grayscale8).copy()
