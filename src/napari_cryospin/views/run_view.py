"""Access to all that is known of a run, whether it is over, goes on here or elsewhere, or stopped half-way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_cryospin.views.run_questions.compared import ComparedRun
from napari_cryospin.views.run_questions.directions import DirectionQuestions
from napari_cryospin.views.run_questions.particles import ParticleQuestions

if TYPE_CHECKING:
    from napari_cryospin.views.two_runs import TwoRuns


class RunView(ParticleQuestions, DirectionQuestions, ComparedRun):
    """Access to all that is known of a run. It reads the run's folder, and writes to it only when asked to.

    Parameters
    ----------
    run
        Folder of the run.
    truth
        File with true poses of its particles (.star), if there is one.

    Raises
    ------
    FileNotFoundError
        There is no run in the folder.

    Notes
    -----
    `epoch` is the number of epochs that were finished. Its default is the newest state of the run: the newest
    snapshot, or the newest epoch of the history if there is no snapshot. Not all epochs are kept; see `epochs`.
    """

    def compare(self, other: RunView, epoch: int | None = None) -> TwoRuns:
        """Compare with another run, of another method or seed, whose map is laid upon the one of this run.

        Parameters
        ----------
        other
            The other run, whose newest state is compared.
        epoch
            As in the other methods.

        Raises
        ------
        FileNotFoundError, ValueError
            One of the runs has no map yet, or cannot be read.
        """
        from napari_cryospin.views.two_runs import compare_runs  # It loads torch.

        return compare_runs(self, other, epoch)
