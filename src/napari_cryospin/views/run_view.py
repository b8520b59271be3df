"""Access to all that is known of a run, whether it is over, goes on here or elsewhere, or stopped half-way."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_cryospin.runs.epoch_record import EpochRecord
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import Status
from napari_cryospin.runs.particle_record import ParticleRecord
from napari_cryospin.runs.snapshot import Snapshot
from napari_cryospin.views.classes import Classes, class_probabilities, classes_of
from napari_cryospin.views.curves import Along, MetricCurve, metric_curves, newest, told_metrics
from napari_cryospin.views.fsc import HalfMapFsc, epoch_fsc, results_fsc
from napari_cryospin.views.heads import HeadMaps, head_maps
from napari_cryospin.views.junk_and_scales import Belonging, SignalScales, belonging_of, scales_of
from napari_cryospin.views.map_pictures import MapDisplay, MapReader, MapSource
from napari_cryospin.views.moment import Moment
from napari_cryospin.views.orientations import Orientations, orientations_at
from napari_cryospin.views.pose_path import PosePath
from napari_cryospin.views.posterior.particle_posterior import ParticlePosterior
from napari_cryospin.views.posterior.run_posteriors import RunPosteriors
from napari_cryospin.views.run_map import RunMap

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from napari_cryospin.evaluation.against_truth import TruthReport
    from napari_cryospin.particles import Particles
    from napari_cryospin.runs.results import Results
    from napari_cryospin.views.gallery import Gallery


class RunView:
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

    def __init__(self, run: RunFolder | Path | str, truth: Path | str | None = None) -> None:
        self.folder = run if isinstance(run, RunFolder) else RunFolder(Path(run))
        self.truth = None if truth is None else Path(truth)

    def __repr__(self) -> str:
        return f"RunView({str(self.folder.path)!r})"

    # Where the run stands

    @property
    def status(self) -> Status:
        """Present status of the run: state, stage, step, epoch, time."""
        return self.folder.read_status()

    @property
    def symmetry(self) -> str:
        """Point group that the run's map has now; the settings have the one that it began with."""
        return self.status.symmetry or self.folder.settings.volume.symmetry

    @property
    def epochs(self) -> tuple[int, ...]:
        """Numbers of the epochs that have a history, ascending."""
        return tuple(sorted(self.folder.history_paths()))

    @property
    def snapshot(self) -> Snapshot | None:
        """The newest snapshot; None: there is none."""
        return self.folder.newest_snapshot()

    @cached_property
    def input(self) -> Particles:
        """All particles of the run's input.

        Raises
        ------
        FileNotFoundError, ValueError
            The input cannot be read, or is no longer what the run began with.
        """
        from napari_cryospin.runs.run_particles import open_run_particles

        return open_run_particles(self.folder)

    def record(self, epoch: int | None = None) -> EpochRecord:
        """Return the run's record at one moment: maps, noise and particles.

        Parameters
        ----------
        epoch
            One of `epochs`. Default: the newest state.

        Raises
        ------
        FileNotFoundError, ValueError
            The run has no history of this epoch, or no map yet.
        """
        moment = self._moment(epoch)
        return moment.snapshot or self.folder.history(moment.epoch).record()

    def particles(self, epoch: int | None = None) -> ParticleRecord:
        """Return the record of the run's particles at one moment; parameters and errors as in `record`.

        Returns
        -------
        ParticleRecord
            Poses, winners and, for an epoch of the history, candidates, entropy and error. Two half sets have a frame
            each; `results.particles` has them all in one.
        """
        return self.record(epoch).particles

    def _moment(self, epoch: int | None) -> Moment:
        if epoch is not None:
            return Moment(epoch)
        snapshot = self.folder.newest_snapshot()
        if snapshot is not None:
            return Moment(snapshot.epoch, snapshot)
        if not self.epochs:
            raise ValueError(f"{self.folder.path}: no map in this run yet; the first comes after its first steps")
        return Moment(self.epochs[-1])

    # Particles

    @cached_property
    def posteriors(self) -> RunPosteriors:
        """Posteriors in two steps that can be cancelled, as a window needs them; `posterior` does both steps."""
        return RunPosteriors(self.folder, self.truth)

    def posterior(self, particle: int, epoch: int | None = None, *, detail: bool = True) -> ParticlePosterior:
        """Compute the posterior of a particle's pose under the run's map.

        Parameters
        ----------
        particle
            Row of the input, from 0.
        epoch
            One of `epochs`. Default: the newest state.
        detail
            Also compute the zoom on the mode and the projections at all candidates, and find the truth.

        Returns
        -------
        ParticlePosterior
            The posterior, with methods `save` and `plot`.

        Raises
        ------
        FileNotFoundError, ValueError
            There is no map yet, the run does not use this row, or its images or the truth cannot be read.
        """
        found = self.posteriors.of(particle, self._moment(epoch))
        if not detail:
            return found
        # Unlike `with_detail`, this call raises an error if the truth cannot be read.
        self.posteriors.true_rotations(found.record)
        return self.posteriors.with_detail(found)

    def pose_path(self, particle: int) -> PosePath:
        """Return the view direction of a particle at the end of each epoch that has a history.

        Parameters
        ----------
        particle
            Row of the input, from 0.

        Raises
        ------
        ValueError
            The run does not use this row.
        """
        return self.posteriors.path(particle)

    def gallery(self, rows: ArrayLike, resolution: float = 20.0) -> Gallery:
        """Return the images of some particles: raw, low-passed, and with their phases flipped.

        Parameters
        ----------
        rows
            `(k,)` rows of the input, from 0.
        resolution
            Resolution of the low-pass filter, Angstrom.

        Raises
        ------
        FileNotFoundError, ValueError
            An image cannot be read.
        """
        from napari_cryospin.views.gallery import gallery_images

        return gallery_images(self.input, rows, resolution)

    def belonging(self, epoch: int | None = None) -> Belonging:
        """Return the probability of each image that it shows the particle, with the worst images and a histogram.

        Parameters
        ----------
        epoch
            One of `epochs`. Default: the newest state.

        Raises
        ------
        FileNotFoundError, ValueError
            There is no such epoch, or the run did not estimate this.
        """
        return belonging_of(self.particles(epoch))

    def scales(self, epoch: int | None = None) -> SignalScales:
        """Return the scale of the signal in each image, with a histogram and means by micrograph or optics group.

        Parameters
        ----------
        epoch
            One of `epochs`. Default: the newest state.

        Raises
        ------
        FileNotFoundError, ValueError
            There is no such epoch, the run did not estimate scales, or the input cannot be read.
        """
        return scales_of(self.particles(epoch), lambda: self.input)

    # Maps

    def map(
        self, epoch: int | None = None, half: int | None = None, *, flipped: bool = False, class_number: int = 1
    ) -> RunMap:
        """Return the run's map.

        Parameters
        ----------
        epoch
            One of `epochs`. Default: the newest state.
        half
            With half sets, 1 or 2: the half whose map is returned, in its own frame. Default: the mean of both, in the
            frame of the first.
        flipped
            Whether to return the map of the other hand.
        class_number
            Class whose map is returned, from 1.

        Raises
        ------
        FileNotFoundError, ValueError
            There is no such map.
        """
        moment = self._moment(epoch)
        if class_number != 1:  # The first class is always there, and reading the record takes a while.
            self.record(epoch).maps_of_class(class_number)
        source = MapSource(moment.snapshot, self.folder, None if moment.snapshot else moment.epoch)
        picture = self._reader.picture(
            source, MapDisplay(half=half or 0, flipped=flipped, class_number=class_number), surface=False
        )
        if half is not None and half not in (1, 2)[: picture.halves]:
            raise ValueError(f"{self.folder.path}: half {half} of {picture.halves} half maps; expected 1 or 2 of two")
        return RunMap(picture.density, picture.pixel_size, moment.epoch, picture.note)

    @cached_property
    def _reader(self) -> MapReader:
        return MapReader()

    def maps(self, epoch: int | None = None) -> tuple[RunMap, ...]:
        """Return the run's map, or those of its two half sets, each in its own frame; parameters as in `map`."""
        record = self.record(epoch)
        return tuple(RunMap(density, record.pixel_size, record.epoch) for density in record.maps)

    def classes(self, epoch: int | None = None) -> Classes:
        """Return the run's classes, with their shares and maps; parameters and errors as in `record`."""
        return classes_of(self.record(epoch))

    def class_probabilities(self, particle: int, epoch: int | None = None) -> NDArray[np.float64]:
        """Return the probability of each class of a particle, `(K,)`.

        Parameters
        ----------
        particle
            Row of the input, from 0.
        epoch
            One of `epochs`. Default: the newest state.

        Raises
        ------
        FileNotFoundError, ValueError
            There is no such epoch, or the run does not use this row.
        """
        return class_probabilities(self.record(epoch), particle)

    def results_of_class(self, number: int) -> Results:
        """Return the results of one class, from 1, as `results` are those of the run.

        Raises
        ------
        FileNotFoundError, ValueError
            There are no results yet, or there is no such class.
        """
        from napari_cryospin.views.results import read_results

        return read_results(self.folder.of_class(number).results_path)

    def fsc(self, epoch: int | None = None) -> HalfMapFsc:
        """Return the Fourier shell correlation of the half maps.

        Parameters
        ----------
        epoch
            The newest curves up to the end of this epoch. Default: those of the results, or the newest ones if there
            are no results.

        Returns
        -------
        HalfMapFsc
            It has no curves if there are no half sets, or if they were not compared yet.
        """
        found = results_fsc(self.folder.results_path) if epoch is None else HalfMapFsc()
        return found if found.curves else epoch_fsc(self.folder.read_metrics(), epoch)

    # Heads and view directions

    def heads(self, epoch: int | None = None, *, errors: bool = False, half: int | None = None) -> HeadMaps:
        """Return the shares that each head wins, or its errors, over the sphere of view directions.

        Parameters
        ----------
        epoch
            One of `epochs`. Default: the newest of them.
        errors
            Whether to return mean rotation errors in degrees, for which the truth must be known, instead of the per
            cent of a cell's particles that each head won.
        half
            Half set, 1 or 2; each has an encoder of its own. Default: the first, if there are half sets.

        Raises
        ------
        FileNotFoundError, ValueError
            There is no history of this epoch.
        """
        if epoch is None and not self.epochs:
            raise ValueError(f"{self.folder.path}: no epoch of this run has ended yet; nothing is known of its heads")
        epoch = self.epochs[-1] if epoch is None else epoch
        if half is None:
            half = int(self.folder.history(epoch).particles().has_halves)
        return head_maps(self.folder, epoch, errors, half, self.truth)

    def head_shares(self, epoch: int | None = None) -> NDArray[np.float32]:
        """Return the share of the particles that each head won.

        Parameters
        ----------
        epoch
            One of `epochs`. Default: the newest state.

        Returns
        -------
        ndarray
            `(M + 1,)` from 0 to 1; the last one is that of the posterior sample.
        """
        moment = self._moment(epoch)
        if moment.snapshot is not None:
            return moment.snapshot.head_share
        record = self.folder.history(moment.epoch).particles("best_head", "candidates")
        heads = 0 if record.candidates is None else record.candidates.shape[1]
        return record.head_share(heads)

    def orientations(self, epoch: int | None = None, *, half: int | None = None) -> Orientations:
        """Count the particles' view directions, and compute how well they sample Fourier space.

        Parameters
        ----------
        epoch
            One of `epochs`. Default: the newest state.
        half
            Half set, 1 or 2; each has a frame of its own. Default: the first, if there are half sets.

        Raises
        ------
        FileNotFoundError, ValueError
            There is no such epoch, or no pose yet.
        """
        resolution = newest(self.folder.read_metrics(), "resolution", epoch)
        return orientations_at(self.folder, self._moment(epoch), half, resolution)

    # The run as a whole

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
