"""Which particles of the input a run uses, and in which half."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor

from napari_cryospin.particles import Particles
from napari_cryospin.settings import Settings


def choose_rows(
    particles: Particles, settings: Settings, generator: torch.Generator, left_out: Collection[int] = ()
) -> list[Tensor]:
    """Choose the rows to use: one tensor, or one for each half set (the input's own halves, where it names them).

    Parameters
    ----------
    particles, settings
        Input and settings of the run.
    generator
        Source of the random numbers.
    left_out
        Rows that are not used.
    """
    wanted = settings.preparation.subset
    rows = torch.from_numpy(np.setdiff1d(np.arange(len(particles)), list(left_out)))
    if not len(rows):
        raise ValueError(f"{particles.source}: none of the {len(particles):,} images can be used")
    if wanted is not None and wanted < len(rows):
        rows = rows[torch.randperm(len(rows), generator=generator)[:wanted].sort().values]
    if not settings.preparation.half_sets:
        return [rows]
    if particles.half_sets is not None:
        half = torch.as_tensor(np.asarray(particles.half_sets))[rows]
        halves = [rows[half == 1], rows[half == 2]]
    else:
        order = torch.randperm(len(rows), generator=generator)
        halves = [rows[order[0::2]].sort().values, rows[order[1::2]].sort().values]
    if min(len(half) for half in halves) == 0:
        raise ValueError(f"{particles.source}: one of the half sets holds none of the {len(rows)} particles used")
    return halves
