"""Proposers of poses: the heads of an encoder, a draw from the grid posterior, a search of the whole grid.

A new proposer is one class here, and one row in `engine.methods` that names it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_cryospin.engine.batch import Batch
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.grid_posterior import FoundPoses
from napari_cryospin.engine.learner import Learner
from napari_cryospin.engine.losses import teaching_loss
from napari_cryospin.engine.near_symmetry import with_mates
from napari_cryospin.engine.sampling import PoseSearch
from napari_cryospin.geometry.so3 import random_rotations
from napari_cryospin.models.encoder import Encoder
from napari_cryospin.models.volume import Volume

CERTAIN_ENTROPY = 0.1
"""Entropy, nats, below which a particle's pose counts as certain (docs/method.md, why it is fast)."""
RESTING_SHARE = 0.75
"""Share of the particles with certain poses that keep them at a visit, and are not compared with the grid
(docs/method.md, why it is fast)."""


@dataclass(frozen=True)
class Proposal:
    """Candidate poses of a batch.

    Attributes
    ----------
    rotations, shifts : Tensor
        `(b, m, 3, 3)` and `(b, m, 2)` Angstrom; differentiable if the proposer is to learn from them.
    entropy : Tensor, optional
        `(b,)` nats, of the posteriors over rotations; None: the proposer has not computed them.
    """

    rotations: Tensor
    shifts: Tensor
    entropy: Tensor | None = None

    @classmethod
    def single(cls, rotations: Tensor, shifts: Tensor, entropy: Tensor | None = None) -> Proposal:
        """Make a proposal with one candidate for each particle, from poses `(b, 3, 3)`, `(b, 2)`."""
        return cls(rotations[:, None], shifts[:, None], entropy)

    @property
    def count(self) -> int:
        """Number of candidates of each particle."""
        return self.rotations.shape[1]

    def part(self, chosen: slice) -> Proposal:
        """Return the candidates of some of the particles, without their entropy."""
        return Proposal(self.rotations[chosen], self.shifts[chosen])


def joined(proposals: Sequence[Proposal]) -> Proposal:
    """Join the candidates of several proposals; the numbers of the second proposal's follow those of the first's."""
    rotations = torch.cat([proposal.rotations for proposal in proposals], 1)
    return Proposal(rotations, torch.cat([proposal.shifts for proposal in proposals], 1))


class Proposer(Learner, ABC):
    """A proposer of candidate poses. It records nothing; its caller does.

    A proposer without an optimiser does not learn; of such a one only `propose` is called.
    """

    stored = False
    """Whether what it proposes is the pose that the particle has already, wherever that is from."""

    @property
    def learns(self) -> bool:
        """Whether the proposer learns."""
        return self.optimiser is not None

    @abstractmethod
    def propose(self, batch: Batch) -> Proposal:
        """Propose poses that are not differentiable."""

    def propose_to_learn(self, batch: Batch) -> Proposal:
        """Propose poses that are differentiable in what the proposer learns."""
        return self.propose(batch)

    def lesson(self, proposal: Proposal, others: Sequence[Proposal]) -> Tensor | None:
        """Return a loss to add to the reconstruction's, from the own and the others' proposals; None: there is none."""
        return None


class Heads(Proposer):
    """The heads of the fit's encoder, one candidate each (paper, section 4.1).

    They learn from the errors of their winning candidates and, if the settings say so, from the pose drawn from the
    posterior, which pulls the nearest head towards itself (not in the paper).
    """

    def __init__(self, fit: Fit[Volume]) -> None:
        self.fit, self.encoder = fit, _encoder_of(fit)
        rate = fit.settings.encoder.encoder_learning_rate
        self.optimiser = torch.optim.Adam(self.encoder.parameters(), lr=rate)

    @torch.no_grad()
    def propose(self, batch: Batch) -> Proposal:
        """Propose poses by the encoder's present weights."""
        self.encoder.eval()
        return Proposal(*self.encoder(self.fit.encoder_images(batch.rows)))

    def propose_to_learn(self, batch: Batch) -> Proposal:
        self.encoder.train()
        return Proposal(*self.encoder(self.fit.encoder_images(batch.rows)))

    def lesson(self, proposal: Proposal, others: Sequence[Proposal]) -> Tensor | None:
        """Return the teaching loss between the heads and the first candidate of the first other proposer."""
        weight = self.fit.settings.posterior.teaching
        if not (others and weight):
            return None
        rotations, shifts = others[0].rotations[:, 0], others[0].shifts[:, 0]
        targets = with_mates(rotations, self.fit.near_symmetries.rotations)
        largest = self.fit.shift_range.largest
        return weight * teaching_loss(proposal.rotations, proposal.shifts, targets, shifts, largest)


def _encoder_of(fit: Fit) -> Encoder:
    if fit.encoder is None:
        raise ValueError("heads without an encoder: the method's description says that it uses none")
    return fit.encoder


class PosteriorSample(Proposer):
    """A pose drawn from each particle's posterior on a turned grid (not in the paper).

    Once the band is as far as it goes in the first stage, most of the particles with certain poses keep theirs.
    """

    def __init__(self, fit: Fit[Volume]) -> None:
        self.fit = fit

    @torch.no_grad()
    def propose(self, batch: Batch) -> Proposal:
        """Draw one pose a particle."""
        return Proposal.single(*self.draw(batch))

    def draw(self, batch: Batch) -> FoundPoses:
        """Draw poses; particles that keep their pose have the stored pose and entropy."""
        fit = self.fit
        known = fit.particles.entropy[batch.rows]
        rests = torch.zeros(len(batch), dtype=torch.bool)
        if fit.band.encoding_reached:
            rests = (known < CERTAIN_ENTROPY) & (torch.rand(len(batch), generator=fit.generator) < RESTING_SHARE)
        found = FoundPoses(*fit.poses(batch), known.to(fit.device))
        looked_at = (~rests).nonzero()[:, 0]
        if len(looked_at):
            turn = random_rotations(1, fit.generator)[0]  # Each draw turns the grid, so that every pose can be reached.
            drawn = PoseSearch(fit, turn).draw(batch.part(looked_at))
            for kept, new in zip(found, drawn, strict=True):
                kept[looked_at.to(fit.device)] = new
        return found


class Search(Proposer):
    """The most probable pose of the whole grid, under the volume as it is when the search is made."""

    def __init__(self, fit: Fit[Volume], band: int | None = None) -> None:
        self.search = PoseSearch(fit, band=band)

    @torch.no_grad()
    def propose(self, batch: Batch) -> Proposal:
        return Proposal.single(*self.search.best(batch))


class StoredPose(Proposer):
    """The pose that each particle has."""

    stored = True

    def __init__(self, fit: Fit[Volume]) -> None:
        self.fit = fit

    @torch.no_grad()
    def propose(self, batch: Batch) -> Proposal:
        return Proposal.single(*self.fit.poses(batch))
