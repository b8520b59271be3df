"""The particles of the input that a run uses, and their half sets."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from napari_cryospin.particles import Particles
from napari_cryospin.settings import Settings


def choose_rows(particles: Particles, settings: Settings, generator: torch.Generator) -> list[Tensor]:
    """Choose the rows to use: one tensor, or one for each half set (the input's own halves, if it names them)."""
    count = len(particles)
    wanted = settings.preparation.subset
    rows = torch.arange(count)
    if wanted is not None and wanted < count:
        rows = torch.randperm(count, generator=generator)[:wanted].sort().values
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
