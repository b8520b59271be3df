"""What a comparison of two runs asks of each of them."""

from __future__ import annotations

from napari_cryospin.views.run_questions.maps import MapQuestions
from napari_cryospin.views.run_questions.outcome import OutcomeQuestions


class ComparedRun(MapQuestions, OutcomeQuestions):
    """Access to a run's maps, curves and results, which can be compared with those of another run."""
