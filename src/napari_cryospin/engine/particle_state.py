"""The state of each particle in a fit. Only this module writes to it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from napari_cryospin.engine.belonging import HYPOTHESES, LEAST_TRUSTED
from napari_cryospin.engine.kept_state import KeptState
from napari_cryospin.geometry.symmetry import PointGroup

NO_CANDIDATE = -1
"""Number that stands for the winning candidate as long as none has won."""


@dataclass(eq=False)
class ParticleState(KeptState):
    """The tensors of a fit that have one row for each particle.

    Poses, folds, scales and what tells what an image shows are on the device, where every step needs them; the rest is
    on the CPU.

    Attributes
    ----------
    rotations, shifts : Tensor
        `(n, 3, 3)` and `(n, 2)` Angstrom: best known pose of each particle; at first a random one, without shift.
    folds : Tensor
        `(n,)` 0 or 1: fold of each particle. Each of two volumes is made from the particles of one fold only.
    winner : Tensor
        `(n,)` int16, number of the candidate that the pose came from: that of a head, or the number of heads for a pose
        drawn from or searched in the posterior; -1: none yet.
    best_head : Tensor
        `(n,)` int16, the best of the heads; -1: none yet.
    error : Tensor
        `(n,)` error of the pose at the particle's last step, over that of the background's noise (1: nothing but noise
        is left); nan: the particle was in no step yet.
    entropy : Tensor
        `(n,)` nats, of the grid posterior over rotations when it was last computed; nan: never.
    scale : Tensor
        `(n,)` scale of the signal in the image, mean 1, on the device; see `engine.signal_scales`.
    belongs : Tensor
        `(n,)` probability that the image shows the particle, on the device; see `engine.belonging`. At first 1.
    trust : Tensor
        `(n,)` weight of the image in the volume, on the device: `belongs`, or 1 where that is not trusted itself.
    odds : Tensor
        `(n, hypotheses)` logarithms of the odds of what the image may show (`engine.belonging`), on the device; nan:
        not computed yet.
    overlap, power : Tensor
        `(n,)` of the image with its model of scale 1, and of that model, when it was last compared, on the device; nan:
        not yet.
    classes : Tensor
        `(n,)` int64, number of the class that the particle is in, from 0, on the device; see `engine.classes`.
    class_probability : Tensor
        `(n, classes)` probability of each class when the particles were last sorted, on the device.
    candidates, candidate_shifts : Tensor
        `(n, heads, 3, 3)` and `(n, heads, 2)` Angstrom: last candidates of the heads.
    """

    rotations: Tensor
    shifts: Tensor
    folds: Tensor
    winner: Tensor
    best_head: Tensor
    error: Tensor
    entropy: Tensor
    scale: Tensor
    belongs: Tensor
    trust: Tensor
    odds: Tensor
    overlap: Tensor
    power: Tensor
    classes: Tensor
    class_probability: Tensor
    candidates: Tensor
    candidate_shifts: Tensor

    @classmethod
    def of(cls, rotations: Tensor, folds: Tensor, heads: int) -> ParticleState:
        """Make the state of a fit that begins.

        Parameters
        ----------
        rotations : Tensor
            `(n, 3, 3)` on the device; they are copied.
        folds : Tensor
            `(n,)` on the device.
        heads : int
            Number of heads.
        """
        n = len(rotations)
        return cls(
            rotations=rotations.clone(),
            shifts=torch.zeros(n, 2, device=rotations.device),
            folds=folds,
            winner=torch.full((n,), NO_CANDIDATE, dtype=torch.int16),
            best_head=torch.full((n,), NO_CANDIDATE, dtype=torch.int16),
            error=torch.full((n,), torch.nan),
            entropy=torch.full((n,), torch.nan),
            scale=torch.ones(n, device=rotations.device),
            belongs=torch.ones(n, device=rotations.device),
            trust=torch.ones(n, device=rotations.device),
            odds=torch.full((n, HYPOTHESES), torch.nan, device=rotations.device),
            overlap=torch.full((n,), torch.nan, device=rotations.device),
            power=torch.full((n,), torch.nan, device=rotations.device),
            classes=torch.zeros(n, dtype=torch.long, device=rotations.device),
            class_probability=torch.ones(n, 1, device=rotations.device),
            candidates=torch.eye(3).repeat(n, heads, 1, 1),
            candidate_shifts=torch.zeros(n, heads, 2),
        )

    def __len__(self) -> int:
        return len(self.rotations)

    def record_poses(self, rows: Tensor, rotations: Tensor, shifts: Tensor) -> None:
        """Replace poses of the particles `rows`, which may be on any device."""
        where = rows.to(self.rotations.device)
        self.rotations[where] = rotations
        self.shifts[where] = shifts

    def record_winners(self, rows: Tensor, winner: Tensor, best_head: Tensor | None, stored: int | None = None) -> None:
        """Replace the numbers of the candidates that won.

        Parameters
        ----------
        rows : Tensor
            `(b,)` particles, on the CPU.
        winner : Tensor
            `(b,)` number of the best candidate.
        best_head : Tensor, optional
            `(b,)` number of the best head; None: there are no heads.
        stored : int, optional
            Number of the candidate that was the particle's own pose. If that one wins, the pose still comes from the
            candidate that it came from before.
        """
        columns = winner[None] if best_head is None else torch.stack((winner, best_head))
        columns = columns.to(self.winner)  # Both are sent at once, so that the host waits for a device only once.
        new = columns[0] if stored is None else torch.where(columns[0] == stored, self.winner[rows], columns[0])
        self.winner[rows] = new
        if best_head is not None:
            self.best_head[rows] = columns[1]

    def record_errors(self, rows: Tensor, error: Tensor) -> None:
        """Replace the errors `(b,)` of the particles `rows`, on the CPU."""
        self.error[rows] = error.to(self.error)

    def record_candidates(self, rows: Tensor, rotations: Tensor, shifts: Tensor) -> None:
        """Replace the candidates of the heads for the particles `rows`, which are on the CPU.

        Parameters
        ----------
        rows : Tensor
            `(b,)` particles, on the CPU.
        rotations, shifts : Tensor
            `(b, heads, 3, 3)` and `(b, heads, 2)` Angstrom, on any device.
        """
        # Both are sent at once, so that the host waits for a device only once.
        both = torch.cat((rotations.detach().flatten(-2), shifts.detach()), dim=-1).cpu()
        self.candidates[rows] = both[..., :9].unflatten(-1, (3, 3))
        self.candidate_shifts[rows] = both[..., 9:]

    def record_entropy(self, rows: Tensor, entropy: Tensor) -> None:
        """Replace the entropies `(b,)` of the particles `rows`, on the CPU."""
        self.entropy[rows] = entropy.to(self.entropy)

    def record_overlap(self, where: Tensor, overlap: Tensor, power: Tensor) -> None:
        """Replace overlap and power `(b,)` of the particles `where`, on the device."""
        self.overlap[where], self.power[where] = overlap, power

    def record_odds(self, where: Tensor, odds: Tensor) -> None:
        """Replace the odds `(b, hypotheses)` of the particles `where`, on the device."""
        self.odds[where] = odds

    def record_belonging(self, rows: Tensor, belongs: Tensor) -> None:
        """Replace the probabilities of belonging `(b,)` of the particles `rows`, and the trust that follows."""
        self.belongs[rows.to(self.belongs.device)] = belongs.to(self.belongs)
        trusted = float(self.belongs.mean()) >= LEAST_TRUSTED
        self.trust = self.belongs.clone() if trusted else torch.ones_like(self.belongs)

    def record_classes(self, where: Tensor, classes: Tensor) -> None:
        """Replace the classes `(b,)` of the particles `where`, on the device."""
        self.classes[where] = classes

    def record_class_probability(self, where: Tensor, probability: Tensor) -> None:
        """Replace the probabilities `(b, classes)` of the particles `where`, on the device."""
        self.class_probability[where] = probability

    def set_class_count(self, count: int) -> None:
        """Begin anew with so many classes, all of them alike in every particle; the particles are in the first one."""
        self.classes = torch.zeros_like(self.classes)
        self.class_probability = self.class_probability.new_full((len(self), count), 1 / count)

    def renumber_classes(self, numbers: Tensor) -> None:
        """Give classes new numbers; those that get the same one are joined.

        Parameters
        ----------
        numbers : Tensor
            `(classes,)` int64 new number of each class, on the device; all from 0 to the largest occur.
        """
        self.classes = numbers[self.classes]
        joined = self.class_probability.new_zeros(len(self), int(numbers.max()) + 1)
        self.class_probability = joined.index_add_(1, numbers, self.class_probability)

    def recentre(self, offset: Tensor) -> None:
        """Change all shifts to fit a map that is moved by `-offset`.

        Parameters
        ----------
        offset : Tensor
            `(3,)` Angstrom, on the device.
        """
        self.shifts -= self.rotations[:, :2] @ offset
        self.candidate_shifts -= self.candidates[:, :, :2] @ offset.cpu()

    def turn(self, axes: Tensor, centre: Tensor) -> None:
        """Change all poses to fit a map that is turned.

        Parameters
        ----------
        axes, centre : Tensor
            `(3, 3)` new axes of the map in the present ones, and `(3,)` Angstrom where their middle lies there.
        """
        self.recentre(centre)
        self.rotations = self.rotations @ axes
        self.candidates = self.candidates @ axes.cpu()

    def change_group(self, before: PointGroup, after: PointGroup, generator: torch.Generator) -> None:
        """Change all poses to fit a map that has another symmetry from now on.

        Poses known up to `before` are spread over its copies, then those up to `after` are brought into one unit.
        Entropies, which are those over one unit, are as if all copies had been equally probable.
        """
        if not before.trivial:
            copies = torch.randint(before.order, (len(self),), generator=generator)
            self.rotations = self.rotations @ before.rotations(self.rotations)[copies.to(self.rotations.device)]
        self.rotations = after.to_unit(self.rotations)
        self.entropy = (self.entropy + math.log(before.order / after.order)).clamp(min=0)

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device | str = "cpu") -> None:
        """Take over the state of a fit of as many particles and heads.

        Raises
        ------
        KeyError, RuntimeError
            Fields are missing or unknown; tensors are of other shapes.
        """
        before = {field.name: getattr(self, field.name).shape for field in fields(self)}
        for name, shape in before.items():
            if name in state and state[name].shape != shape:
                raise RuntimeError(f"{name}: found shape {tuple(state[name].shape)}; expected {tuple(shape)}")
        super().load_state_dict(state, device)
