"""The posterior of one particle's pose, with what the run and the truth say about that pose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.geometry.sphere_cells import healpix_cells
from napari_cryospin.io.files import atomic_write
from napari_cryospin.runs.epoch_record import EpochRecord
from napari_cryospin.runs.messages import Stage
from napari_cryospin.runs.snapshot import Snapshot
from napari_cryospin.views.pose_path import PosePath
from napari_cryospin.views.posterior.answers import DirectionPosterior, ProjectionComparison, Zoom
from napari_cryospin.views.posterior.shown_pose import ShownPose

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODE_RADIUS = 6.0
"""Largest distance of a direction in the mode from the centre of the most probable cell, degrees; chosen by hand. A
cell is 7.3 degrees wide."""
POSTERIOR_FILE_VERSION = 1
"""Version that is written into the files of posteriors."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PosteriorDetail:
    """The part of a particle's posterior that takes longer to compute than the posterior over the sphere.

    Attributes
    ----------
    zoom : Zoom
        The posterior about its mode, on a finer grid.
    shown : tuple of ShownPose
        Poses whose projections are compared: of the heads, the posterior's best, the run's, the true one.
    comparison : ProjectionComparison
        The particle beside the map's projections at these poses, in the same order.
    truth : ndarray, optional
        `(3, 3)` true rotation, in the frame of the run's map; None: not known.
    truth_note : str
        Why the truth is not known, where one was given.
    seconds : float
        Computing time.
    """

    zoom: Zoom
    shown: tuple[ShownPose, ...]
    comparison: ProjectionComparison
    truth: NDArray[np.float64] | None = None
    truth_note: str = ""
    seconds: float = 0.0

    @property
    def best(self) -> NDArray[np.floating]:
        """Best rotation of the posterior, `(3, 3)`."""
        return next(one.rotation for one in self.shown if one.kind == "best")


@dataclass(frozen=True, eq=False, kw_only=True)
class ParticlePosterior:
    """The posterior of a particle's pose under the map of a run at one moment.

    Attributes
    ----------
    particle : int
        Row of the input, from 0.
    record : EpochRecord
        The run at that moment: a snapshot, or the end of an epoch.
    directions : DirectionPosterior
        The posterior of the view direction over the whole sphere.
    rotation, shift : ndarray
        `(3, 3)`, and `(2,)` Angstrom: the run's pose.
    winner : int
        Number of the candidate that won: a head, from 0, or M for the posterior sample; -1: none yet.
    sampled : bool
        Whether the posterior sample won.
    candidates, candidate_shifts : ndarray
        `(m, 3, 3)`, and `(m, 2)` Angstrom: candidates of the heads; m = 0: not known.
    candidate_epoch : int
        Epoch in which the encoder proposed them; -1: they are not known.
    path : PosePath
        View direction of the particle at the end of each epoch.
    rows : ndarray
        `(n,)` rows of the input that the run uses.
    entropies : ndarray, optional
        `(n,)` nats, entropies of all particles at the end of the last epoch; None: not known.
    seconds : float
        Computing time.
    detail : PosteriorDetail, optional
        Zoom, projections at the candidates, and the truth; None: not computed yet.
    """

    particle: int
    record: EpochRecord
    directions: DirectionPosterior
    rotation: NDArray[np.floating]
    shift: NDArray[np.floating]
    winner: int
    sampled: bool
    candidates: NDArray[np.floating]
    candidate_shifts: NDArray[np.floating]
    candidate_epoch: int
    path: PosePath
    rows: NDArray[np.int64]
    entropies: NDArray[np.float32] | None
    seconds: float
    detail: PosteriorDetail | None = None

    @property
    def epoch(self) -> int:
        """Number of epochs that were finished."""
        return self.record.epoch

    @property
    def stage(self) -> Stage:
        """Stage of the run, auto-encoding or auto-decoding."""
        return self.record.stage

    @property
    def step(self) -> int | None:
        """Step of the snapshot; None: the end of an epoch."""
        return self.record.step if isinstance(self.record, Snapshot) else None

    @property
    def entropy(self) -> float:
        """Entropy of the posterior over view directions, nats."""
        return self.directions.entropy

    @property
    def mode(self) -> NDArray[np.float64]:
        """Centre of the most probable cell, `(3,)`."""
        return np.asarray(healpix_cells(self.directions.nside).centres[self.directions.pixel])

    @property
    def mode_elsewhere(self) -> NDArray[np.float64] | None:
        """The mode, `(3,)`, if the best single pose lies outside of it; else None.

        The two can differ because many poses in one cell can outweigh a better pose in another.
        """
        outside = self.mode @ self.directions.rotation[2] < np.cos(np.radians(MODE_RADIUS))
        return self.mode if outside else None

    @property
    def frozen(self) -> bool:
        """Whether the candidates are the last ones of the encoder, which does not change after the switch."""
        return self.stage == "auto-decoding" and len(self.candidates) > 0

    def shown_poses(self, zoom: Zoom, truth: NDArray[np.float64] | None) -> tuple[ShownPose, ...]:
        """Return the poses whose projections are shown: of the heads, the posterior's best, the run's, the true one."""
        heads = [
            ShownPose("head", rotation, shift, head, head == self.winner)
            for head, (rotation, shift) in enumerate(zip(self.candidates, self.candidate_shifts, strict=True))
        ]
        best = (zoom.rotation, zoom.shift)
        if self.mode_elsewhere is not None:
            best = (self.directions.rotation, self.directions.shift)
        others = [ShownPose("best", *best), ShownPose("pose", self.rotation, self.shift)]
        if truth is not None:
            # Only the rotation comes from the truth, so that the projection is shown at the run's shift.
            others.append(ShownPose("truth", truth, self.shift))
        return (*heads, *others)

    def save(self, path: Path | str) -> Path:
        """Write the posterior to an .npz file.

        Parameters
        ----------
        path
            File to write; an existing file is replaced.

        Returns
        -------
        Path
            The file that was written.

        Notes
        -----
        The command line and the window write the same arrays: `particle`, `epoch`, `stage`; `log_posterior` (768,) of
        the cells of view directions, in HEALPix ring order, whose exponentials sum to 1, and its `entropy`; `rotation`,
        `shift`, `winner` of the run; `candidates`, `candidate_shifts` of the heads; `path_epochs`, `path_directions`,
        `path_after_switch`.

        If the detail is known, also `zoom_log_posterior` (v, u), `zoom_degrees` of its columns and rows, `zoom_centre`,
        `zoom_axes`; `best_rotation`; `true_rotation` if it is known; `particle_image`; and of the poses whose
        projections are shown, their titles `shown`, and `shown_rotations`, `shown_shifts`, `angles` (rot, tilt, psi),
        `error`, `log_likelihood`, `probability`, `projections`.
        """
        path = Path(path)
        with atomic_write(path) as part, part.open("wb") as file:
            np.savez(file, allow_pickle=False, **self._numbers())
        return path

    def _numbers(self) -> dict[str, Any]:
        numbers: dict[str, Any] = {
            "version": POSTERIOR_FILE_VERSION,
            "particle": self.particle,
            "epoch": self.epoch,
            "stage": self.stage,
            "log_posterior": self.directions.log_posterior,
            "entropy": self.entropy,
            "rotation": self.rotation,
            "shift": self.shift,
            "winner": self.winner,
            "candidates": self.candidates,
            "candidate_shifts": self.candidate_shifts,
            "path_epochs": self.path.epochs,
            "path_directions": self.path.directions,
            "path_after_switch": self.path.decoding,
        }
        return numbers if self.detail is None else numbers | detail_numbers(self.detail)

    def plot(self) -> Figure:
        """Draw the posterior over the sphere, with the candidates, the run's pose and the truth where it is known.

        Returns
        -------
        matplotlib.figure.Figure
            A notebook displays it; `savefig` writes it to a file.
        """
        from napari_cryospin.views.figures import posterior_figure

        truth = None if self.detail is None else self.detail.truth
        title = f"particle {self.particle + 1}: view direction, entropy {self.entropy:.2f} nats"
        title += "; candidates of the last encoder" if self.frozen else ""
        log_posterior = self.directions.log_posterior
        return posterior_figure(log_posterior, self.candidates, self.winner, self.rotation, truth, title)


def detail_numbers(detail: PosteriorDetail) -> dict[str, Any]:
    """Collect the arrays that a posterior's file holds about the detail."""
    zoom, comparison = detail.zoom, detail.comparison
    numbers: dict[str, Any] = {
        "zoom_log_posterior": zoom.log_posterior,
        "zoom_degrees": zoom.u,
        "zoom_centre": zoom.centre,
        "zoom_axes": zoom.axes,
        "best_rotation": detail.best,
        "shown": [one.title for one in detail.shown],
        "shown_rotations": np.stack([one.rotation for one in detail.shown]),
        "shown_shifts": comparison.shifts,
        "angles": comparison.angles,
        "error": comparison.error,
        "log_likelihood": comparison.log_likelihood,
        "probability": comparison.probability,
        "projections": comparison.projections,
        "particle_image": comparison.particle,
    }
    return numbers if detail.truth is None else numbers | {"true_rotation": detail.truth}
