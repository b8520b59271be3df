"""Near-symmetries: the poses that a map almost cannot tell apart, and how the images tell them apart after all.

If a map looks nearly the same after a rotation `Q`, then `A` and its mate `A Q` explain an image nearly equally well,
and reconstructions settle with a share of the particles at the wrong mate. The volume is then an average over both, and
each image, being part of that average, votes for where it already is. Two things break the tie: the images of one fold
are compared with a volume made from the other fold alone, so that none votes for itself; and the folds take turns, so
that a small chance difference between the mates grows from turn to turn.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor

from napari_cryospin.inference.auto_encoding import insert_images
from napari_cryospin.inference.fit import Fit
from napari_cryospin.inference.near_symmetry import near_symmetries
from napari_cryospin.inference.pose_refinement import refine_poses
from napari_cryospin.inference.switching import remake_volume
from napari_cryospin.models.wiener_volume import WienerVolume

log = logging.getLogger(__name__)

FIRST_BAND = 14
"""Shells from which mates are tested (or all there are): before, their difference hardly shows."""
SETTLED = 0.005
"""Share of particles that still change below which the test is over."""
ROUNDS = 6
"""Most rounds of the test. Where more than `UNSETTLED` of the particles still change then, the symmetry is exact."""
UNSETTLED = 0.1
ALIKE = 5.0
"""Nats by which the best mate must be ahead, in the mean, for more rounds to be worth their time."""
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
        self.before: tuple[Tensor, Tensor] | None = None

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
        if self.before is None:
            self.before = fit.poses.rotations.clone(), fit.poses.shifts.clone()
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
        # Where the particles do not settle, the symmetry is exact: it does not matter which mate is taken.
        alike = share < UNSETTLED and difference < ALIKE
        self.over = share < SETTLED or alike or self.rounds >= ROUNDS
        exact = self.over and share > UNSETTLED
        if exact and self.before is not None:
            every = torch.arange(len(self.fit), device=self.fit.device)
            self.fit.poses.set(every, *self.before)
            remake_volume(self.fit)
        self.share, self.difference = share, difference
        if self.over:
            self.before = None

    def _compare(self, rows: Tensor, mates: Tensor, lattices: Tensor) -> tuple[int, Tensor]:
        """Refine each particle at its pose and at its mates, and keep the best: how many changed, and by how many nats
        the best is ahead of the next."""
        fit = self.fit
        volume = fit.volume
        assert isinstance(volume, WienerVolume)
        batch, where = fit.batch(rows, min(fit.band, BAND)), rows.to(fit.device)
        data = (batch.images, batch.ctf, batch.weights, batch.points, fit.images.extent)
        start = fit.poses.rotations[where]
        moved = fit.poses.shifts[where]
        shifts = moved if fit.max_shift else None
        steps = fit.settings.schedule.pose_steps
        best, best_shifts, errors = refine_poses(lattices, volume.padding, start, shifts, *data, steps=steps)
        every = [errors]
        for mate in mates:
            other = refine_poses(lattices, volume.padding, start @ mate, shifts, *data, steps=steps + 1)
            better = other[2] < errors
            best = torch.where(better[:, None, None], other[0], best)
            if best_shifts is not None and other[1] is not None:
                best_shifts = torch.where(better[:, None], other[1], best_shifts)
            errors = torch.where(better, other[2], errors)
            every.append(other[2])
        fit.poses.set(where, best, moved if best_shifts is None else best_shifts.clamp(-fit.max_shift, fit.max_shift))
        insert_images(fit, fit.batch(rows), best, fit.poses.shifts[where])
        first, second = torch.stack(every).topk(2, dim=0, largest=False).values
        return int((errors < every[0]).sum()), (second - first).cpu()

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("rounds", "over", "share", "difference", "before")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        if self.before is not None:
            rotations, shifts = self.before
            self.before = rotations.to(self.fit.device), shifts.to(self.fit.device)
