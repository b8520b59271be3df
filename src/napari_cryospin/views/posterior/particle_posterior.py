"""The pose posterior of one particle, with all that the run and the truth say of its pose."""

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
"""Degrees from the centre of the most probable cell within which a pose belongs to it: a cell is 7.3 degrees wide."""
POSTERIOR_FILE_VERSION = 1
"""Version that is written into the files of posteriors."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PosteriorDetail:
    """What takes longer to compute than the posterior itself.

    Attributes
    ----------
    zoom : Zoom
        The posterior about its mode, on a finer grid.
    shown : tuple of ShownPose
        The poses that are compared: heads, the posterior's best, the run's, the truth.
    comparison : ProjectionComparison
        The particle beside the map's projections at these poses, in the same order.
    truth : ndarray, optional
        `(3, 3)` true rotation in the frame of the run's map; None: not known.
    truth_note : str
        Why the truth is not known, where one was given.
    seconds : float
        Time that it took.
    """

    zoom: Zoom
    shown: tuple[ShownPose, ...]
    comparison: ProjectionComparison
    truth: NDArray[np.float64] | None = None
    truth_note: str = ""
    seconds: float = 0.0

    @property
    def best(self) -> NDArray[np.floating]:
        """`(3, 3)` the posterior's best rotation."""
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
        The candidate that won: a head, from 0, or M, the posterior sample; -1: none yet.
    sampled : bool
        Whether the posterior sample won.
    candidates, candidate_shifts : ndarray
        `(m, 3, 3)`, and `(m, 2)` Angstrom: what the heads proposed; m = 0: not known.
    candidate_epoch : int
        Epoch in which the encoder proposed them; -1: they are not known.
    path : PosePath
        Where the pose has been, epoch by epoch.
    rows : ndarray
        `(n,)` rows of the input that the run uses.
    entropies : ndarray, optional
        `(n,)` nats, of all particles at the end of the last epoch; None: not known.
    seconds : float
        Time that it took.
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
        """Epochs that were finished."""
        return self.record.epoch

    @property
    def stage(self) -> Stage:
        """auto-encoding or auto-decoding."""
        return self.record.stage

    @property
    def step(self) -> int | None:
        """Step of the snapshot; None: the end of an epoch."""
        return self.record.step if isinstance(self.record, Snapshot) else None

    @property
    def entropy(self) -> float:
        """Nats, of the view direction."""
        return self.directions.entropy

    @property
    def mode(self) -> NDArray[np.float64]:
        """`(3,)` centre of the most probable cell."""
        return np.asarray(healpix_cells(self.directions.nside).centres[self.directions.pixel])

    @property
    def mode_elsewhere(self) -> NDArray[np.float64] | None:
        """The mode, where the best single pose lies outside of it: many poses can outweigh one. Else None."""
        outside = self.mode @ self.directions.rotation[2] < np.cos(np.radians(MODE_RADIUS))
        return self.mode if outside else None

    @property
    def frozen(self) -> bool:
        """Whether the candidates are the encoder's last ones: after the switch heads no longer move."""
        return self.stage == "auto-decoding" and len(self.candidates) > 0

    def shown_poses(self, zoom: Zoom, truth: NDArray[np.float64] | None) -> tuple[ShownPose, ...]:
        """Choose the poses whose projections are shown: heads, the posterior's best, the run's, the truth."""
        heads = [
            ShownPose("head", rotation, shift, head, head == self.winner)
            for head, (rotation, shift) in enumerate(zip(self.candidates, self.candidate_shifts, strict=True))
        ]
        best = (zoom.rotation, zoom.shift)
        if self.mode_elsewhere is not None:
            best = (self.directions.rotation, self.directions.shift)
        others = [ShownPose("best", *best), ShownPose("pose", self.rotation, self.shift)]
        if truth is not None:
            # Only the directions are compared with the truth: the shift is the run's.
            others.append(ShownPose("truth", truth, self.shift))
        return (*heads, *others)

    def save(self, path: Path | str) -> Path:
        """Write the numbers to an .npz file: the same ones from the command line and the window.

        Parameters
        ----------
        path
            File to write; one of that name is replaced.

        Returns
        -------
        Path
            The file.

        Notes
        -----
        Arrays: `particle`, `epoch`, `stage`; `log_posterior` (768,) of the cells of view directions, in HEALPix ring
        order, whose exponentials sum to 1, and its `entropy`; `rotation`, `shift`, `winner` of the run; `candidates`,
        `candidate_shifts` of the heads; `path_epochs`, `path_directions`, `path_after_switch`. Where the detail is
        known also `zoom_log_posterior` (v, u), `zoom_degrees` of its columns and rows, `zoom_centre`, `zoom_axes`;
        `best_rotation`; of the poses whose projections are shown, titles `shown`, `shown_rotations`, `shown_shifts`,
        `angles` (rot, tilt, psi), `error`, `log_likelihood`, `probability`, `projections`; `particle_image`; and
        `true_rotation` where it is known.
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
            In a notebook it shows itself; `savefig` writes it.
        """
        from napari_cryospin.views.figures import posterior_figure

        truth = None if self.detail is None else self.detail.truth
        title = f"particle {self.particle}: view direction, entropy {self.entropy:.2f} nats"
        title += "; candidates of the last encoder" if self.frozen else ""
        log_posterior = self.directions.log_posterior
        return posterior_figure(log_posterior, self.candidates, self.winner, self.rotation, truth, title)


def detail_numbers(detail: PosteriorDetail) -> dict[str, Any]:
    """Collect what a posterior's file holds of the detail."""
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
