"""Turns by which many particles of two sets of poses differ: those after which the map looks the same, or nearly.

Two runs of a molecule with symmetry, or nearly with one, put a particle at one of several poses that fit it alike. Both
may be right and still far from each other. The turns between such poses are few and the same for many particles, while
wrong poses differ by turns of all kinds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_cryospin.geometry.angles import angle_between

Array = NDArray[np.float64]

CLOSE = 10.0
"""Largest angle between a particle's turn and the common one, degrees."""
LEAST_TURNED = 0.01
"""Smallest share of the particles that makes a turn a common one; chance brings 0.03 % as close to a given turn."""
LEAST_PARTICLES = 10
MOST_TURNS = 59
"""Largest number of turns: those of the largest point group, I, but the identity."""
SAME_ANGLE = 4.0
_PROPOSING, _VOTING = 200, 2000


@dataclass(frozen=True, eq=False)
class CommonTurns:
    """Turns by which many particles differ.

    Attributes
    ----------
    turns : ndarray
        `(t, 3, 3)` rotations in the frame of the map, the one with the most particles first.
    explained : ndarray
        `(n,)` bool: the particle differs by one of them.
    """

    turns: Array
    explained: NDArray[np.bool_]

    @property
    def angles(self) -> list[int]:
        """Angles of the turns, degrees, in order of size; those that differ by less than 4 degrees are named once."""
        named: list[int] = []
        for angle in sorted(angle_between(self.turns, np.eye(3))):
            if not named or angle - named[-1] >= SAME_ANGLE:
                named.append(round(float(angle)))
        return named


def find_common_turns(rotations: ArrayLike, known: ArrayLike, alike: ArrayLike) -> CommonTurns:
    """Find the turns by which many particles differ that are not alike.

    Parameters
    ----------
    rotations, known : array_like
        `(n, 3, 3)` RELION's A of the same particles, in one frame.
    alike : array_like
        `(n,)` bool: rotations that are alike already; no turn is looked for there.
    """
    first, second = np.asarray(known, dtype=np.float64), np.asarray(rotations, dtype=np.float64)
    turns_of_all = first.transpose(0, 2, 1) @ second  # A_2 = A_1 @ S
    left = ~np.asarray(alike, dtype=bool)
    least = max(LEAST_PARTICLES, LEAST_TURNED * len(first))
    turns: list[Array] = []
    explained = np.zeros(len(first), dtype=bool)
    rng = np.random.default_rng(0)
    while len(turns) < MOST_TURNS and left.sum() >= least:
        turn = _most_common(turns_of_all[rng.permutation(np.flatnonzero(left))])
        close = left & (angle_between(turns_of_all, turn) <= CLOSE)
        if close.sum() < least:
            break
        turns.append(turn)
        explained |= close
        left &= ~close
    return CommonTurns(np.array(turns).reshape(-1, 3, 3), explained)


def _most_common(turns: Array) -> Array:
    """Return the turn that has the most others close to it: the mean of these."""
    proposals, voters = turns[:_PROPOSING], turns[-_VOTING:]
    trace = proposals.reshape(-1, 9) @ voters.reshape(-1, 9).T
    close = trace >= 1 + 2 * np.cos(np.radians(CLOSE))
    turn = proposals[close.sum(-1).argmax()]
    for _ in range(3):
        members = turns[angle_between(turns, turn) <= CLOSE]
        u, _, vt = np.linalg.svd(members.mean(0))
        turn = np.asarray(u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt)
    return turn
