"""The test of mates: for each particle, the choice between poses that a near-symmetry of the map makes nearly equal.

If a map looks nearly the same after a rotation `Q`, then `A` and its mate `A Q` explain an image nearly equally well,
and reconstructions settle with a share of the particles at the wrong mate. The volume is then an average over both, and
each image is a part of that average, which favours the pose that the image already has. Two measures remove this bias.
The images of one fold are compared with a volume made from the other fold alone, so that no image is compared with
itself. And the folds take turns, so that a small difference between the mates grows from turn to turn.

As long as mates differ by a few nats only, one of them is drawn with its probability. Always taking the best would sort
the particles of an exactly symmetric map by chance, and the chance difference would grow as well: the map's copies
would become different, each made of other view directions (docs/method.md, Near-symmetries).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.kept_state import KeptState
from napari_cryospin.engine.losses import take
from napari_cryospin.engine.near_symmetry import near_symmetries
from napari_cryospin.engine.phases import MATES_BAND
from napari_cryospin.engine.pose_posterior import sample
from napari_cryospin.engine.pose_steps import GaussNewtonPoses
from napari_cryospin.engine.volume_steps import WienerStep
from napari_cryospin.models.wiener_volume import WienerVolume

log = logging.getLogger(__name__)

MATES_SETTLED_SHARE = 0.005
"""Share of particles that change in a round, below which the test is over."""
MOST_MATE_ROUNDS = 6
"""Largest number of rounds of the test."""
ALIKE_MATES = 5.0
"""Mean lead of the best mate over the next, nats, below which mates are alike (docs/method.md, Near-symmetries)."""
GROWING_DIFFERENCE = 1.5
"""Factor by which the lead of alike mates must grow from one round to the next; if it grows less, the symmetry is exact
(docs/method.md, Near-symmetries)."""
MOST_MATES = 3
"""Largest number of mates that are tested; each costs as much as a refinement of all poses."""


@dataclass
class MateTally(KeptState):
    """Tally of the rounds so far.

    Attributes
    ----------
    over : bool
        Whether the test is over.
    rounds : int
        Number of rounds made.
    difference : float
        Lead of the best mate over the next in the last round, nats, mean over the particles.
    """

    over: bool = False
    rounds: int = 0
    difference: float = 0.0

    def count_round(self, share: float, difference: float) -> None:
        """Count a round in which a `share` of the particles changed, and decide whether it was the last."""
        self.rounds += 1
        log.info("mates: %.1f %% of the particles changed; mates differ by %.1f nats", 100 * share, difference)
        alike = difference < ALIKE_MATES and difference < GROWING_DIFFERENCE * self.difference
        exact = self.rounds > 1 and alike
        self.over = share < MATES_SETTLED_SHARE or exact or self.rounds >= MOST_MATE_ROUNDS
        self.difference = difference


class MateTest:
    """Test of every particle's mates, in rounds until few particles change."""

    def __init__(self, fit: Fit[WienerVolume], step: WienerStep, poses: GaussNewtonPoses) -> None:
        self.fit, self.step, self.poses = fit, step, poses
        self.tally = MateTally()

    def run(self) -> dict[str, float]:
        """Make one round over both folds. The volume's sums are then those of the chosen poses.

        Returns
        -------
        dict
            mates: their number. If there are any, mates_changed: share of the particles that changed to a mate;
            mates_apart: mean lead of the best mate over the next, nats.
        """
        fit, volume = self.fit, self.fit.volume
        if not self.tally.rounds:
            volume.solve()
        mates = near_symmetries(volume.hartley(), volume.padding, fit.band.now, MOST_MATES, fit.symmetry)
        if not len(mates):
            self.tally.over = True
            return {"mates": 0.0}
        changed, differences = 0, []
        for fold in (0, 1):
            lattices = volume.gradient_lattices(volume.fold_average(1 - fold))
            volume.sums[fold] = 0
            for rows in fit.fold_members(fold).split(fit.settings.schedule.batch_size):
                moved, apart = self._compare(rows, mates, lattices)
                changed += moved
                differences.append(apart)
        share = changed / len(fit.members)
        self.tally.count_round(share, float(torch.cat(differences).mean()))
        return {"mates": float(len(mates)), "mates_changed": share, "mates_apart": self.tally.difference}

    def _compare(self, rows: Tensor, mates: Tensor, lattices: Tensor) -> tuple[int, Tensor]:
        """Refine each particle at its pose and at its mates, and store one of them.

        Returns
        -------
        changed, apart
            Number of particles that changed, and the lead `(b,)` of the best over the next, nats.
        """
        fit = self.fit
        batch, steps = fit.batch(rows, min(fit.band.now, MATES_BAND)), fit.settings.schedule.pose_steps
        start, shifts = fit.poses(batch)
        found = [self.poses.refine(lattices, batch, start, shifts, steps=steps)]
        found += [self.poses.refine(lattices, batch, start @ mate, shifts, steps=steps + 1) for mate in mates]
        rotations, moved, errors = (torch.stack(column, dim=1) for column in zip(*found, strict=True))
        alike = self.tally.difference < ALIKE_MATES
        chosen = sample(-errors, fit.generator) if alike else errors.argmin(1)
        rotations, moved = take(rotations, chosen), take(moved, chosen)
        fit.particles.record_poses(batch.where, rotations, moved)
        self.step.insert(fit.batch(rows), rotations, moved)
        first, second = errors.topk(2, dim=1, largest=False).values.unbind(1)
        return int((chosen != 0).sum()), (second - first).cpu()
