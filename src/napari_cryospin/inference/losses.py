"""How well a candidate explains an image, and who wins."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Loss = Literal["squared", "absolute"]


def candidate_errors(predicted: Tensor, images: Tensor, weights: Tensor, loss: Loss = "squared") -> Tensor:
    """Error of each candidate of each image.

    Parameters
    ----------
    predicted : Tensor
        `(b, m, p)` complex, noise-free images.
    images : Tensor
        `(b, p)` complex.
    weights : Tensor
        `(p,)` inverse noise variance of each half-plane point.
    loss : str
        "squared": the negative log-likelihood up to a constant (Eq. 3): over the half plane each point stands for
        itself and its mate, so `sum |difference|^2 / N`. "absolute": mean absolute difference, scaled by the noise.

    Returns
    -------
    Tensor
        `(b, m)`.
    """
    difference = predicted - images[:, None]
    square = difference.real.square() + difference.imag.square()
    if loss == "squared":
        return square @ weights
    # The tiny constant keeps the derivative of the root finite where an image is met exactly.
    return ((square * weights) + 1e-12).sqrt().mean(-1)


def winner_takes_all(errors: Tensor) -> tuple[Tensor, Tensor]:
    """Smallest error of each image and which candidate has it (Eqs 5, 6): two tensors `(b,)`."""
    best, winner = errors.min(dim=-1)
    return best, winner


def with_candidate(rotations: Tensor, shifts: Tensor, further: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
    """`(b, m + 1, 3, 3)`, `(b, m + 1, 2)`: candidates and, where there is one, a further one `(b, 3, 3)`, `(b, 2)`."""
    if further is None:
        return rotations, shifts
    return torch.cat((rotations, further[0][:, None]), 1), torch.cat((shifts, further[1][:, None]), 1)


def take(candidates: Tensor, winner: Tensor) -> Tensor:
    """`(b, ...)`: the winner of each row of `(b, m, ...)` candidates."""
    return candidates[torch.arange(len(winner), device=winner.device), winner]
