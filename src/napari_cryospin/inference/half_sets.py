"""Two independent halves, brought into one frame at the end: for the FSC, and for poses that go together."""

from __future__ import annotations

from numpy.typing import NDArray

from napari_cryospin.evaluation.fsc import Fsc, fsc, spherical_mask
from napari_cryospin.evaluation.map_alignment import MapAlignment, align_maps, apply_alignment
from napari_cryospin.evaluation.pose_error import HAND_FLIP


def align_halves(first: NDArray, second: NDArray, pixel_size: float) -> tuple[MapAlignment, NDArray, Fsc]:
    """Lay the second half's map on the first's.

    Parameters
    ----------
    first, second : ndarray
        `(n, n, n)` half maps, in whatever frame and hand each half found.
    pixel_size : float
        Angstrom.

    Returns
    -------
    alignment : MapAlignment
    aligned : ndarray
        `(n, n, n)` the second map in the frame of the first, not masked.
    curve : Fsc
        Between the two, within a soft sphere.
    """
    n = len(first)
    mask = spherical_mask(n, 0.45 * n, 0.05 * n)
    found = align_maps(first * mask, second * mask, pixel_size)
    aligned = apply_alignment(second, found.rotation, found.shift, pixel_size, hand_flipped=found.hand_flipped)
    return found, aligned, fsc(first, aligned, pixel_size, mask)


def poses_in_frame(rotations: NDArray, shifts: NDArray, alignment: MapAlignment) -> tuple[NDArray, NDArray]:
    """Poses under the map before the alignment, as poses under the map after it.

    What was at `p` is at `Q p + s` now: `A` becomes `A Q^T` (after the flip of the hand), and the centre of the new
    frame is seen `(A Q^T s)` away from the old one's, against the sign of a shift.

    Parameters
    ----------
    rotations, shifts : ndarray
        `(n, 3, 3)`, and `(n, 2)` Angstrom.
    """
    turned = HAND_FLIP @ rotations if alignment.hand_flipped else rotations
    turned = turned @ alignment.rotation.T
    return turned, shifts + (turned @ alignment.shift)[:, :2]
