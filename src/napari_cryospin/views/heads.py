"""What an epoch's history says of the heads, over the sphere and in all; made in a worker's thread."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.views.sphere_pictures import prepare_sphere_map
from napari_cryospin.views.truth import TOO_FEW_AGREE, true_rotations

NO_TRUTH = "the true poses of these particles are not known"


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadMaps:
    """What a history says of the heads over the sphere."""

    path: Path
    epoch: int
    errors: bool
    half: int
    values: NDArray[np.float64]  # (heads, cells): % or degrees
    share: NDArray[np.float64]  # (heads + 1,) %: of the half's particles, those won by each head, and by the sample
    note: str = ""  # why there are none


def head_maps(folder: RunFolder, epoch: int, errors: bool, half: int, truth: Path | None) -> HeadMaps:
    """Make the maps of one epoch (and half, 0: there are none). Takes a while: in a worker's thread."""
    from napari_cryospin.evaluation.head_maps import grid_for, mean_errors, win_shares

    values, note = np.zeros((0, 12)), ""
    record = folder.history(epoch).particles("best_head", "candidates").of_half(half)
    candidates, best_head = record.candidates, record.best_head
    if candidates is None or best_head is None:
        raise ValueError(f"{folder.path}: epoch {epoch} keeps no candidates of the heads")
    heads, nside = candidates.shape[1], grid_for(len(record), finest=4)
    if not heads:
        note = "this method has no encoder"
    elif not errors:
        values = 100 * win_shares(best_head, record.rotations, heads, nside)
    elif truth is None:
        note = NO_TRUTH
    elif (true := true_rotations(folder, record, truth)) is None:
        note = TOO_FEW_AGREE
    else:
        values = mean_errors(candidates, true, nside)
    share = 100 * record.head_share(heads).astype(np.float64)
    prepare_sphere_map(nside)
    return HeadMaps(path=folder.path, epoch=epoch, errors=errors, half=half, values=values, share=share, note=note)
