"""When the switch to auto-decoding is advised: the thresholds, and whether heads still learn. No torch."""

from __future__ import annotations

from collections.abc import Sequence

SWITCH_ENTROPY = 0.5
"""Median entropy of the particles' posteriors, nats, below which the poses count as certain (docs/benchmarks.md, when
to switch)."""
HEADS_AGREE = 0.84
"""Share of particles whose nearest head must agree (docs/benchmarks.md, when to switch)."""
PATIENT_EPOCHS, LEAST_GAIN = 4, 0.02
"""Number of epochs, and gain of the share that agrees, with less than which in those epochs the heads learn no more
(docs/method.md, when to switch)."""
LEARNING_SHARE = 0.5
"""Share of particles that must have agreed before heads that learn no more count as ready (docs/method.md, when to
switch)."""


def recent_gain(agreed: Sequence[float]) -> float | None:
    """Return the gain of the share that agrees in the last epochs, over the best of all before; None: too few epochs.

    Parameters
    ----------
    agreed
        Share of particles with which the nearest head agrees, epoch by epoch.
    """
    before, last = agreed[:-PATIENT_EPOCHS], agreed[-PATIENT_EPOCHS:]
    return max(last) - max(before) if before else None


def stands_still(agreed: Sequence[float]) -> bool:
    """Return whether the last epochs brought no gain, after the heads have agreed with half of the particles."""
    before, last = agreed[:-PATIENT_EPOCHS], agreed[-PATIENT_EPOCHS:]
    return bool(before) and max(before) > LEARNING_SHARE and max(last) < max(before) + LEAST_GAIN
