"""The symmetry that a run without one is advised to have. A look for it costs as many steps, so that there are few.

Looking changes nothing of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.kept_state import KeptState
from napari_cryospin.engine.symmetry_change import gain_text, held_out_gain, symmetry_of_fit
from napari_cryospin.evaluation.found_symmetry import FoundSymmetry

FIRST_LOOK, NEXT_LOOK = 3, 9
"""Epochs at the largest band of the first stage before the first look, and the factor to each next one: after 3 and 27
epochs, so that a run of a minute makes one before its end; chosen by hand."""

THE_MAP = "the map "


@dataclass(eq=False)
class SymmetryWatch(KeptState):
    """What is known of the symmetry of a run's map.

    Attributes
    ----------
    epochs : int
        Epochs since the band was large enough.
    looks_like : str
        What the map looked like when it was last looked at: "looks like C3 (0.98)"; empty: like nothing, or not known.
    """

    epochs: int = 0
    looks_like: str = ""

    def end_epoch(self, fits: Sequence[Fit], *, switched: bool) -> None:
        """Look at the map, if it has no symmetry and a look is due."""
        if not all(fit.symmetry.trivial and (switched or fit.band.encoding_reached) for fit in fits):
            return
        self.epochs += 1
        if self.epochs in _looks(self.epochs):
            self.look(fits)

    def look(self, fits: Sequence[Fit]) -> None:
        """Look at the map of each fit; the group is told that all of them have."""
        found = _common_symmetry(fits)
        self.looks_like = _least_certain(found).text if found else ""

    def conclude(self, advice: str) -> None:
        """Take over what the results say of the map's symmetry, so that the last word is the same everywhere."""
        self.looks_like = advice.removeprefix(THE_MAP).partition(";")[0]

    def forget(self) -> None:
        """Forget what was found, since the map is another now."""
        self.epochs, self.looks_like = 0, ""


def advised_symmetry(fits: Sequence[Fit]) -> str:
    """Return advice on the symmetry of a run that is over, with what held-out images say; empty: there is none."""
    found = _common_symmetry(fits) if all(fit.symmetry.trivial for fit in fits) else []
    if not found:
        return ""
    gain = min(held_out_gain(fit, each) for fit, each in zip(fits, found, strict=True))
    return f"{THE_MAP}{_least_certain(found).text}; {gain_text(gain)}"


def _common_symmetry(fits: Sequence[Fit]) -> list[FoundSymmetry]:
    """Find the symmetry of each fit's map; empty unless all look like the same group."""
    found = [symmetry_of_fit(fit, volume=fit.volume).best for fit in fits]
    told = [one for one in found if one is not None]
    return told if len(told) == len(fits) and len({one.name for one in told}) == 1 else []


def _least_certain(found: Sequence[FoundSymmetry]) -> FoundSymmetry:
    return min(found, key=lambda one: one.score)


def _looks(until: int) -> list[int]:
    looks, due = [], FIRST_LOOK
    while due <= until:
        looks.append(due)
        due *= NEXT_LOOK
    return looks
