"""Between RELION's Euler angles and rotation matrices."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation


def rotation_from_euler(angles: ArrayLike) -> NDArray[np.float64]:
    """`(..., 3, 3)` rotations, map's frame to image's frame, from RELION's angles.

    Parameters
    ----------
    angles
        Degrees `(..., 3)`: rot, tilt, psi.
    """
    angles = np.asarray(angles, dtype=np.float64)
    matrices = Rotation.from_euler("ZYZ", angles.reshape(-1, 3), degrees=True).as_matrix()
    return matrices.swapaxes(-1, -2).reshape(*angles.shape, 3)


def euler_from_rotation(rotations: ArrayLike) -> NDArray[np.float64]:
    """Degrees `(..., 3)`: rot, tilt, psi of rotations from the map's frame to the image's frame.

    Written out rather than by scipy, which warns where the beam runs along z; there rot is 0, and psi is the turn.

    Parameters
    ----------
    rotations
        `(..., 3, 3)`.
    """
    a = np.asarray(rotations, dtype=np.float64)
    sin_tilt = np.hypot(a[..., 2, 0], a[..., 2, 1])
    pole = sin_tilt < 1e-7
    # The third row is the viewing direction (sin tilt cos rot, sin tilt sin rot, cos tilt); the third column is
    # (-sin tilt cos psi, sin tilt sin psi, cos tilt).
    rot = np.where(pole, 0.0, np.arctan2(a[..., 2, 1], a[..., 2, 0]))
    tilt = np.arctan2(sin_tilt, a[..., 2, 2])
    psi = np.where(pole, np.arctan2(a[..., 0, 1], a[..., 1, 1]), np.arctan2(a[..., 1, 2], -a[..., 0, 2]))
    return np.degrees(np.stack([rot, tilt, psi], axis=-1))
