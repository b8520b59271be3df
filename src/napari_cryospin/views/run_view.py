"""Access to all that is known of a run, whether it is over, goes on here or elsewhere, or stopped half-way."""

from __future__ import annotations

from napari_cryospin.views.run_questions.directions import DirectionQuestions
from napari_cryospin.views.run_questions.maps import MapQuestions
from napari_cryospin.views.run_questions.outcome import OutcomeQuestions
from napari_cryospin.views.run_questions.particles import ParticleQuestions


class RunView(ParticleQuestions, MapQuestions, DirectionQuestions, OutcomeQuestions):
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
