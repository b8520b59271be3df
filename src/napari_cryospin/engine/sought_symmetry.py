"""A symmetry that a run is given and looks for: the map begins without it, and gets it once it shows it.

A map that is symmetric from its first step is often caught at a wrong one, which the same images leave if the map is
free at first (docs/symmetry.md). A free map that does not show the symmetry in time is given up: the run then begins
anew with a symmetric one, and once more if that explains the images worse than the free one did.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from napari_cryospin.engine.audit import AUDIT_PADDING, MATE_STEPS, volume_at_poses
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.kept_state import KeptState
from napari_cryospin.engine.pose_refinement import refine_poses
from napari_cryospin.engine.symmetry_change import symmetry_of_fit
from napari_cryospin.engine.used_rows import evenly_spread
from napari_cryospin.evaluation.found_symmetry import NEAR_SCORE, SymmetryReport
from napari_cryospin.geometry.symmetry import point_group
from napari_cryospin.methods import DESCRIPTIONS
from napari_cryospin.settings import Settings
from napari_cryospin.symmetry_names import IS_SOUGHT

EPOCHS_TO_JUDGE = 2
"""Epochs with the largest band of the first stage after which a start is judged."""
MOST_STARTS = 3
"""Starts with the symmetry, at most, once the map that began without it is given up; chosen by hand."""
COMPARED = 1000
"""Images of a fit in which starts are compared, at most; chosen by hand."""
CLEARLY_WORSE = 3.0
"""Standard errors by which held-out images fit a symmetric map worse than the free one if the start is given up."""


def sought_group(settings: Settings) -> str:
    """Return the name of the group that a run is to look for; empty: its map is from the start what the settings say.

    Only a map that the grid posterior makes from nothing is looked at: a reference and known poses have a frame.
    """
    group = point_group(settings.volume.symmetry)
    free = settings.volume.symmetry_later and settings.posterior.posterior_sample
    placed = settings.start.reference is not None or DESCRIPTIONS[settings.method].takes_poses
    implicit = settings.volume.volume_update == "implicit"
    return "" if group.trivial or not free or placed or implicit else group.name


@dataclass(eq=False)
class SoughtSymmetry(KeptState):
    """The symmetry that a run looks for.

    Attributes
    ----------
    group : str
        Name of the group; empty: none is looked for.
    starts : int
        Starts with the symmetry so far; 0: the map is free.
    epochs : int
        Epochs of this start that were closed with the largest band of the first stage.
    text : str
        What is known: "D7 is looked for (0.41 of 0.7)", the score of the map and the least one; "start 2 of 3 with D7".
    shown : bool
        Whether the free map showed the symmetry at the last look.
    judged : bool
        Whether the start had all the time that it gets.
    band : int
        Shells in which starts are compared.
    free_errors : Tensor
        `(n,)` errors of held-out images in the free map that was given up, nats.
    best_errors : Tensor
        `(n,)` the same in the best of the symmetric maps that were given up.
    best : dict
        State of the run with that map.
    lag_of_best : float
        By how much images fitted the map that went on worse than the free one, nats each, where that was clear; nan
        otherwise.
    """

    group: str = ""
    starts: int = 0
    epochs: int = 0
    text: str = ""
    shown: bool = False
    judged: bool = False
    band: int = 0
    free_errors: Tensor = field(default_factory=lambda: torch.zeros(0))
    best_errors: Tensor = field(default_factory=lambda: torch.zeros(0))
    best: dict[str, Any] = field(default_factory=dict)
    lag_of_best: float = math.nan

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of results that are made while the map is free."""
        free = self.group and not self.starts
        return (f"the map has no symmetry yet, and its poses neither: {self.text}",) if free else ()

    @property
    def due(self) -> bool:
        """Whether the start is to be judged now, or the free map shows the symmetry."""
        return bool(self.group) and (self.shown or self.judged)

    def end_epoch(self, fits: Sequence[Fit], *, last: bool) -> None:
        """Look at the maps while they are free. `last`: the first stage would end with this epoch."""
        self.epochs += all(fit.band.encoding_reached for fit in fits)
        self.judged = last or self.epochs >= EPOCHS_TO_JUDGE
        if not self.starts:
            reports = [symmetry_of_fit(fit, self.group, volume=fit.volume) for fit in fits]
            self.shown = all(report.best is not None for report in reports)
            self.text = f"{self.group} {IS_SOUGHT} ({_least(reports)})"

    def begin(self) -> None:
        """Count a new start with the symmetry."""
        self.starts, self.epochs, self.shown, self.judged = self.starts + 1, 0, False, False
        self.text = f"start {self.starts} of {MOST_STARTS} with {self.group}"

    def lag(self, errors: Tensor) -> tuple[float, bool]:
        """Compare a symmetric map with the free one by the errors of the same images, `(n,)` nats.

        Returns
        -------
        float, bool
            By how much images fit the symmetric map worse, nats each, and whether that is clearly so.
        """
        worse = errors - self.free_errors
        mean, standard_error = float(worse.mean()), float(worse.std()) / math.sqrt(len(worse))
        return mean, mean > CLEARLY_WORSE * standard_error

    def forget(self) -> None:
        """Look for nothing any more."""
        vars(self).update(vars(SoughtSymmetry()))


def held_out_errors(fits: Sequence[Fit], band: int) -> Tensor:
    """Compute the errors of the same images of each fit whenever it is asked, each in the map of the other fold.

    Poses are refined there. Errors are in units of the background's noise alone, because a poor map's residual would
    hide them.

    Returns
    -------
    Tensor
        `(n,)` nats, on the CPU.
    """
    return torch.cat([_held_out_errors(fit, band) for fit in fits])


@torch.no_grad()
def _held_out_errors(fit: Fit, band: int) -> Tensor:
    volume = volume_at_poses(fit, band)
    rows = evenly_spread(len(fit), COMPARED)
    folds, errors = fit.particles.folds.cpu()[rows], torch.zeros(len(rows))
    for fold in (0, 1):
        batch = fit.batch(rows[folds == fold], band)
        batch = replace(batch, weights=fit.noise.background_weights(batch.where, len(batch.points)))
        lattices = volume.gradient_lattices(volume.fold_average(1 - fold))
        rotations, shifts = fit.poses(batch)
        start = rotations, fit.shift_range.used(shifts)
        errors[folds == fold] = refine_poses(lattices, batch, *start, padding=AUDIT_PADDING, steps=MATE_STEPS)[2].cpu()
    return errors


def _least(reports: Sequence[SymmetryReport]) -> str:
    """Say what the half that shows the symmetry least has."""
    if obstacle := next((report.obstacle for report in reports if report.obstacle), ""):
        return obstacle
    score = min(report.candidates[0].score for report in reports)
    return f"{score:.2f} of {NEAR_SCORE:g}"
