"""Expectation maximisation over a pose grid: soft assignments from the first iteration to the last, without heads.

An iteration is an epoch: every image is compared with the map at all poses of the grid and at shifts, and is added to
the next map at all of them, by its posterior (Scheres, J. Mol. Biol. 415, 406 (2012)). While few shells are compared,
and the map was no reference, it is made anew after every batch from a running average, as in the first stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from napari_cryospin.engine.band_growth import BandGrowth
from napari_cryospin.engine.batch import Batch
from napari_cryospin.engine.contest import compete, record_contest, record_proposals
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.grid_posterior import FoundPoses
from napari_cryospin.engine.growth import next_band
from napari_cryospin.engine.kept_state import KeptState
from napari_cryospin.engine.pose_steps import GaussNewtonPoses
from napari_cryospin.engine.proposers import Proposal, Proposer
from napari_cryospin.engine.sampling import COARSE_GRID_BAND, PoseSearch
from napari_cryospin.engine.volume_steps import SoftStep
from napari_cryospin.geometry.so3 import random_rotations
from napari_cryospin.models.wiener_volume import WienerVolume

LEAST_ITERATIONS, MOST_ITERATIONS = 2, 5
"""Smallest and largest number of iterations at one band before it grows; chosen by hand."""
STILL_FALLS = 0.05
"""Share of the median entropy by which it falls at least in an iteration, where another one at this band is worth it;
chosen by hand."""


@dataclass(eq=False)
class EMState(KeptState):
    """State of the iterations, beside that of the fit.

    Attributes
    ----------
    turn : Tensor, optional
        `(3, 3)` rotation of the grid in this iteration; None: it has not begun.
    next_band : int
        Shells of the map that is being summed up.
    entropies : list of float
        Median entropy after each iteration at the present band, nats.
    steps : int
        Steps made.
    settled : bool
        Whether more iterations would hardly change anything.
    """

    next_band: int
    turn: Tensor | None = None
    entropies: list[float] = field(default_factory=list)
    steps: int = 0
    settled: bool = False


class ExpectationMaximisation:
    """The only stage of a fit whose poses are never chosen.

    The pose that is recorded of a particle is its most probable one, refined beyond the grid in the map of the present
    iteration. No image is added at it; scales, and the shifts about which others are tried, follow from it.

    Parameters
    ----------
    fit : Fit
    volume_step : SoftStep
    """

    learners: Sequence[Proposer] = ()

    def __init__(self, fit: Fit[WienerVolume], volume_step: SoftStep) -> None:
        self.fit, self.volume_step = fit, volume_step
        self.state = EMState(fit.band.now)
        self._forget_map()

    def _forget_map(self) -> None:
        """Forget what follows from the map and the turn of the grid, and is not saved."""
        self.search: PoseSearch | None = None
        self.lattices: Tensor | None = None

    @property
    def settled(self) -> bool:
        return self.state.settled

    @property
    def online(self) -> bool:
        """Whether the map is made anew after every batch."""
        return self.fit.band.now <= COARSE_GRID_BAND and self.fit.settings.start.reference is None

    def batch_size(self, wanted: int) -> int:
        """Return how many particles to look at in a step."""
        return self.volume_step.batch_size(wanted, len(self.fit))

    @torch.no_grad()
    def step(self, rows: Tensor) -> dict[str, float]:
        """Add some particles to the next map. Return metrics."""
        fit, state, volume = self.fit, self.state, self.fit.volume
        if state.turn is None:
            self._begin_iteration()
        if self.online:
            volume.forget(self.volume_step.memory(state.steps))
        batch = fit.batch(rows)
        best, drawn = self.volume_step.assign(self._present_search(), batch, fit.batch(rows, state.next_band))
        fit.noise.observe(batch.where, batch.images, fit.project(batch, drawn.rotations, drawn.shifts))
        proposal = Proposal.single(*self._refined(batch, best))
        record_proposals(fit, batch, [], [proposal])
        record_contest(fit, batch, compete(fit, batch, [], [proposal]))
        state.steps += 1
        if self.online:
            volume.solve()
            self._forget_map()
            state.turn = random_rotations(1, fit.generator)[0]
        return {"loss": fit.mean_error(rows), "band": float(fit.band.now)}

    def _refined(self, batch: Batch, best: FoundPoses) -> FoundPoses:
        """Refine the most probable poses, once the map is one of all images."""
        if self.online:
            return best
        if self.lattices is None:
            self.lattices = self.fit.volume.gradient_lattices()
        rotations, shifts, _ = GaussNewtonPoses(self.fit).refine(self.lattices, batch, best.rotations, best.shifts)
        return FoundPoses(rotations, shifts, best.entropy)

    def _begin_iteration(self) -> None:
        """Turn the grid, so that all poses are reached in the course of the iterations, and empty the sums."""
        self.state.turn = random_rotations(1, self.fit.generator)[0]
        self.fit.volume.set_band(self.state.next_band)
        if not self.online:
            self.fit.volume.forget(0)

    def _present_search(self) -> PoseSearch:
        if self.search is None:
            self.search = PoseSearch(self.fit, self.state.turn)
        return self.search

    def end_epoch(self) -> dict[str, float]:
        """Make the new map, centre it, and see whether the band grows. Return metrics."""
        fit, state = self.fit, self.state
        fit.update_scales(particles_differ=False)
        fit.volume.solve()
        metrics = self.volume_step.centre()
        if state.next_band > fit.band.now:
            state.entropies = []
        fit.band.now = state.next_band
        fit.band.encoding = max(fit.band.encoding, fit.band.now)
        state.entropies.append(float(fit.particles.entropy.nanmedian()))
        most = BandGrowth(fit).most
        if enough_iterations(state.entropies):
            state.settled = fit.band.now >= most
            state.next_band = max(fit.band.now, next_band(fit.band.now, most))
        self._forget_map()
        state.turn = None
        return metrics

    def begin_anew(self, volume_step: SoftStep) -> None:
        """Go on with a map that was turned."""
        self.volume_step = volume_step
        self._forget_map()
        self.state = EMState(self.fit.band.now, steps=self.state.steps)

    def state_dict(self) -> dict[str, Any]:
        """Return the state that `load_state_dict` needs beside the fit's."""
        return self.state.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state of this stage."""
        self.state.load_state_dict(state)
        self._forget_map()


def enough_iterations(entropies: Sequence[float]) -> bool:
    """Return whether another iteration at the same band is not worth it, from the median entropy after each, nats."""
    if len(entropies) < LEAST_ITERATIONS:
        return False
    return len(entropies) >= MOST_ITERATIONS or entropies[-2] - entropies[-1] <= STILL_FALLS * entropies[-2]
