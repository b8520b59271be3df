"""What can be asked about a run as a whole: curves, results, truth, figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_cryospin.views.curves import Along, MetricCurve, metric_curves, told_metrics
from napari_cryospin.views.readiness import Readiness, readiness_of
from napari_cryospin.views.run_questions.moments import RunMoments

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from napari_cryospin.evaluation.against_truth import TruthReport
    from napari_cryospin.runs.results import Results
    from napari_cryospin.views.summary import RunSummary


class OutcomeQuestions(RunMoments):
    """Access to a run's curves and results, their comparison with a truth, and their figures."""

    def curves(self, along: Along = "epoch") -> dict[str, MetricCurve]:
        """Return the run's metrics as curves.

        Parameters
        ----------
        along
            Axis of the curves: `epoch` (parts of epochs too), `step` or `time` (minutes).

        Returns
        -------
        dict
            Name -> curve: `loss` (1 for noise alone), `resolution` (A), `band` (shells), `pose_change` (degrees),
            `entropy` (nats), `head_share_0`, ..., `sample_share`, `class_share_1`, ... and others, as far as the run
            measures them.
        """
        return metric_curves(self.folder.read_metrics(), self.folder.read_status(), along)

    @property
    def results(self) -> Results:
        """Results of the run, with maps, resolution and poses; they are written when it ends or is stopped.

        Raises
        ------
        FileNotFoundError, ValueError
            There are no results yet, or they cannot be read.
        """
        from napari_cryospin.views.results import read_results

        return read_results(self.folder.results_path)

    def summary(self, *, flipped: bool = False) -> RunSummary:
        """Summarise the results in a page: verdict, resolution, view directions, particles, what to do next.

        Parameters
        ----------
        flipped
            Whether to draw the map in the other hand.

        Raises
        ------
        FileNotFoundError, ValueError
            There are no results yet, or they cannot be read.
        """
        from napari_cryospin.views.summary import run_summary

        return run_summary(self.folder, self.results, flipped=flipped)

    def readiness(self) -> Readiness:
        """Return how ready the run is, or was, for the switch to auto-decoding: each condition, epoch by epoch."""
        return readiness_of(self.folder.read_metrics())

    def results_of_class(self, number: int) -> Results:
        """Return the results of one class, from 1, as `results` are those of the run.

        Raises
        ------
        FileNotFoundError, ValueError
            There are no results yet, or there is no such class.
        """
        from napari_cryospin.views.results import read_results

        return read_results(self.folder.of_class(number).results_path)

    def evaluate(
        self, truth: Path | None = None, reference: Path | None = None, symmetry: str | None = None
    ) -> TruthReport:
        """Compare the results with a known truth.

        Parameters
        ----------
        truth
            File of particles with true poses (.star). Default: the one that the view was given.
        reference
            True map (.mrc).
        symmetry
            Point group of the true map, modulo which poses are compared. Default: that of the results.

        Raises
        ------
        FileNotFoundError, ValueError
            There are no results, or the truth is not of these particles.
        """
        from napari_cryospin.evaluation.against_truth import evaluate_results
        from napari_cryospin.views.results import symmetry_of_results

        truth = self.truth if truth is None else truth
        symmetry = symmetry or symmetry_of_results(self.folder.results_path) or self.symmetry
        return evaluate_results(self.folder.results_path, truth, reference, symmetry, self.folder.source.data_dir)

    def figures(self, report: TruthReport | None = None) -> dict[str, Figure]:
        """Draw the run: convergence and, once it has results, FSC, Guinier plot and view directions.

        Parameters
        ----------
        report
            Comparison with the truth, as returned by `evaluate`, whose FSC and slices are drawn too.

        Returns
        -------
        dict
            Name -> matplotlib figure.
        """
        from napari_cryospin.views import figures

        metrics = told_metrics(self.folder.read_metrics(), self.status)
        drawn = {"convergence": figures.convergence_figure(metrics, self.folder.read_events())}
        if report is not None and report.map is not None:
            drawn |= figures.truth_figures(report.map)
        if (self.folder.results_path / "postprocess.json").is_file():
            drawn |= figures.results_figures(self.folder.results_path)
        return drawn

    def save_figures(self, out: Path | str | None = None, report: TruthReport | None = None) -> Sequence[Path]:
        """Write the figures as PNG files.

        Parameters
        ----------
        out
            Folder to write to. Default: the run's results.
        report
            As in `figures`.
        """
        from napari_cryospin.views.figures import save_figure

        out = self.folder.results_path if out is None else Path(out)
        out.mkdir(parents=True, exist_ok=True)
        return [save_figure(figure, out / f"{name}.png") for name, figure in self.figures(report).items()]
