"""The particles of the input that a run uses, their half sets and their folds."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor

from napari_cryospin.engine.related_particles import related_groups
from napari_cryospin.particles import Particles
from napari_cryospin.settings import Settings


def evenly_spread(count: int, wanted: int) -> Tensor:
    """Return up to `wanted` of the numbers from 0 to `count` - 1, evenly spread, `(m,)` on the CPU."""
    return torch.linspace(0, count - 1, min(count, wanted), dtype=torch.float64).round().long()


def choose_rows(
    particles: Particles, settings: Settings, generator: torch.Generator, left_out: Collection[int] = ()
) -> list[Tensor]:
    """Choose the rows to use: one tensor, or one for each half set (the input's own halves, if it names them).

    Half sets that are drawn keep related particles together: an image in both halves would make them agree.

    Parameters
    ----------
    particles, settings
        Input and settings of the run.
    generator
        Source of the random numbers.
    left_out
        Rows that are not used.

    Raises
    ------
    ValueError
        No image can be used, or a half set would be empty.
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
        halves = _drawn_halves(rows, torch.as_tensor(related_groups(particles))[rows], generator)
    if min(len(half) for half in halves) == 0:
        raise ValueError(
            f"{particles.source}: one of the half sets holds none of the {len(rows):,} particles used; the other holds "
            "all of them, as the file says or because all are related (one image, or one helical tube)"
        )
    return halves


def draw_folds(particles: Particles, rows: Tensor, generator: torch.Generator) -> Tensor:
    """Draw the fold of each particle, `(k,)` 0 or 1; related particles are in one fold.

    Where all are related, they are dealt one by one: a fold without particles could be compared with nothing.

    Parameters
    ----------
    particles, rows
        Input, and the `(k,)` rows of it that are dealt.
    generator
        Source of the random numbers.
    """
    groups = torch.as_tensor(related_groups(particles))[rows]
    if len(groups.unique()) == 1:
        groups = torch.arange(len(rows))
    place = torch.randperm(len(groups.unique()), generator=generator)
    return _deal(groups, place.argsort()).long()


def _drawn_halves(rows: Tensor, groups: Tensor, generator: torch.Generator) -> list[Tensor]:
    """Draw two half sets of the `rows`, which belong to `groups`, `(k,)` each."""
    in_second = _deal(groups, torch.randperm(len(groups.unique()), generator=generator))
    return [rows[~in_second], rows[in_second]]


def _deal(groups: Tensor, order: Tensor) -> Tensor:
    """Deal groups of related particles to two piles, large groups first, always to the smaller pile.

    Parameters
    ----------
    groups
        `(k,)` group of each particle.
    order
        Places of the groups, as sorted by their numbers, in the order in which groups of one size are dealt.

    Returns
    -------
    Tensor
        `(k,)` whether a particle is in the second pile.
    """
    _, members, sizes = groups.unique(return_inverse=True, return_counts=True)
    order = order[sizes[order].argsort(descending=True, stable=True)]
    in_second = torch.zeros(len(sizes), dtype=torch.bool)
    totals = [0, 0]
    for group, size in zip(order.tolist(), sizes[order].tolist(), strict=True):
        second = totals[1] < totals[0]
        in_second[group] = second
        totals[second] += size
    return in_second[members]
