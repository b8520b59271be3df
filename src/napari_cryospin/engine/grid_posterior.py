"""Posteriors of particles over the poses and shifts of a grid, and the choice of poses from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from napari_cryospin.engine.pose_posterior import sample

MODES_DEPTH = 10.0
"""Nats below the best mode down to which others are modes at all; chosen by hand."""

Choice = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Choice among log-likelihoods `(c, t, k)` of shifts and rotations, whose sums over shifts are `(c, k)`: the indices
of a rotation and of a shift for each particle, `(c,)` each; or of several, `(c, m)`."""


class FoundPoses(NamedTuple):
    """One pose of each particle of a batch, from its grid posterior."""

    rotations: Tensor  # (b, 3, 3)
    shifts: Tensor  # (b, 2) Angstrom
    entropy: Tensor  # (b,) nats, of the posterior over rotations


class GridPosterior(NamedTuple):
    """Posteriors of some particles of a batch over the rotations and shifts that were compared."""

    where: Tensor  # (c,) positions in the batch, on the CPU
    rotations: Tensor  # (k, 3, 3) for all of them; of a divided grid (c, k, 3, 3), for each its own
    shifts: Tensor  # (c, t, 2) Angstrom
    values: Tensor  # (c, t, k) log-likelihoods, up to a constant of the particle
    over_poses: Tensor  # (c, k) logarithms of the sums over shifts
    entropy: Tensor  # (c,) nats, over rotations; of a divided grid, over its cells

    def probability(self) -> Tensor:
        """Return the probabilities `(c, t, k)`."""
        most = self.values.amax((1, 2), keepdim=True)
        weight = (self.values - most).clamp_(min=-80).exp_()  # Clamped as in `log_sum_exp`.
        return weight / weight.sum((1, 2), keepdim=True)

    def chosen(self, choose: Choice) -> FoundPoses:
        """Choose a pose of each particle."""
        pose, move = choose(self.values, self.over_poses)
        row = torch.arange(len(pose), device=pose.device).reshape(-1, *[1] * (pose.dim() - 1))
        rotations = self.rotations[pose] if self.rotations.dim() == 3 else self.rotations[row, pose]
        return FoundPoses(rotations, self.shifts[row, move], self.entropy)


def in_order(parts: Iterable[tuple[Tensor, FoundPoses]]) -> FoundPoses:
    """Join poses of parts of a batch, each with its positions in the batch, in the order of the batch."""
    where, found = zip(*parts, strict=True)
    order = torch.cat(where).argsort()
    return FoundPoses(*(torch.cat(column)[order.to(column[0].device)] for column in zip(*found, strict=True)))


def most_probable(values: Tensor, over_poses: Tensor) -> tuple[Tensor, Tensor]:
    """Return the indices of the most probable rotation and shift in `(c, t, k)`."""
    best, count = values.flatten(1).argmax(-1), values.shape[-1]
    return best % count, best // count


def drawn(values: Tensor, over_poses: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw for each particle the index of a rotation, from `(c, k)`, and then of a shift, from `(c, t, k)`."""
    pose = sample(over_poses, generator)
    return pose, sample(values[torch.arange(len(pose), device=pose.device), :, pose], generator)


def separate_modes(values: Tensor, over_poses: Tensor, apart: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Return the indices `(c, number)` of the most probable rotations that lie apart, and of the best shift of each."""
    left, index, found = over_poses.clone(), torch.arange(len(values), device=values.device), []
    first, least = left.argmax(-1), left.amax(-1) - MODES_DEPTH
    for _ in range(number):
        pose = torch.where(left.amax(-1) >= least, left.argmax(-1), first)
        found.append((pose, values[index, :, pose].argmax(-1)))
        left = left.where(apart[pose], left.new_tensor(-torch.inf))
    poses, moves = (torch.stack(column, dim=1) for column in zip(*found, strict=True))
    return poses, moves


def log_sum_exp(values: Tensor) -> Tensor:
    """Return the logarithms of sums over shifts, `(c, k)`, of exponentials of `(c, t, k)` values."""
    most = values.amax(1, keepdim=True)
    # On a CPU, an exponential that is almost 0 takes several times longer, hence the clamp.
    return (values - most).clamp_(min=-80).exp_().sum(1).log_().add_(most[:, 0])
