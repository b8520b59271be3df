"""Progress of a reconstruction, which is saved beside its fits and stages."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from napari_cryospin.engine.kept_state import KeptState
from napari_cryospin.engine.sought_symmetry import SoughtSymmetry
from napari_cryospin.engine.switching import SwitchAdvice
from napari_cryospin.engine.symmetry_watch import SymmetryWatch

NO_EPOCH_YET = SwitchAdvice(False, "not every particle has been looked at yet")
"""Advice on the switch before the first epoch has ended."""


@dataclass(eq=False)
class RunProgress(KeptState):
    """Progress of a reconstruction.

    Attributes
    ----------
    step, epoch : int
        Number of steps that were made, and of epochs that were closed.
    begun_at : int
        Epoch after which the run began anew, with another symmetry; 0: it did not.
    switched_at : int, optional
        Epoch after which the second stage began.
    queue : list
        Steps that are left of this epoch, each with its half, from 0, and the particles of that half, `(b,)`.
    sums, counts : dict
        Sum, and number of values, of each metric in this epoch.
    resolution : float
        Last measured resolution, Angstrom; nan: none was measured yet.
    turn : float
        Mean turn of the poses in the last epoch, degrees; nan before the switch.
    advice : SwitchAdvice
        Advice on the switch at the end of the last epoch.
    symmetry : SymmetryWatch
        What is known of the map's symmetry.
    sought : SoughtSymmetry
        The symmetry that is looked for, if there is one.
    """

    step: int = 0
    epoch: int = 0
    begun_at: int = 0
    switched_at: int | None = None
    queue: list[tuple[int, Tensor]] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    resolution: float = float("nan")
    turn: float = float("nan")
    advice: SwitchAdvice = NO_EPOCH_YET
    symmetry: SymmetryWatch = field(default_factory=SymmetryWatch)
    sought: SoughtSymmetry = field(default_factory=SoughtSymmetry)

    def count(self, metrics: dict[str, float]) -> None:
        """Add the metrics of a step, or of the end of an epoch, to those of this epoch."""
        for name, value in metrics.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    @property
    def means(self) -> dict[str, float]:
        """Mean of each metric over the epoch."""
        return {name: value / self.counts[name] for name, value in self.sums.items()}
