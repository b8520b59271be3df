"""The noise variance by which images are weighted."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from napari_cryospin.engine.kept_state import CONSTANT, KeptState

RESIDUAL_RATE = 0.3
"""Weight of a batch in the running mean of the residual, without unit."""


@dataclass
class Noise(KeptState):
    """Noise variance of a Fourier coefficient, shell by shell, of each noise group (`engine.signal_groups`).

    Attributes
    ----------
    background : Tensor
        `(groups, shells)` variance of the background.
    shell : Tensor
        `(points,)` int64, shell of each half-plane point.
    group : Tensor
        `(n,)` int64, group of each particle.
    residual : Tensor
        `(groups, shells)` variance that the volume leaves unexplained; 0 where no image was observed yet.
    """

    background: Tensor = field(metadata=CONSTANT)
    shell: Tensor = field(metadata=CONSTANT)
    group: Tensor = field(metadata=CONSTANT)
    residual: Tensor

    @classmethod
    def of(cls, background: Tensor, shell: Tensor, group: Tensor) -> Noise:
        """Start with the background alone."""
        return cls(background, shell, group, torch.zeros_like(background))

    @property
    def variance(self) -> Tensor:
        """Variance `(groups, shells)` by which images are weighted: the background's or, where larger, the residual.

        A large residual flattens the posteriors while the volume is poor (docs/method.md, Why it is fast).
        """
        return torch.maximum(self.background, self.residual)

    def weights(self, where: Tensor, count: int) -> Tensor:
        """Return the inverse variance `(b, count)` of the first half-plane points of the particles `where`."""
        return (1 / self.variance[self.group[where]])[:, self.shell[:count]]

    def background_weights(self, where: Tensor, count: int) -> Tensor:
        """Return the inverse variance `(b, count)` of the background alone."""
        return (1 / self.background[self.group[where]])[:, self.shell[:count]]

    def observe(self, where: Tensor, images: Tensor, models: Tensor) -> None:
        """Update the residual from images `(b, p)` of the particles `where` and their best models `(b, p)`."""
        group, power = self.group[where], (images - models).abs().square()
        shell = self.shell[: power.shape[1]]
        number = power.new_zeros(len(self.residual)).index_add_(0, group, torch.ones_like(power[:, 0]))
        points = power.new_zeros(self.residual.shape[1]).index_add_(0, shell, torch.ones_like(power[0]))
        total = sum_by_group_and_shell(power, group, shell, self.residual)
        mean = total / (number[:, None] * points).clamp(min=1)
        seen = (number > 0)[:, None] & (points > 0)
        blended = torch.where(seen, self.residual.lerp(mean, RESIDUAL_RATE), self.residual)
        self.residual = torch.where(seen & (self.residual == 0), mean, blended)


def sum_by_group_and_shell(values: Tensor, group: Tensor, shell: Tensor, like: Tensor) -> Tensor:
    """Sum values `(b, p)` of images of the groups `(b,)` at points of the shells `(p,)`: `(groups, shells)` as `like`.

    The smaller of both is summed over first: with a group a micrograph there may be more groups than images in a batch.
    """
    groups, shells = like.shape
    if groups > len(values):
        by_shell = values.new_zeros(len(values), shells).index_add_(1, shell, values)
        return torch.zeros_like(like).index_add_(0, group, by_shell)
    by_group = values.new_zeros(groups, values.shape[1]).index_add_(0, group, values)
    return torch.zeros_like(like).index_add_(1, shell, by_group)
