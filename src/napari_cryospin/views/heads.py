"""What an epoch's history says of the heads, over the sphere and in all; made in a worker's thread."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.io.npz import open_npz
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.views.sphere_pictures import prepare_sphere_map

NO_TRUTH = "the true poses of these particles are not known"
NO_FRAME = "too few poses agree with the truth yet"


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
    with open_npz(folder.history_paths()[epoch]) as file:
        history = {name: file[name] for name in ("indices", "half_sets", "rotations", "best_head", "winning_head")}
        history["candidates"] = file["candidate_rotations"]
    members = history["half_sets"] == half
    history = {name: values[members] for name, values in history.items()}
    candidates = history["candidates"]
    share = won_share(history["best_head"], history["winning_head"], candidates.shape[1])
    nside = grid_for(len(candidates), finest=4)
    if not candidates.shape[1]:
        note = "this method has no encoder"
    elif not errors:
        values = 100 * win_shares(history["best_head"], history["rotations"], candidates.shape[1], nside)
    elif truth is None:
        note = NO_TRUTH
    elif (true := true_rotations(folder, history, truth)) is None:
        note = NO_FRAME
    else:
        values = mean_errors(candidates, true, nside)
    prepare_sphere_map(nside)
    return HeadMaps(path=folder.path, epoch=epoch, errors=errors, half=half, values=values, share=share, note=note)


def won_share(best_head: NDArray, winning_head: NDArray, heads: int) -> NDArray[np.float64]:
    """`(heads + 1,)` %: of the particles, those to which each head is the nearest; last, those that the sample won."""
    seen = best_head[best_head >= 0]
    share = np.bincount(seen, minlength=heads)[:heads] / max(1, len(seen))
    return 100 * np.append(share, (winning_head == heads).mean() if len(winning_head) else 0.0)


def true_rotations(folder: RunFolder, history: dict[str, NDArray], truth: Path) -> NDArray[np.float64] | None:
    """`(n, 3, 3)` true rotations in the frame of an epoch's poses; None: too few agree."""
    # Here: it loads torch.
    from napari_cryospin.evaluation.against_truth import true_rotations_in_frame
    from napari_cryospin.io.open import open_particles
    from napari_cryospin.runs.run_particles import open_run_particles

    return true_rotations_in_frame(
        indices=history["indices"],
        rotations=history["rotations"],
        half_sets=history["half_sets"],
        truth=open_particles(truth, require_stacks=False),
        particles=open_run_particles(folder, require_stacks=False),
    )
