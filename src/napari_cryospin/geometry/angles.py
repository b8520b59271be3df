"""Conversion between RELION's Euler angles, cryoSPARC's rotation vectors and rotation matrices, without torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

ROTATIONS_AT_A_TIME = 10_000
"""Number of rotations in one call of scipy, which holds the interpreter's lock: a window would freeze meanwhile."""


def rotation_from_euler(angles: ArrayLike) -> NDArray[np.float64]:
    """Compute `(..., 3, 3)` rotations, map's frame to image's frame, from RELION's angles.

    NumPy is used rather than scipy, which holds the interpreter's lock throughout the call.

    Parameters
    ----------
    angles
        Degrees `(..., 3)`: rot, tilt, psi.
    """
    rot, tilt, psi = np.moveaxis(np.radians(np.asarray(angles, dtype=np.float64)), -1, 0)
    cos_rot, cos_tilt, cos_psi = np.cos(rot), np.cos(tilt), np.cos(psi)
    sin_rot, sin_tilt, sin_psi = np.sin(rot), np.sin(tilt), np.sin(psi)
    a = np.empty((*rot.shape, 3, 3))
    a[..., 0, 0] = cos_rot * cos_tilt * cos_psi - sin_rot * sin_psi
    a[..., 0, 1] = sin_rot * cos_tilt * cos_psi + cos_rot * sin_psi
    a[..., 0, 2] = -sin_tilt * cos_psi
    a[..., 1, 0] = -cos_rot * cos_tilt * sin_psi - sin_rot * cos_psi
    a[..., 1, 1] = -sin_rot * cos_tilt * sin_psi + cos_rot * cos_psi
    a[..., 1, 2] = sin_tilt * sin_psi
    a[..., 2, 0] = cos_rot * sin_tilt
    a[..., 2, 1] = sin_rot * sin_tilt
    a[..., 2, 2] = cos_tilt
    return a


def rotation_from_rotvec(vectors: NDArray[Any]) -> NDArray[np.float64]:
    """Compute `(n, 3, 3)` rotations, map's frame to image's frame, from cryoSPARC's rotation vectors `(n, 3)`."""
    from scipy.spatial.transform import Rotation  # A window that opens need not wait for it.

    parts = np.split(vectors, range(ROTATIONS_AT_A_TIME, len(vectors), ROTATIONS_AT_A_TIME))
    return np.concatenate([Rotation.from_rotvec(part).as_matrix() for part in parts]).swapaxes(-1, -2)


def rotvec_from_rotation(rotations: NDArray[Any]) -> NDArray[np.float64]:
    """Compute cryoSPARC's rotation vectors `(n, 3)` of `(n, 3, 3)` rotations, map's frame to image's frame."""
    from scipy.spatial.transform import Rotation

    parts = np.split(rotations.swapaxes(-1, -2), range(ROTATIONS_AT_A_TIME, len(rotations), ROTATIONS_AT_A_TIME))
    return np.concatenate([Rotation.from_matrix(part).as_rotvec() for part in parts])


def euler_from_rotation(rotations: ArrayLike) -> NDArray[np.float64]:
    """Compute rot, tilt, psi, degrees `(..., 3)`, of rotations from the map's frame to the image's frame.

    NumPy is used rather than scipy, which warns where the beam runs along z; there rot is 0 and psi the whole angle.

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


def angle_between(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Measure the angle of the rotation between `(..., 3, 3)` rotations: `(...,)` degrees.

    It is computed from the chord `|a - b|`, which is precise for small angles, where the trace is not. The function for
    tensors is `geometry.so3.rotation_distance`.
    """
    chord = np.linalg.norm(np.asarray(a) - np.asarray(b), axis=(-2, -1)) / (2 * np.sqrt(2))
    return np.degrees(2 * np.arcsin(np.clip(chord, 0, 1)))
