"""One pose a particle, with Adam moments of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_cryospin.geometry.so3 import exponential_map


class PoseTable(nn.Module):
    """Stored poses, refined directly (paper, Eq. 9 and appendix A).

    A step moves only the particles that it is given: every other row, moments included, stays bit for bit as it was.
    (A dense Adam step would move all particles by their old momentum.)

    Parameters
    ----------
    rotations : Tensor
        `(n, 3, 3)`.
    shifts : Tensor
        `(n, 2)` Angstrom.
    """

    rotations: Tensor
    shifts: Tensor
    mean: Tensor
    square: Tensor
    visits: Tensor

    def __init__(self, rotations: Tensor, shifts: Tensor, betas: tuple[float, float] = (0.9, 0.9)) -> None:
        super().__init__()
        n, device = len(rotations), rotations.device
        self.betas = betas
        self.register_buffer("rotations", rotations.clone())
        self.register_buffer("shifts", shifts.clone())
        self.register_buffer("mean", torch.zeros(n, 5, device=device))
        self.register_buffer("square", torch.zeros(n, 5, device=device))
        self.register_buffer("visits", torch.zeros(n, dtype=torch.int32, device=device))

    def __len__(self) -> int:
        return len(self.rotations)

    @torch.no_grad()
    def set(self, rows: Tensor, rotations: Tensor, shifts: Tensor) -> None:
        """Replace poses; their moments start anew."""
        self.rotations[rows] = rotations
        self.shifts[rows] = shifts
        self.mean[rows] = 0
        self.square[rows] = 0
        self.visits[rows] = 0

    @torch.no_grad()
    def step(self, rows: Tensor, gradient: Tensor, rates: Tensor) -> None:
        """One Adam step of some particles.

        Parameters
        ----------
        rows : Tensor
            `(b,)` particles, each at most once.
        gradient : Tensor
            `(b, 5)` derivative of each particle's loss: in the axis-angle `omega` of `R <- R_delta(omega) R` at 0,
            then in the shift (per Angstrom).
        rates : Tensor
            `(5,)` step sizes: radian, Angstrom.
        """
        first, second = self.betas
        visits = self.visits[rows] + 1
        mean = self.mean[rows].lerp(gradient, 1 - first)
        square = self.square[rows].lerp(gradient.square(), 1 - second)
        age = visits[:, None].float()
        update = (mean / (1 - first**age)) / ((square / (1 - second**age)).sqrt() + 1e-12)
        move = -rates * update
        self.rotations[rows] = exponential_map(move[:, :3]) @ self.rotations[rows]
        self.shifts[rows] += move[:, 3:]
        self.mean[rows], self.square[rows], self.visits[rows] = mean, square, visits
