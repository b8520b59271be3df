"""Refinement of poses after the switch: by Adam (paper, appendix A), or by damped Gauss-Newton steps."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from napari_cryospin.engine.batch import Batch
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.kept_state import CONSTANT, KeptState
from napari_cryospin.engine.pose_refinement import refine_poses
from napari_cryospin.geometry.so3 import exponential_map
from napari_cryospin.models.volume import Volume

POSE_ADAM_BETAS = (0.9, 0.9)
"""Decay of the two moments of each particle's Adam steps; chosen by hand. Each epoch has few steps for a particle."""


@dataclass(eq=False)
class PoseMoments(KeptState):
    """Adam moments of the poses, separate for each particle.

    A step changes only the rows of its own particles; every other row stays bit for bit as it was. (A dense Adam step
    would move all particles by their old momentum.)

    Attributes
    ----------
    mean, square : Tensor
        `(n, 5)` moments of the derivatives in rotation and shift.
    visits : Tensor
        `(n,)` int32, steps that each particle has made.
    betas : tuple of float
        Decay of the two moments.
    """

    mean: Tensor
    square: Tensor
    visits: Tensor
    betas: tuple[float, float] = field(default=POSE_ADAM_BETAS, metadata=CONSTANT)

    @classmethod
    def none(cls, count: int, device: torch.device | str = "cpu") -> PoseMoments:
        """Make moments of `count` particles, without momentum."""
        zeros = torch.zeros(count, 5, device=device)
        return cls(zeros, zeros.clone(), torch.zeros(count, dtype=torch.int32, device=device))

    @torch.no_grad()
    def step(self, where: Tensor, gradient: Tensor, rates: Tensor) -> Tensor:
        """Compute one Adam step of some particles, and update their moments.

        Parameters
        ----------
        where : Tensor
            `(b,)` particles, each at most once, on the moments' device.
        gradient : Tensor
            `(b, 5)` derivative of each particle's loss: in the axis-angle `omega` of `R <- R_delta(omega) R` at 0,
            then in the shift (per Angstrom).
        rates : Tensor
            `(5,)` step sizes: radian, Angstrom.

        Returns
        -------
        Tensor
            `(b, 5)` change of the poses: radian, Angstrom.
        """
        first, second = self.betas
        visits = self.visits[where] + 1
        mean = self.mean[where].lerp(gradient, 1 - first)
        square = self.square[where].lerp(gradient.square(), 1 - second)
        age = visits[:, None].float()
        update = (mean / (1 - first**age)) / ((square / (1 - second**age)).sqrt() + 1e-12)
        self.mean[where], self.square[where], self.visits[where] = mean, square, visits
        return -rates * update


class AdamPoses:
    """Adam steps on the poses, the volume held fixed (paper, Eq. 9 and appendix A)."""

    def __init__(self, fit: Fit[Volume]) -> None:
        self.fit = fit
        self.moments = PoseMoments.none(len(fit), fit.device)
        turn = fit.settings.schedule.pose_learning_rate
        move = turn * fit.images.pixel_size if fit.shift_range.looked_for else 0.0
        self.rates = torch.tensor([turn] * 3 + [move] * 2, device=fit.device)

    def step(self, batch: Batch, lattice: Tensor) -> None:
        """Move the poses of a batch's particles by one step, under a volume's lattice `(G, G, G)`."""
        move = self.moments.step(batch.where, self._gradient(batch, lattice), self.rates)
        rotations, shifts = self.fit.poses(batch)
        moved = exponential_map(move[:, :3]) @ rotations, shifts + move[:, 3:]
        self.fit.particles.record_poses(batch.where, *moved)

    def _gradient(self, batch: Batch, lattice: Tensor) -> Tensor:
        """Compute the derivative of each particle's error in a perturbation of its pose, at 0 (Eq. 9), `(b, 5)`."""
        fit = self.fit
        omega = torch.zeros(len(batch), 3, device=fit.device, requires_grad=True)
        move = torch.zeros(len(batch), 2, device=fit.device, requires_grad=True)
        rotations, shifts = fit.poses(batch)
        turned, moved = exponential_map(omega) @ rotations, fit.shift_range.used(shifts + move)
        model = fit.projector(lattice, turned, moved, batch.ctf)
        errors = fit.errors(batch, model[:, None])
        in_omega, in_move = torch.autograd.grad(errors.sum(), (omega, move), allow_unused=True)
        return torch.cat((in_omega, torch.zeros_like(move) if in_move is None else in_move), dim=1)


@dataclass(frozen=True)
class GaussNewtonPoses:
    """Damped Gauss-Newton steps on all parameters of each pose, the volume held fixed (not in the paper)."""

    fit: Fit[Volume]

    def refine(
        self,
        lattices: Tensor,
        batch: Batch,
        rotations: Tensor,
        shifts: Tensor,
        *,
        steps: int | None = None,
        judge_all: bool = True,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Refine poses, without recording them.

        Parameters
        ----------
        lattices : Tensor
            `(4, G, G, G)` lattices of the volume and its derivatives.
        batch : Batch
            The `b` images.
        rotations, shifts : Tensor
            `(b, 3, 3)`, and `(b, 2)` Angstrom: where the refinement begins.
        steps : int, optional
            Largest number of evaluations of the model. Default: that of the settings.
        judge_all : bool
            Whether each step is judged by the error after it (`refine_poses`).

        Returns
        -------
        rotations, shifts, errors
            The refined poses, with shifts within their range, and the squared errors `(b,)`, nats, of `refine_poses`.
        """
        fit = self.fit
        found, moved, errors = refine_poses(
            lattices,
            batch,
            rotations,
            fit.shift_range.used(shifts),
            padding=fit.volume.padding,
            steps=steps or fit.settings.schedule.pose_steps,
            judge_all=judge_all,
        )
        return found, fit.shift_range.within(moved, shifts), errors
