"""The switch from the first stage to the second: the advice, and the policies that the settings name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.kept_state import CONSTANT, KeptState
from napari_cryospin.engine.near_symmetry import with_mates
from napari_cryospin.engine.readiness import HEADS_AGREE, SWITCH_ENTROPY, stands_still
from napari_cryospin.engine.sampling import PoseSearch
from napari_cryospin.geometry.so3 import rotation_distance
from napari_cryospin.models.volume import Volume
from napari_cryospin.settings import ScheduleSettings

NEAR_HEAD = 30.0
"""Largest distance, degrees, at which a head's pose agrees with the particle's (docs/method.md, when to switch)."""
ADVICE_PARTICLES, ADVICE_BAND = 500, 11
"""Number of particles, and of shells, in the search for the advice if the method itself computes no posterior
(docs/method.md, when to switch, has the particles)."""


@dataclass(frozen=True)
class SwitchAdvice:
    """Advice on the switch: whether to switch now, and why. The reason is empty if no switch is possible any more."""

    ready: bool = False
    reason: str = ""


@dataclass(eq=False)
class SwitchAdvisor(KeptState):
    """An adviser on the switch of one fit, which keeps a record of how the heads have learned.

    Attributes
    ----------
    fit : Fit
    agreed : list of float
        Share of particles with which the nearest head agrees, epoch by epoch.
    measured : dict
        Name -> number that the last advice was based on.
    """

    fit: Fit[Volume] = field(metadata=CONSTANT)
    agreed: list[float] = field(default_factory=list)
    measured: dict[str, float] = field(default_factory=dict, metadata=CONSTANT)

    def advise(self) -> SwitchAdvice:
        """Return the advice on the switch. It must be called once at the end of each epoch.

        If the method computes no posterior, that of some particles is computed here, and their entropy is recorded.
        """
        fit = self.fit
        if fit.band.now < fit.band.encoding:
            shells = f"{fit.band.now} of {fit.band.encoding} shells ({fit.images.extent / fit.band.now:.3g} A)"
            return SwitchAdvice(False, f"not yet: {shells} are looked at")
        rows, rotations = self._known_posteriors()
        median = float(fit.particles.entropy[rows].median())
        self.measured = {"switch_entropy": median}
        text = f"{math.exp(median):,.1f} likely poses a particle (median)"
        if not median <= SWITCH_ENTROPY:
            return SwitchAdvice(False, f"not yet: poses are uncertain: {text}")
        if not fit.heads:
            return SwitchAdvice(True, f"ready: {text}")
        self.agreed.append(agreement(fit, rows, rotations))
        self.measured["heads_agree"] = self.agreed[-1]
        text += f"; the nearest head agrees for {100 * self.agreed[-1]:.0f} % of particles"
        if self.agreed[-1] >= HEADS_AGREE:
            return SwitchAdvice(True, f"ready: {text}")
        if stands_still(self.agreed):
            return SwitchAdvice(True, f"ready: the heads learn no more: {text}")
        return SwitchAdvice(False, f"not yet: the heads still learn: {text}")

    def _known_posteriors(self) -> tuple[Tensor, Tensor]:
        """Return particles whose posterior is known, `(b,)`, and their rotations, `(b, 3, 3)`."""
        fit = self.fit
        if fit.settings.posterior.posterior_sample:
            return torch.arange(len(fit)), fit.particles.rotations
        rows = torch.arange(0, len(fit), -(-len(fit) // ADVICE_PARTICLES))
        search = PoseSearch(fit, band=min(fit.band.now, ADVICE_BAND))
        found = search.best(fit.batch(rows, search.band))
        fit.particles.record_entropy(rows, found.entropy)
        return rows, found.rotations


def agreement(fit: Fit[Volume], rows: Tensor, rotations: Tensor) -> float:
    """Compute the share of particles with a head near their pose, or near its mate under a near-symmetry.

    Mates count because which of two mates a head proposes does not depend on how much it has learned.

    Parameters
    ----------
    fit : Fit
    rows : Tensor
        `(b,)` particles, on the CPU.
    rotations : Tensor
        `(b, 3, 3)` rotations of these particles.
    """
    mates = with_mates(rotations, fit.near_symmetries.rotations).cpu()
    apart = rotation_distance(fit.particles.candidates[rows, :, None], mates[:, None])
    return float((apart.amin((1, 2)) < NEAR_HEAD).float().mean())


def advise_all(advisors: Sequence[SwitchAdvisor], epoch: int, schedule: ScheduleSettings) -> SwitchAdvice:
    """Return the advice for all fits of a run: ready if each fit is, or if the epochs of the first stage are over."""
    if epoch >= schedule.epochs - schedule.epochs_kept:
        return SwitchAdvice(True, "ready: the epochs planned for the encoder are over")
    answers = [advisor.advise() for advisor in advisors]
    return next((answer for answer in answers if not answer.ready), answers[0])


def take_measured(advisors: Sequence[SwitchAdvisor]) -> dict[str, float]:
    """Return the numbers that the last advice was based on, of several fits the worse ones, and forget them.

    Returns
    -------
    dict
        As far as they were measured: `switch_entropy`, the median entropy in nats, and `heads_agree`, the share of
        particles whose nearest head agrees, 0 to 1.
    """
    found: dict[str, float] = {}
    for name, worse in (("switch_entropy", max), ("heads_agree", min)):
        values = [advisor.measured[name] for advisor in advisors if name in advisor.measured]
        if len(values) == len(advisors):
            found[name] = worse(values)
    for advisor in advisors:
        advisor.measured = {}
    return found


class SwitchPolicy(Protocol):
    """A rule that decides on the switch at the end of an epoch of the first stage."""

    def __call__(self, epoch: int, advice: SwitchAdvice) -> str | None:
        """Return the reason to switch now; None: do not switch. `epoch` is the number of closed epochs."""


def by_hand(epoch: int, advice: SwitchAdvice) -> None:
    """Leave the switch to the user."""


def automatic(epoch: int, advice: SwitchAdvice) -> str | None:
    """Switch as soon as it is advised."""
    return f"automatic: {advice.reason}" if advice.ready else None


@dataclass(frozen=True)
class AfterEpochs:
    """Policy of a switch after a number of epochs (the paper)."""

    epochs: int

    def __call__(self, epoch: int, advice: SwitchAdvice) -> str | None:
        return f"after {self.epochs} epochs" if epoch == self.epochs else None


POLICIES: dict[str, SwitchPolicy] = {"by-hand": by_hand, "automatic": automatic}
"""Word of the setting `switch` -> policy; a number stands for `AfterEpochs`."""

MakePolicy = Callable[[ScheduleSettings], SwitchPolicy]


def policy_of(schedule: ScheduleSettings) -> SwitchPolicy:
    """Return the policy that the settings name."""
    return AfterEpochs(schedule.switch) if isinstance(schedule.switch, int) else POLICIES[schedule.switch]
