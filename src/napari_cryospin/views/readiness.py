"""Readiness of a run for the switch to auto-decoding: the three conditions, as they were measured epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from napari_cryospin.engine.readiness import (
    HEADS_AGREE,
    LEARNING_SHARE,
    LEAST_GAIN,
    PATIENT_EPOCHS,
    SWITCH_ENTROPY,
    recent_gain,
    stands_still,
)

WIDEST_GAIN = 0.2
"""Gain of the share that agrees at which the gauge of the gain is empty; chosen by hand."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A condition of the switch.

    Attributes
    ----------
    name : str
        What is asked for.
    told : str
        The value in words.
    met : bool, optional
        Whether it is met; None: not measured yet.
    place : float
        Place of the value on a gauge from 0 to 1, higher is better.
    threshold : float
        Place from which the condition is met.
    about : str
        What was measured, and what is enough.
    needed : bool
        Whether it counts, since no other condition stands in for it.
    """

    name: str
    told: str
    met: bool | None
    place: float
    threshold: float
    about: str
    needed: bool = True

    @property
    def reached(self) -> float:
        """How much of what is asked for is reached, 0 to 1; 1 where the condition is met, and only there."""
        if self.met:
            return 1.0
        # A gauge may be past its threshold while something else is missing: then nothing counts as reached.
        return self.place / self.threshold if self.place < self.threshold else 0.0


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """Conditions of the switch at one moment, and what they were epoch by epoch.

    Attributes
    ----------
    sharp, agree, still : Condition
        Poses are sharp; heads and posterior agree; the heads gain no more. The switch is advised where the first one
        and one of the others are met.
    epochs : tuple of float
        Epochs that were measured.
    entropy, agreed : tuple of float
        Median entropy, nats, and share that agrees, 0 to 1, nan where it was not measured, of each of them.
    """

    sharp: Condition
    agree: Condition
    still: Condition
    epochs: tuple[float, ...]
    entropy: tuple[float, ...]
    agreed: tuple[float, ...]

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The three conditions."""
        return self.sharp, self.agree, self.still

    @property
    def measured(self) -> bool:
        """Whether anything was measured yet."""
        return bool(self.epochs)


def readiness_of(metrics: Sequence[Mapping[str, Any]]) -> Readiness:
    """Read the readiness from a run's metrics; runs of older versions did not record it."""
    lines = [line for line in metrics if line.get("switch_entropy") is not None]
    agreed = tuple(float(line.get("heads_agree", math.nan)) for line in lines)
    known = [share for share in agreed if not math.isnan(share)]
    entropy = tuple(float(line["switch_entropy"]) for line in lines)
    agree = _agreement(known[-1] if known else None)
    return Readiness(
        sharp=_sharpness(entropy[-1] if entropy else None),
        agree=agree,
        still=replace(_stillness(known), needed=not agree.met),
        epochs=tuple(float(line["epoch"]) for line in lines),
        entropy=entropy,
        agreed=agreed,
    )


@dataclass(frozen=True, kw_only=True)
class ReadinessCurve:
    """A condition of the switch, epoch by epoch.

    Attributes
    ----------
    name : str
        The condition.
    reached : tuple of float
        How much of what is asked for was reached, 0 to 1, at each of the epochs that were measured; nan: not measured.
    """

    name: str
    reached: tuple[float, ...]


def readiness_curves(readiness: Readiness) -> tuple[ReadinessCurve, ...]:
    """Return each of the conditions of the switch as it was at every epoch that was measured."""
    agreed = readiness.agreed
    known = [[share for share in agreed[: place + 1] if not math.isnan(share)] for place in range(len(agreed))]
    moments = [
        (
            _sharpness(entropy),
            _agreement(None if math.isnan(share) else share),
            _stillness(before),
        )
        for entropy, share, before in zip(readiness.entropy, agreed, known, strict=True)
    ]
    return tuple(
        ReadinessCurve(name=one.name, reached=tuple(_reached(moment[place]) for moment in moments))
        for place, one in enumerate(readiness.conditions)
    )


def _reached(condition: Condition) -> float:
    return math.nan if condition.met is None else condition.reached


def _sharpness(entropy: float | None) -> Condition:
    about = (
        f"Median entropy of the particles' posteriors: {SWITCH_ENTROPY:g} nats or less, which is as if no more than "
        f"{math.exp(SWITCH_ENTROPY):.1f} poses were equally likely."
    )
    told = "not measured yet" if entropy is None else f"{math.exp(entropy):,.1f} likely poses a particle"
    return Condition(
        name="Poses are sharp",
        told=told,
        met=None if entropy is None else entropy <= SWITCH_ENTROPY,
        place=0.0 if entropy is None else 1 / (1 + max(entropy, 0.0) / SWITCH_ENTROPY),
        threshold=0.5,
        about=about,
    )


def _agreement(share: float | None) -> Condition:
    return Condition(
        name="Heads and posterior agree",
        told="not measured yet" if share is None else f"for {100 * share:.0f} % of the particles",
        met=None if share is None else share >= HEADS_AGREE,
        place=share or 0.0,
        threshold=HEADS_AGREE,
        about=f"Share of particles whose nearest head agrees with the posterior: {100 * HEADS_AGREE:.0f} % or more.",
    )


def _stillness(agreed: Sequence[float]) -> Condition:
    gain = recent_gain(agreed)
    about = (
        f"Gain of the share above in the last {PATIENT_EPOCHS} epochs: less than {100 * LEAST_GAIN:.0f} %, once "
        f"{100 * LEARNING_SHARE:.0f} % agreed. It stands in for the agreement where the heads learn no more."
    )
    return Condition(
        name="or the heads gain no more",
        told="not measured yet" if gain is None else f"{100 * gain:+.0f} % in {PATIENT_EPOCHS} epochs",
        met=None if gain is None else stands_still(agreed),
        place=0.0 if gain is None else min(1.0, max(0.0, 1 - max(gain, 0.0) / WIDEST_GAIN)),
        threshold=1 - LEAST_GAIN / WIDEST_GAIN,
        about=about,
    )
