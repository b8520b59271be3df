"""One particle under a run's map, to be shown: posterior of its view direction, zoom on a mode, candidates.

This needs nothing but a map, its noise and the particle's own image. It works for every particle of a run, whether the
run goes on here or elsewhere, or has ended.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.geometry.angles import euler_from_rotation
from napari_cryospin.geometry.so3_grid import direction_pixel, rotation_from_angles
from napari_cryospin.particles import Particles
from napari_cryospin.physics import fourier
from napari_cryospin.physics.slicing import central_slices, shift_phases
from napari_cryospin.runs.epoch_record import EpochRecord
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.run_particles import open_run_particles
from napari_cryospin.settings import Settings
from napari_cryospin.views.posterior.answers import (
    ZOOM_POINTS,
    DirectionPosterior,
    ProjectionComparison,
    Zoom,
    patch_axes,
    patch_directions,
    shortest_turns,
)
from napari_cryospin.views.posterior.cancelling import raise_if_cancelled
from napari_cryospin.views.posterior.map_model import DETAIL_BAND, SPHERE_BAND, ZOOM_BAND, MapModel, make_model
from napari_cryospin.views.posterior.particle_image import ParticleImage
from napari_cryospin.views.posterior.sphere import best_pose, in_plane_angles, sphere_posterior
from napari_cryospin.views.posterior.turned_image import soft_edge
from napari_cryospin.views.sphere_pictures import CELLS_NSIDE

ZOOM_IN_PLANE, ZOOM_STEP = 31, 0.75
"""Number of in-plane angles of the zoom, centred on the mode's, and their spacing in degrees; chosen by hand."""


@dataclass(frozen=True, eq=False)
class _Against:
    """A particle against the map's projections at `k` poses."""

    pictures: NDArray[np.float32]  # (1 + k, n, n) the image, then the projections
    squares: Tensor  # (k,) weighted squared differences
    noise: float  # what noise alone leaves of them


class ParticleView:
    """View of single particles of a run. It is thread-safe, and keeps the slices of the newest record only.

    Parameters
    ----------
    particles : Particles
        The run's input, all of it.
    settings : Settings
        Settings of the run.
    device : str
        Device to compute on. The default leaves the GPU to the run.
    """

    def __init__(self, particles: Particles, settings: Settings, *, device: str = "cpu") -> None:
        rows = torch.arange(len(particles))
        self.images = PreparedImages(particles, settings.preparation, rows, device, measure=False)
        self.padding = settings.volume.padding
        self._lock = threading.Lock()
        self._record: EpochRecord | None = None
        self._models: dict[int, MapModel] = {}  # by half
        self._newest: DirectionPosterior | None = None

    @classmethod
    def of_run(cls, folder: RunFolder, *, device: str = "cpu") -> ParticleView:
        """Make the view of the run in a folder, and open its input."""
        return cls(open_run_particles(folder), folder.settings, device=device)

    @torch.no_grad()
    def prepare(self, record: EpochRecord, half: int = 0, cancelled: threading.Event | None = None) -> MapModel:
        """Make the slices of one map of a record. The other methods call this one where they need it.

        Raises
        ------
        ValueError
            The map's box is not that of these particles.
        CancelledError
            `cancelled` was set; nothing is kept.
        """
        with self._lock:
            if self._record is not record:
                self._record, self._models = record, {}
            if half not in self._models:
                points, box = self.images.points.to(self.images.device), self.images.box_size
                self._models[half] = make_model(record, half, points, box, self.padding, cancelled)
            return self._models[half]

    @torch.no_grad()
    def posterior(
        self, particle: int, record: EpochRecord, cancelled: threading.Event | None = None
    ) -> DirectionPosterior:
        """Compute the posterior of the view direction, summed over in-plane angles and shifts about the run's.

        Parameters
        ----------
        particle : int
            Row of the input, from 0.
        record : EpochRecord
            Record with the maps and poses to use; of two half sets, the map of the particle's own half is used.
        cancelled : threading.Event, optional
            Setting it makes the call raise `CancelledError` soon.

        Raises
        ------
        ValueError
            The run does not use this row, or the image cannot be read.
        """
        newest = self._newest
        if newest is not None and newest.record is record and newest.particle == particle:
            return newest
        model, image = self._model_and_image(particle, record, cancelled)
        found, rotation, shift = sphere_posterior(image, model, min(record.band, SPHERE_BAND))
        posterior = DirectionPosterior(
            particle=particle,
            record=record,
            log_posterior=found.cpu().numpy(),
            rotation=rotation.numpy(),
            shift=shift.numpy(),
        )
        self._newest = posterior
        return posterior

    @torch.no_grad()
    def zoom(
        self,
        particle: int,
        record: EpochRecord,
        direction: ArrayLike | None = None,
        cancelled: threading.Event | None = None,
    ) -> Zoom:
        """Compute the posterior on a local, gnomonic grid of directions, summed over in-plane angles near the mode's.

        Parameters
        ----------
        particle, record, cancelled
            As in `posterior`.
        direction : array_like, optional
            `(3,)` view direction at the centre. Default: that of the posterior's best pose.
        """
        found = self.posterior(particle, record, cancelled)
        model, image = self._model_and_image(particle, record, cancelled)
        if direction is None:
            pose, shift = torch.from_numpy(found.rotation), torch.from_numpy(found.shift)
        else:
            pose, shift = self._best_at(image, model, torch.as_tensor(direction, dtype=torch.float64))
        centre = pose[2].double().numpy()
        axes, band = patch_axes(centre), min(record.band, ZOOM_BAND)
        rotations = pose @ torch.from_numpy(shortest_turns(patch_directions(centre, axes), centre)).float()
        templates = model.slices(rotations, band)
        raise_if_cancelled(cancelled)
        angles = torch.deg2rad((torch.arange(ZOOM_IN_PLANE) - ZOOM_IN_PLANE // 2) * ZOOM_STEP)
        shifts = image.shifts_about(shift, band)
        values = image.compare(templates, angles, band, shifts)
        rotation, shift = best_pose(values, angles, shifts, rotations)
        return Zoom(
            particle=particle,
            log_posterior=values.flatten(0, 1)
            .logsumexp(0)
            .log_softmax(0)
            .reshape(ZOOM_POINTS, ZOOM_POINTS)
            .cpu()
            .numpy(),
            centre=centre,
            axes=axes,
            rotation=rotation.numpy(),
            shift=shift.numpy(),
        )

    @torch.no_grad()
    def compare(
        self,
        particle: int,
        record: EpochRecord,
        rotations: ArrayLike,
        shifts: ArrayLike,
        cancelled: threading.Event | None = None,
    ) -> ProjectionComparison:
        """Compare the particle's image with the map's projections at some poses.

        Parameters
        ----------
        particle, record, cancelled
            As in `posterior`.
        rotations, shifts : array_like
            `(k, 3, 3)`, and `(k, 2)` Angstrom; shifts are used only if the run looks for shifts.
        """
        posterior = self.posterior(particle, record, cancelled)
        turns, moves = (torch.tensor(np.asarray(values, dtype=np.float32)) for values in (rotations, shifts))
        found = self._against(particle, record, turns, moves, cancelled)
        pixel = direction_pixel(turns, CELLS_NSIDE).numpy()
        return ProjectionComparison(
            particle=found.pictures[0],
            projections=found.pictures[1:],
            pixel_size=self.images.pixel_size,
            error=(found.squares / found.noise).numpy(),
            log_likelihood=(found.squares.min() - found.squares).numpy(),
            pixel=pixel,
            probability=np.exp(posterior.log_posterior[pixel]),
            angles=euler_from_rotation(turns.numpy()),
            shifts=moves.numpy(),
        )

    @torch.no_grad()
    def beside_projection(
        self, particle: int, record: EpochRecord, cancelled: threading.Event | None = None
    ) -> NDArray[np.float32]:
        """Return a particle's image and the map's projection at the run's pose, `(2, n, n)`, low-passed alike.

        Both are in standard deviations of the background. Parameters and errors as in `posterior`, which is not needed.
        """
        position, poses = record.particles.position(particle), record.particles
        turn, move = (torch.from_numpy(np.array(one[position], np.float32)) for one in (poses.rotations, poses.shifts))
        return self._against(particle, record, turn[None], move[None], cancelled).pictures

    def _against(
        self, particle: int, record: EpochRecord, turns: Tensor, moves: Tensor, cancelled: threading.Event | None
    ) -> _Against:
        """Compare a particle's image with the map's projections at `(k, 3, 3)` rotations and `(k, 2)` shifts."""
        model, image = self._model_and_image(particle, record, cancelled)
        band, device = min(record.band, DETAIL_BAND), self.images.device
        count = fourier.band_size(image.points, band)
        points, seen = image.points[:count], image.coefficients[None, :count]
        models = central_slices(model.lattice, turns.to(device), points, self.padding)
        models = models * self.images.ctf(image.rows, count) * image.scale
        if image.moves:
            models = models * shift_phases(moves.to(device), points, image.extent)
        squares = ((seen - models).abs().square() * image.weights(count)).sum(-1).cpu()
        shown = torch.cat((seen, models)) * soft_edge(points, band) * image.box_size
        pictures = fourier.from_half_plane(shown, points, image.box_size).cpu().numpy()
        return _Against(pictures, squares, count * image.noise_seen)

    def _model_and_image(
        self, particle: int, record: EpochRecord, cancelled: threading.Event | None
    ) -> tuple[MapModel, ParticleImage]:
        """Return the model of the map, and the particle's image."""
        model = self.prepare(record, record.map_of(record.particles.position(particle)), cancelled)
        raise_if_cancelled(cancelled)
        return model, ParticleImage(self.images, particle, record)

    def _best_at(self, image: ParticleImage, model: MapModel, direction: Tensor) -> tuple[Tensor, Tensor]:
        """Return the best rotation `(3, 3)` and shift `(2,)` among those with a `(3,)` view direction."""
        x, y, z = direction / direction.norm()
        rotation = rotation_from_angles(torch.atan2(y, x), torch.acos(z), torch.zeros_like(z)).float()[None]
        band, angles = min(model.band, SPHERE_BAND), in_plane_angles()
        shifts = image.shifts_about(image.pose_shift, band)
        values = image.compare(model.slices(rotation, band), angles, band, shifts)
        return best_pose(values, angles, shifts, rotation)
