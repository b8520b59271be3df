"""Near-symmetries: the poses that a map almost cannot tell apart, and how the images tell them apart after all.

If a map looks nearly the same after a rotation `Q`, then `A` and its mate `A Q` explain an image nearly equally well,
and reconstructions settle with a share of the particles at the wrong mate. The volume is then an average over both, and
each image, being part of that average, votes for where it already is. Two things break the tie: the images of one fold
are compared with a volume made from the other fold alone, so that none votes for itself; and the folds take turns, so
that a small chance difference between the mates grows from turn to turn.

As long as mates differ by a few nats only, one of them is drawn with its probability. Always the best would sort the
particles of an exactly symmetric map by chance, and what it sorts by then grows as well: a map with copies unlike each
other, each made of other views.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor

from napari_cryospin.engine.auto_encoding import insert_images
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.losses import take
from napari_cryospin.engine.near_symmetry import near_symmetries
from napari_cryospin.engine.pose_posterior import sample
from napari_cryospin.engine.pose_refinement import refine_poses
from napari_cryospin.models.wiener_volume import WienerVolume

log = logging.getLogger(__name__)

FIRST_BAND = 14
"""Shells from which mates are tested (or all there are): before, their difference hardly shows."""
SETTLED = 0.005
"""Share of particles that still change below which the test is over."""
ROUNDS = 6
"""Most rounds of the test."""
ALIKE, GROWING = 5.0, 1.5
"""Nats by which the best mate must be ahead, in the mean, for mates to be told apart; with fewer, the symmetry is exact
unless they are this factor above those of the round before."""
BAND = 20
"""Shells that are compared at most: enough to tell mates apart, and far cheaper than all."""
MOST = 3
"""Mates that are tested: each costs as much as a refinement of all poses."""


class MateTest:
    """Tests every particle's mates, round after round, until they are settled."""

    def __init__(self, fit: Fit) -> None:
        self.fit = fit
        self.rounds = 0
        self.over = False
        self.share = self.difference = 0.0

    def due(self) -> bool:
        return not self.over and self.fit.band >= min(FIRST_BAND, self.fit.full_band)

    def run(self) -> dict[str, float]:
        """One round over both folds. The volume's sums are those of the poses that were kept."""
        fit = self.fit
        volume = fit.volume
        assert isinstance(volume, WienerVolume)
        lattice = volume.hartley() if self.rounds else self._present(volume)
        mates = near_symmetries(lattice, volume.padding, fit.band, most=MOST)
        if not len(mates):
            self.over = True
            return {"mates": 0.0}
        changed, differences = 0, []
        for fold in (0, 1):
            lattices = volume.gradient_lattices(volume.average(volume.sums[1 - fold]))
            volume.sums[fold] = 0
            members = (fit.folds == fold).nonzero()[:, 0].cpu()
            for rows in members.split(fit.settings.schedule.batch_size):
                moved, apart = self._compare(rows, mates, lattices)
                changed += moved
                differences.append(apart)
        self._judge(changed / len(fit), float(torch.cat(differences).mean()))
        return {"mates": float(len(mates)), "mates_changed": changed / len(fit), "mates_apart": self.difference}

    @staticmethod
    def _present(volume: WienerVolume) -> Tensor:
        volume.solve()
        return volume.hartley()

    def _judge(self, share: float, difference: float) -> None:
        self.rounds += 1
        log.info("mates: %.1f %% of the particles changed; mates differ by %.1f nats", 100 * share, difference)
        exact = self.rounds > 1 and difference < ALIKE and difference < GROWING * self.difference
        self.over = share < SETTLED or exact or self.rounds >= ROUNDS
        self.share, self.difference = share, difference

    def _compare(self, rows: Tensor, mates: Tensor, lattices: Tensor) -> tuple[int, Tensor]:
        """Refine each particle at its pose and at its mates, and keep one: how many changed, and by how many nats the
        best is ahead of the next."""
        fit = self.fit
        volume = fit.volume
        assert isinstance(volume, WienerVolume)
        batch, where = fit.batch(rows, min(fit.band, BAND)), rows.to(fit.device)
        data = (batch.images, batch.ctf, batch.weights, batch.points, fit.images.extent)
        start = fit.poses.rotations[where]
        moved = fit.poses.shifts[where]
        shifts = moved if fit.max_shift else None
        steps = fit.settings.schedule.pose_steps
        found = [refine_poses(lattices, volume.padding, start, shifts, *data, steps=steps)]
        found += [
            refine_poses(lattices, volume.padding, start @ mate, shifts, *data, steps=steps + 1) for mate in mates
        ]
        errors = torch.stack([error for _, _, error in found], dim=1)  # (b, mates), nats
        chosen = sample(-errors, fit.generator) if self.difference < ALIKE else errors.argmin(1)
        rotations = take(torch.stack([rotation for rotation, _, _ in found], dim=1), chosen)
        if shifts is not None:
            moved = take(torch.stack([shift for _, shift, _ in found if shift is not None], dim=1), chosen)
            moved = moved.clamp(-fit.max_shift, fit.max_shift)
        fit.poses.set(where, rotations, moved)
        insert_images(fit, fit.batch(rows), rotations, moved)
        first, second = errors.topk(2, dim=1, largest=False).values.unbind(1)
        return int((chosen != 0).sum()), (second - first).cpu()

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("rounds", "over", "share", "difference")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
