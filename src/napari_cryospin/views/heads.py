"""The share of an epoch's particles that each head won, over the sphere, and the heads' errors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.evaluation.head_maps import grid_for, mean_errors, win_shares
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.views.sphere_pictures import prepare_sphere_map
from napari_cryospin.views.truth import TOO_FEW_AGREE, aligned_truth

NO_TRUTH = "the true poses of these particles are not known"
"""Note of maps of errors for which no truth is known."""
NO_ENCODER = "this method has no encoder"
"""Note of maps for a method without an encoder."""
FINEST_HEAD_MAPS = 4
"""Largest HEALPix nside of the maps of heads, 192 cells; chosen by hand."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadMaps:
    """Shares that the heads win, or their errors, over the sphere of view directions.

    Attributes
    ----------
    epoch : int
        Epoch at whose end the values were computed.
    errors : bool
        Whether the values are errors.
    half : int
        Half set of the particles, 1 or 2; 0: there are no half sets.
    values : ndarray
        `(M, cells)` of HEALPix cells in ring order: per cent of a cell's particles that each head wins, or its mean
        rotation error in degrees; nan: no particles there. M = 0: the values are not known, and `note` says why.
    share : ndarray
        `(M + 1,)` per cent of the particles that each head won; the last value is that of the posterior sample.
    note : str
        Reason why there are no values; empty if there are.
    rows, best_head, directions : ndarray
        Of the half set's particles: `(n,)` row of the input, `(n,)` the head whose candidate explains the image best,
        from 0, and `(n, 3)` view direction.
    """

    epoch: int
    errors: bool
    half: int
    values: NDArray[np.float64]
    share: NDArray[np.float64]
    note: str = ""
    rows: NDArray[np.int64]
    best_head: NDArray[np.int16]
    directions: NDArray[np.floating]


def head_maps(folder: RunFolder, epoch: int, errors: bool, half: int, truth: Path | None) -> HeadMaps:
    """Make the maps of one epoch's heads.

    This takes a while, so that a window calls it in a worker's thread.

    Parameters
    ----------
    folder
        The run.
    epoch
        Epoch that has a history.
    errors
        Whether to return the heads' errors, for which the truth must be known, instead of the shares that they win.
    half
        Half set of the particles, 1 or 2; 0: there are no half sets.
    truth
        File with true poses; None: the truth is not known.

    Raises
    ------
    FileNotFoundError, ValueError
        The epoch has no history, or it or the truth cannot be read.
    """
    record = folder.history(epoch).particles("best_head", "candidates").of_half(half)
    candidates, best_head = record.candidates, record.best_head
    if candidates is None or best_head is None:
        raise ValueError(f"{folder.path}: the history of epoch {epoch} has no candidates; expected those of the heads")
    heads, nside = candidates.shape[1], grid_for(len(record), finest=FINEST_HEAD_MAPS)
    values, note = np.zeros((0, 12)), ""
    if not heads:
        note = NO_ENCODER
    elif not errors:
        values = 100 * win_shares(best_head, record.rotations, heads, nside)
    elif truth is None:
        note = NO_TRUTH
    elif (true := aligned_truth(folder, record, truth)) is None:
        note = TOO_FEW_AGREE
    else:
        values = mean_errors(true.errors_of(candidates), true.rotations[:, 2], nside)
    prepare_sphere_map(nside)
    share = 100 * record.head_share(heads).astype(np.float64)
    return HeadMaps(
        epoch=epoch,
        errors=errors,
        half=half,
        values=values,
        share=share,
        note=note,
        rows=record.rows,
        best_head=best_head,
        directions=np.ascontiguousarray(record.rotations[:, 2]),
    )
