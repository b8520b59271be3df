"""Errors of candidates, the choice of the winner, and the loss that teaches the heads."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Loss = Literal["squared", "absolute"]

SHIFT_TEACHING = 0.3
"""Weight of the squared shift distance beside the squared rotation distance, both of the order of 1. With a larger
weight, the nearest head is the one with the nearest shift, whatever its rotation (docs/method.md, Why it is fast)."""


def image_errors(predicted: Tensor, images: Tensor, weights: Tensor, loss: Loss = "squared") -> Tensor:
    """Compute the error of each candidate of each image.

    Parameters
    ----------
    predicted : Tensor
        `(b, m, p)` complex, noise-free images.
    images : Tensor
        `(b, p)` complex.
    weights : Tensor
        `(b, p)` inverse noise variance of each half-plane point.
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
        return (square @ weights[..., None])[..., 0]
    # The small constant keeps the derivative of the root finite where the difference is 0.
    return ((square * weights[:, None]) + 1e-12).sqrt().mean(-1)


def winner_takes_all(errors: Tensor) -> tuple[Tensor, Tensor]:
    """Find the smallest error of each image and the number of its candidate, two tensors `(b,)` (paper, Eqs 5, 6)."""
    best, winner = errors.min(dim=-1)
    return best, winner


def teaching_loss(rotations: Tensor, shifts: Tensor, targets: Tensor, target_shifts: Tensor, extent: float) -> Tensor:
    """Compute the mean squared distance of a pose from the nearest head's proposal (not in the paper).

    This is multi-choice learning. Of a pose and its mates, the one nearest to a head is the target. Which of them was
    drawn is chance, and heads that are pulled from one mate to another hardly learn (docs/method.md, Why it is fast).

    Parameters
    ----------
    rotations, shifts : Tensor
        `(b, m, 3, 3)`, `(b, m, 2)` candidates of the heads.
    targets : Tensor
        `(b, k, 3, 3)` rotations that explain an image equally well.
    target_shifts : Tensor
        `(b, 2)`.
    extent : float
        Largest shift; 0: centred particles.

    Returns
    -------
    Tensor
        Scalar: squared Frobenius distance, and squared distance of shifts in units of `extent`.
    """
    distance = (rotations[:, :, None] - targets[:, None]).square().sum((-2, -1)).amin(-1)
    if extent:
        apart = (shifts - target_shifts[:, None]) / extent
        distance = distance + SHIFT_TEACHING * apart.square().sum(-1)
    return distance.amin(-1).mean()


def take(candidates: Tensor, winner: Tensor) -> Tensor:
    """Take the winner of each row of candidates `(b, m, ...)`: `(b, ...)`."""
    return candidates[torch.arange(len(winner), device=winner.device), winner]
