"""Comparison of candidate poses: the one that explains the image best wins (paper, Eqs 5 and 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_cryospin.engine.batch import Batch
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.losses import take, winner_takes_all
from napari_cryospin.engine.proposers import Proposal, joined
from napari_cryospin.models.volume import Volume


@dataclass(frozen=True)
class Contest:
    """Candidates of a batch, compared with its images.

    Attributes
    ----------
    candidates : Proposal
        `m` candidates a particle, those of the heads first.
    errors : Tensor
        `(b, m)` errors of the candidates.
    winner : Tensor
        `(b,)` number of the best candidate.
    best_models : Tensor
        `(b, p)` noise-free images of the winners.
    heads : int
        Number of candidates that are the heads'.
    stored : int, optional
        Number of the candidate that is the stored pose, if it competes.
    """

    candidates: Proposal
    errors: Tensor
    winner: Tensor
    best_models: Tensor
    heads: int
    stored: int | None = None

    @property
    def poses(self) -> tuple[Tensor, Tensor]:
        """Poses of the winners, `(b, 3, 3)` and `(b, 2)` Angstrom, without a graph."""
        rotations, shifts = self.candidates.rotations.detach(), self.candidates.shifts.detach()
        return take(rotations, self.winner), take(shifts, self.winner)


@torch.no_grad()
def compete(
    fit: Fit[Volume],
    batch: Batch,
    heads: Sequence[Proposal],
    others: Sequence[Proposal],
    stored: Proposal | None = None,
) -> Contest:
    """Compare all candidates with the images. Record nothing.

    Parameters
    ----------
    fit : Fit
    batch : Batch
    heads : sequence of Proposal
        Candidates of proposers that learn.
    others : sequence of Proposal
        Further candidates.
    stored : Proposal, optional
        The stored poses, where these compete as well.
    """
    proposals = [*heads, *others, *([] if stored is None else [stored])]
    candidates = joined(proposals)
    models = fit.project(batch, candidates.rotations, candidates.shifts)
    errors = fit.errors(batch, models)
    _, winner = winner_takes_all(errors)
    return Contest(
        candidates=candidates,
        errors=errors,
        winner=winner,
        best_models=take(models, winner),
        heads=sum(proposal.count for proposal in heads),
        stored=None if stored is None else candidates.count - 1,
    )


def record_contest(fit: Fit[Volume], batch: Batch, contest: Contest) -> None:
    """Record the winners, their poses and their errors.

    The pose and the error of the winner become the particle's, whichever proposer it is from. The particle's winner
    becomes the number of the candidate; where the stored pose won, it stays as it was.
    """
    best_head = contest.errors[:, : contest.heads].argmin(-1) if contest.heads else None
    fit.record_errors(batch, contest.best_models)
    fit.particles.record_winners(batch.rows, contest.winner, best_head, contest.stored)
    fit.particles.record_poses(batch.rows, *contest.poses)


def record_proposals(fit: Fit[Volume], batch: Batch, heads: Sequence[Proposal], others: Sequence[Proposal]) -> None:
    """Record the heads' candidates, and the entropies that the other proposers have computed."""
    if heads:
        candidates = joined(heads)
        fit.particles.record_candidates(batch.rows, candidates.rotations, candidates.shifts)
    for proposal in others:
        if proposal.entropy is not None:
            fit.particles.record_entropy(batch.rows, proposal.entropy)
