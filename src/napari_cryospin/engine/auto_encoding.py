"""The first stage: candidates of all proposers compete, and the winner decides the loss (paper, section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from napari_cryospin.engine.band_growth import BandGrowth
from napari_cryospin.engine.bands import BandSchedule
from napari_cryospin.engine.batch import Batch
from napari_cryospin.engine.contest import Contest, compete, record_contest, record_proposals
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.learner import Learner
from napari_cryospin.engine.proposers import Proposal, Proposer, joined
from napari_cryospin.engine.volume_steps import VolumeStep
from napari_cryospin.models.volume import Volume


class AutoEncoding:
    """First stage of one fit.

    The candidate that explains the image best decides the loss, and only its graph is built. The gradient is that of
    the minimum over all candidates, for a fraction of the work.

    Parameters
    ----------
    fit : Fit
    proposers : sequence of Proposer
        Proposers of candidates. The candidates of those that learn are numbered first.
    volume_step : VolumeStep
    band_schedule : BandSchedule
    """

    settled = False  # This stage lasts until the switch, or to the end of the run.

    def __init__(
        self, fit: Fit[Volume], proposers: Sequence[Proposer], volume_step: VolumeStep, band_schedule: BandSchedule
    ) -> None:
        self.fit, self.proposers = fit, list(proposers)
        self.volume_step, self.band_schedule = volume_step, band_schedule
        self.learners = [proposer for proposer in proposers if proposer.learns]
        self.others = [proposer for proposer in proposers if not proposer.learns and not proposer.stored]
        self.stored = next((proposer for proposer in proposers if proposer.stored), None)
        self.growth = BandGrowth(fit)
        self.steps = 0

    def batch_size(self, wanted: int) -> int:
        """Return how many particles to look at in a step."""
        return self.volume_step.batch_size(wanted, len(self.fit))

    def step(self, rows: Tensor) -> dict[str, float]:
        """Make one step on the particles `rows` `(b,)`. Return metrics."""
        fit = self.fit
        fit.band.now = max(fit.band.now, self.band_schedule(self.steps, fit.band))  # A reference may be ahead of it.
        fit.volume.set_band(fit.band.now)
        batch = fit.batch(rows)
        others = [proposer.propose(batch) for proposer in self.others]
        record_proposals(fit, batch, [], others)
        size = self.volume_step.part_size(len(rows), fit.settings.encoder.encoder_batch)
        won = []
        for start in range(0, len(rows), size):
            part = slice(start, start + size)
            won.append(self._learn(batch.part(part), [proposal.part(part) for proposal in others]))
        rotations, shifts = (torch.cat(column) for column in zip(*won, strict=True))
        self.volume_step.average(batch, rotations, shifts, self.steps)
        self.steps += 1
        return {"loss": fit.mean_error(rows), "band": float(fit.band.now)}

    def _learn(self, batch: Batch, others: list[Proposal]) -> tuple[Tensor, Tensor]:
        """Compare the candidates, and learn from the winners. Return their poses `(b, 3, 3)`, `(b, 2)`."""
        learned = [proposer.propose_to_learn(batch) for proposer in self.learners]
        stored = None if self.stored is None else self.stored.propose(batch)
        contest = compete(self.fit, batch, learned, others, stored)
        if self.learners or self.volume_step.by_gradients:
            candidates = joined([*learned, *others, *([] if stored is None else [stored])])
            loss = self._reconstruction_loss(batch, candidates, contest)
            for proposer, proposal in zip(self.learners, learned, strict=True):
                lesson = proposer.lesson(proposal, others)
                loss = loss if lesson is None else loss + lesson
            self._descend(loss)
        record_proposals(self.fit, batch, learned, [])
        record_contest(self.fit, batch, contest)
        return contest.poses

    def _descend(self, loss: Tensor) -> None:
        learning: list[Learner] = [*self.learners, self.volume_step]
        for learner in learning:
            learner.zero_gradients()
        loss.backward()
        for learner in learning:
            learner.descend()

    def _reconstruction_loss(self, batch: Batch, candidates: Proposal, contest: Contest) -> Tensor:
        """Compute the mean error of the winners, with the graph of everything that learns.

        The squared error is divided by the number of points. Adam's steps do not depend on this factor, and the error
        gets the scale of the lessons that are added to it.
        """
        winner = contest.winner
        if self.volume_step.by_gradients:
            chosen = torch.arange(len(winner))
        else:  # Only heads learn from the error here, so other winners are left out.
            chosen = (winner < contest.heads).cpu().nonzero()[:, 0]
        if not len(chosen):
            return candidates.rotations.sum() * 0
        part, where = batch.part(chosen), chosen.to(winner.device)
        won = winner[where]
        model = self.fit.project(part, candidates.rotations[where, won], candidates.shifts[where, won])
        points = len(batch.points) if self.fit.settings.volume.loss == "squared" else 1
        return self.fit.errors(part, model[:, None]).sum() / (len(winner) * points)

    def end_epoch(self) -> dict[str, float]:
        """Centre the map, find its near-symmetries, and see whether the band grows further. Return metrics.

        Near-symmetries are searched only once the band is at its largest in this stage.
        """
        fit = self.fit
        fit.update_scales(particles_differ=False)
        metrics = self.volume_step.centre()
        if self.learners and fit.band.encoding_reached:
            lattice = fit.volume.hartley(fit.band.now).detach()
            fit.near_symmetries.find(lattice, fit.volume.padding, fit.band.now, fit.symmetry)
        self.growth.end_epoch()
        return metrics

    def begin_anew(self, volume_step: VolumeStep) -> None:
        """Go on with a map that was turned: by a volume step that remembers nothing of how it lay before."""
        self.volume_step, self.growth = volume_step, BandGrowth(self.fit)

    def state_dict(self) -> dict[str, Any]:
        """Return the state that `load_state_dict` needs beside the fit's."""
        proposers = [proposer.state_dict() for proposer in self.proposers]
        growth, volume_step = self.growth.state_dict(), self.volume_step.state_dict()
        return {"steps": self.steps, "growth": growth, "proposers": proposers, "volume_step": volume_step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state of the same method."""
        self.steps = state["steps"]
        self.growth.load_state_dict(state["growth"])
        for proposer, part in zip(self.proposers, state["proposers"], strict=True):
            proposer.load_state_dict(part)
        self.volume_step.load_state_dict(state["volume_step"])
