"""The verdict on a run: whether its poses are determined, why that is believed, and what to try next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

SHOWN_REASONS, SHOWN_STEPS = 2, 3
"""Largest numbers of reasons and of next steps in a verdict's line."""
VerdictKind = Literal["open", "converged", "ambiguous", "not determined"]
NOT_DETERMINED: VerdictKind = "not determined"
"""Verdict with which no resolution is told."""
DOUBTFUL: tuple[VerdictKind, ...] = ("ambiguous", NOT_DETERMINED)
"""Verdicts that say that something is wrong or open."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A verdict on a run, at its end or as it stands.

    Attributes
    ----------
    kind : str
        open: the run is not over, and nothing speaks against it so far. converged: it is over, and the poses are
        determined. ambiguous: they are determined but for near-symmetry mates that were not told apart. not determined:
        neither poses nor map are to be relied upon, and no resolution is told.
    reasons : tuple of str
        Why; each is a clause without a full stop.
    next_steps : tuple of str
        What to try next; each is a clause without a full stop.
    evidence : mapping
        Name -> number that the verdict was judged by; None: not known.
    """

    kind: VerdictKind
    reasons: tuple[str, ...] = ()
    next_steps: tuple[str, ...] = ()
    evidence: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def tells_resolution(self) -> bool:
        """Whether a resolution means anything."""
        return self.kind != NOT_DETERMINED

    @property
    def doubts(self) -> bool:
        """Whether it says that something is wrong or open."""
        return self.kind in DOUBTFUL

    @property
    def sentence(self) -> str:
        """Kind, the first reasons and what to try next first, in one line; `reasons` and `next_steps` have all."""
        reasons = f": {'; '.join(self.reasons[:SHOWN_REASONS])}" if self.reasons else ""
        steps = f". Try next: {', or '.join(self.next_steps[:SHOWN_STEPS])}" if self.next_steps else ""
        return f"{self.kind}{reasons}{steps}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**asdict(self), "evidence": {name: _finite(value) for name, value in self.evidence.items()}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make a verdict from what `to_dict` returned."""
        return cls(
            kind=values["kind"],
            reasons=tuple(values["reasons"]),
            next_steps=tuple(values["next_steps"]),
            evidence=dict(values["evidence"]),
        )


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
