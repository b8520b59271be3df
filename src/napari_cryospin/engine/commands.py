"""Commands on a reconstruction between two steps: another symmetry, a class less."""

from __future__ import annotations

from collections.abc import Sequence

from napari_cryospin.engine.auto_decoding import ClosedFormDecoding
from napari_cryospin.engine.reconstruction import Reconstruction
from napari_cryospin.engine.symmetry_change import SymmetryChange
from napari_cryospin.engine.symmetry_steps import change_symmetry
from napari_cryospin.runs.messages import RefusedError


class Commands:
    """Commands on a reconstruction. What is refused leaves it as it was.

    Parameters
    ----------
    run : Reconstruction
    """

    def __init__(self, run: Reconstruction) -> None:
        self.run = run

    def change_symmetry(self, name: str) -> SymmetryChange:
        """Impose a symmetry on the map as it stands, or relax the one that it has: C1.

        Map and poses are turned so that the group's axes lie where the convention wants them, and the map is made anew
        from all particles. A new epoch begins; in the second stage, the stage begins anew with it. With several classes
        all of their maps are turned, and have the symmetry or are relaxed together. A symmetry that was looked for is
        not looked for any more.

        Raises
        ------
        RefusedError
            The map has no such symmetry, not even nearly, or one of the classes has not; it has this one already; there
            is no such group; no epoch has ended yet; or the volume cannot take over a map that was turned.
        """
        return change_symmetry(self.run, name)

    def drop_class(self, number: int) -> str:
        """Take a class, from 1, out: its particles go to the most probable of the others. Return what was done.

        Raises
        ------
        RefusedError
            There is no such class, or not enough classes, or there are half sets.
        """
        stage = self._stage_with_classes([number])
        with self.run.new_epoch():
            count = stage.drop(number - 1)
        stage.restart_epoch()
        return f"class {number} was taken out; its {count:,} particles are in the other classes"

    def merge_classes(self, first: int, second: int) -> str:
        """Make one class of two, from 1, which gets the smaller number. Return what was done.

        Raises
        ------
        RefusedError
            As `drop_class`, or the two are the same.
        """
        stage = self._stage_with_classes([first, second])
        if first == second:
            raise RefusedError(f"class {first} twice; expected two different classes")
        with self.run.new_epoch():
            stage.merge(first - 1, second - 1)
        stage.restart_epoch()
        return f"classes {first} and {second} are one class now, number {min(first, second)}"

    def _stage_with_classes(self, numbers: Sequence[int]) -> ClosedFormDecoding:
        """Return the second stage if it has these classes, from 1; refuse otherwise."""
        run = self.run
        if len(run.fits) == 2:
            raise RefusedError("the two half sets number their classes independently; it can be done without half sets")
        stage, count = run.stages[0], len(run.fits[0].classes)
        if not isinstance(stage, ClosedFormDecoding) or count == 1:
            later = "; particles are sorted into classes from the switch on"
            raise RefusedError("there is only one class" + later * (run.settings.volume.classes > 1))
        for number in numbers:
            if not 1 <= number <= count:
                raise RefusedError(f"there is no class {number}; expected 1 to {count}")
        return stage
