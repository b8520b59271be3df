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
    """Noise variance of a Fourier coefficient, shell by shell.

    Attributes
    ----------
    background : Tensor
        `(shells,)` variance of the background.
    shell : Tensor
        `(points,)` int64, shell of each half-plane point.
    residual : Tensor
        `(shells,)` variance that the volume leaves unexplained; 0 where no image was observed yet.
    """

    background: Tensor = field(metadata=CONSTANT)
    shell: Tensor = field(metadata=CONSTANT)
    residual: Tensor

    @classmethod
    def of(cls, background: Tensor, shell: Tensor) -> Noise:
        """Start with the background alone."""
        return cls(background, shell, torch.zeros_like(background))

    @property
    def variance(self) -> Tensor:
        """Variance `(shells,)` by which images are weighted: the background's or, where larger, the residual.

        A large residual flattens the posteriors while the volume is poor (docs/method.md, Why it is fast).
        """
        return torch.maximum(self.background, self.residual)

    def weights(self, count: int) -> Tensor:
        """Return the inverse variance `(count,)` of the first half-plane points."""
        return 1 / self.variance[self.shell[:count]]

    def background_weights(self, count: int) -> Tensor:
        """Return the inverse variance `(count,)` of the background alone."""
        return 1 / self.background[self.shell[:count]]

    def observe(self, images: Tensor, models: Tensor) -> None:
        """Update the residual from images `(b, p)` and their best models `(b, p)`."""
        power = (images - models).abs().square().mean(0)
        shell = self.shell[: len(power)]
        sums = torch.zeros_like(self.residual).index_add_(0, shell, power)
        counts = torch.zeros_like(self.residual).index_add_(0, shell, torch.ones_like(power))
        mean = sums / counts.clamp(min=1)
        fresh = (self.residual == 0) & (counts > 0)
        blended = torch.where(counts > 0, self.residual.lerp(mean, RESIDUAL_RATE), self.residual)
        self.residual = torch.where(fresh, mean, blended)
