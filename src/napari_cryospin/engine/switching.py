"""When to switch from the first stage to the second: what is advised, and what the settings make of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.kept_state import CONSTANT, KeptState
from napari_cryospin.engine.near_symmetry import with_mates
from napari_cryospin.engine.sampling import PoseSearch
from napari_cryospin.geometry.so3 import rotation_distance
from napari_cryospin.models.volume import Volume
from napari_cryospin.settings import ScheduleSettings

SWITCH_ENTROPY = 0.5
"""Median entropy of the particles' posteriors, nats, below which the poses count as certain (docs/benchmarks.md, when
to switch)."""
NEAR_HEAD = 30.0
"""A head agrees with the posterior where its pose is nearer than this, degrees."""
HEADS_AGREE = 0.84
"""Share of particles whose nearest head must agree (docs/benchmarks.md, when to switch)."""
PATIENT_EPOCHS, LEAST_GAIN = 4, 0.02
"""The heads learn no more where so many epochs raised the share that agrees by no more than this."""
LEARNING_SHARE = 0.5
"""Share of particles that must have agreed at some time before heads that stand still count as done."""
ADVICE_PARTICLES, ADVICE_BAND = 500, 11
"""Particles, and shells, that are looked at for the advice where the method itself computes no posterior."""


@dataclass(frozen=True)
class SwitchAdvice:
    """Whether the switch is advised now, and why; no reason where there is nothing to switch any more."""

    ready: bool = False
    reason: str = ""


@dataclass(eq=False)
class SwitchAdvisor(KeptState):
    """Advises on the switch of one fit, and remembers how the heads have learned.

    Attributes
    ----------
    fit : Fit
    agreed : list of float
        Share of particles that the heads agree on, epoch by epoch.
    """

    fit: Fit[Volume] = field(metadata=CONSTANT)
    agreed: list[float] = field(default_factory=list)

    def advise(self) -> SwitchAdvice:
        """Look at the fit, and say whether to switch now; to be called once at the end of each epoch.

        Where the method computes no posterior, that of some particles is computed here, and their entropy recorded.
        """
        fit = self.fit
        if fit.band.now < fit.band.encoding:
            return SwitchAdvice(False, f"not yet: {fit.band.now} of {fit.band.encoding} shells are looked at")
        rows, rotations = self._known_posteriors()
        median = float(fit.particles.entropy[rows].median())
        text = f"posterior entropy {median:.2f} nats (median)"
        if not median <= SWITCH_ENTROPY:
            return SwitchAdvice(False, f"not yet: poses are uncertain: {text}")
        if not fit.heads:
            return SwitchAdvice(True, f"ready: {text}")
        self.agreed.append(agreement(fit, rows, rotations))
        text += f"; the nearest head agrees for {100 * self.agreed[-1]:.0f} % of particles"
        if self.agreed[-1] >= HEADS_AGREE:
            return SwitchAdvice(True, f"ready: {text}")
        if stands_still(self.agreed):
            return SwitchAdvice(True, f"ready: the heads learn no more: {text}")
        return SwitchAdvice(False, f"not yet: the heads still learn: {text}")

    def _known_posteriors(self) -> tuple[Tensor, Tensor]:
        """Return particles whose posterior is known, `(b,)`, and their poses, `(b, 3, 3)`."""
        fit = self.fit
        if fit.settings.posterior.posterior_sample:
            return torch.arange(len(fit)), fit.particles.rotations
        rows = torch.arange(0, len(fit), -(-len(fit) // ADVICE_PARTICLES))
        search = PoseSearch(fit, band=min(fit.band.now, ADVICE_BAND))
        found = search.best(fit.batch(rows, search.band))
        fit.particles.record_entropy(rows, found.entropy)
        return rows, found.rotations


def agreement(fit: Fit[Volume], rows: Tensor, rotations: Tensor) -> float:
    """Compute the share of particles one of whose heads lies near a pose, or near its mate under a near-symmetry.

    Which of two mates a head proposes is not a matter of how much it has learned.

    Parameters
    ----------
    fit : Fit
    rows : Tensor
        `(b,)` particles, on the CPU.
    rotations : Tensor
        `(b, 3, 3)` their poses.
    """
    mates = with_mates(rotations, fit.near_symmetries.rotations).cpu()
    apart = rotation_distance(fit.particles.candidates[rows, :, None], mates[:, None])
    return float((apart.amin((1, 2)) < NEAR_HEAD).float().mean())


def stands_still(agreed: Sequence[float]) -> bool:
    """Say whether the last epochs brought nothing, once the heads agree with half of the particles at all."""
    before, last = agreed[:-PATIENT_EPOCHS], agreed[-PATIENT_EPOCHS:]
    return bool(before) and max(before) > LEARNING_SHARE and max(last) < max(before) + LEAST_GAIN


def advise_all(advisors: Sequence[SwitchAdvisor], epoch: int, schedule: ScheduleSettings) -> SwitchAdvice:
    """Advise on the switch of all fits of a run: it is ready when each of them is, or when its time is over."""
    if epoch >= schedule.epochs - schedule.epochs_kept:
        return SwitchAdvice(True, "ready: the epochs planned for the encoder are over")
    answers = [advisor.advise() for advisor in advisors]
    return next((answer for answer in answers if not answer.ready), answers[0])


class SwitchPolicy(Protocol):
    """Decides on the switch at the end of an epoch of the first stage."""

    def __call__(self, epoch: int, advice: SwitchAdvice) -> str | None:
        """Return the reason to switch now, if there is one; `epoch` counts the epochs that are closed."""


def by_hand(epoch: int, advice: SwitchAdvice) -> None:
    """Leave the switch to the user."""


def automatic(epoch: int, advice: SwitchAdvice) -> str | None:
    """Switch as soon as it is advised."""
    return f"automatic: {advice.reason}" if advice.ready else None


@dataclass(frozen=True)
class AfterEpochs:
    """Switch after a number of epochs (the paper)."""

    epochs: int

    def __call__(self, epoch: int, advice: SwitchAdvice) -> str | None:
        return f"after {self.epochs} epochs" if epoch == self.epochs else None


POLICIES: dict[str, SwitchPolicy] = {"by-hand": by_hand, "automatic": automatic}
"""By the words of the setting `switch`; a number is `AfterEpochs`."""

MakePolicy = Callable[[ScheduleSettings], SwitchPolicy]


def policy_of(schedule: ScheduleSettings) -> SwitchPolicy:
    """Make the policy that the settings ask for."""
    return AfterEpochs(schedule.switch) if isinstance(schedule.switch, int) else POLICIES[schedule.switch]
