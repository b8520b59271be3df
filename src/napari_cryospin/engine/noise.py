"""The noise that images are weighed with."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from napari_cryospin.engine.kept_state import CONSTANT, KeptState

RESIDUAL_RATE = 0.3
"""How far what a batch leaves unexplained moves the running mean of it."""


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
        `(shells,)` what the volume leaves unexplained; 0 where nothing was observed yet.
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
        """Variance `(shells,)` that images are weighed with.

        It is what the volume does not explain where that is larger than the background: a poor volume is not to be
        believed.
        """
        return torch.maximum(self.background, self.residual)

    def weights(self, count: int) -> Tensor:
        """Return the inverse variance `(count,)` of the first half-plane points."""
        return 1 / self.variance[self.shell[:count]]

    def background_weights(self, count: int) -> Tensor:
        """Return the inverse variance `(count,)` of the background alone."""
        return 1 / self.background[self.shell[:count]]

    def observe(self, images: Tensor, models: Tensor) -> None:
        """Update what the volume leaves unexplained from images `(b, p)` and their best models `(b, p)`."""
        power = (images - models).abs().square().mean(0)
        shell = self.shell[: len(power)]
        sums = torch.zeros_like(self.residual).index_add_(0, shell, power)
        counts = torch.zeros_like(self.residual).index_add_(0, shell, torch.ones_like(power))
        mean = sums / counts.clamp(min=1)
        fresh = (self.residual == 0) & (counts > 0)
        blended = torch.where(counts > 0, self.residual.lerp(mean, RESIDUAL_RATE), self.residual)
        self.residual = torch.where(fresh, mean, blended)
