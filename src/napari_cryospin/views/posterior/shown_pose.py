"""A pose of a particle whose projection is shown beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ShownPose:
    """A pose whose projection is shown.

    Attributes
    ----------
    kind : str
        "head", "best", "pose" or "truth".
    rotation, shift : ndarray
        `(3, 3)`, and `(2,)` Angstrom, of the pose.
    head : int
        Number of the head, from 0; -1: not a head's pose.
    winner : bool
        Whether this candidate won in the run.
    """

    kind: str
    rotation: NDArray[Any]
    shift: NDArray[Any]
    head: int = -1
    winner: bool = False

    @property
    def title(self) -> str:
        """Name of the pose in a word or two."""
        names = {"best": "best pose found", "pose": "run's pose", "truth": "truth"}
        return names.get(self.kind) or (f"{self.head + 1}  winner" if self.winner else f"{self.head + 1}")
