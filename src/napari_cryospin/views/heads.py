"""How many particles each head won in an epoch, where on the sphere, and how far it is off."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.evaluation.head_maps import grid_for, mean_errors, win_shares
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.views.sphere_pictures import prepare_sphere_map
from napari_cryospin.views.truth import TOO_FEW_AGREE, true_rotations

NO_TRUTH = "the true poses of these particles are not known"
NO_ENCODER = "this method has no encoder"
FINEST_HEAD_MAPS = 4
"""HEALPix nside of the maps of heads at most: 192 cells."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadMaps:
    """What the heads win, or how far they are off, over the sphere of view directions.

    Attributes
    ----------
    epoch : int
        Epoch at whose end this was.
    errors : bool
        Whether the values are errors.
    half : int
        Half set that is looked at, 1 or 2; 0: there are none.
    values : ndarray
        `(M, cells)` in HEALPix cells, ring order: per cent of a cell's particles that each head wins, or its mean
        rotation error in degrees; nan: no particles there. M = 0: not known, see the note.
    share : ndarray
        `(M + 1,)` per cent of the particles that each head won; last, the posterior sample.
    note : str
        Why there are no values.
    """

    epoch: int
    errors: bool
    half: int
    values: NDArray[np.float64]
    share: NDArray[np.float64]
    note: str = ""


def head_maps(folder: RunFolder, epoch: int, errors: bool, half: int, truth: Path | None) -> HeadMaps:
    """Make the maps of one epoch's heads. Takes a while: a window asks a worker's thread.

    Parameters
    ----------
    folder
        The run.
    epoch
        One that has a history.
    errors
        How far each head is off, where the truth is known; else what each head wins.
    half
        Half set that is looked at, 1 or 2; 0: there are none.
    truth
        File with true poses.

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
    elif (true := true_rotations(folder, record, truth)) is None:
        note = TOO_FEW_AGREE
    else:
        values = mean_errors(candidates, true, nside)
    prepare_sphere_map(nside)
    share = 100 * record.head_share(heads).astype(np.float64)
    return HeadMaps(epoch=epoch, errors=errors, half=half, values=values, share=share, note=note)
