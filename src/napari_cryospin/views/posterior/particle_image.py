"""One particle's image, for the comparison with slices of a map at all in-plane angles."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.engine.pose_posterior import Templates, log_likelihoods, shift_grid, shift_step
from napari_cryospin.physics import fourier
from napari_cryospin.physics.slicing import shift_phases
from napari_cryospin.runs.epoch_record import EpochRecord
from napari_cryospin.views.posterior.turned_image import soft_edge, turned_coefficients, turned_points

KEPT_BEYOND_BAND = 8
"""Shells beyond the band that the cropped image keeps, so that no value read between lattice points has wrapped around;
chosen by hand."""


class ParticleImage:
    """One particle's image, prepared as the run prepares it, and the noise that the run assumes.

    Parameters
    ----------
    images : PreparedImages
        Images of all particles of the input.
    particle : int
        Row of the input.
    record : EpochRecord
        The run's record, with the noise variance, the pose, and whether shifts are looked for.

    Attributes
    ----------
    picture : Tensor
        `(n, n)` masked image, whose background has unit variance.
    coefficients : Tensor
        `(points,)` complex, as the run compares them.
    scale : float
        Scale of the signal in the image, as the run has estimated it.
    noise_seen : float
        Share of the noise variance that is left in a coefficient after masking.
    pose_shift : Tensor
        `(2,)` Angstrom, shift of the pose that the run has found.
    """

    def __init__(self, images: PreparedImages, particle: int, record: EpochRecord) -> None:
        row = record.particles.position(particle)
        self.images, self.rows = images, torch.tensor([particle])
        self.points, self.box_size, self.extent = images.points.to(images.device), images.box_size, images.extent
        # Between lattice points, the transform also depends on the zero frequency, which the coefficients leave out.
        # The picture is therefore kept in real space.
        self.picture = images.pictures(self.rows)[0].to(images.device)
        self.coefficients = fourier.to_half_plane(self.picture, self.points) / self.box_size
        self.noise = torch.from_numpy(np.array(record.noise_of(row))).to(images.device)
        scale = record.particles.scale
        self.scale = 1.0 if scale is None else float(scale[row])
        self.shell = images.shell.to(images.device)
        self.noise_seen = float(images.mask.square().mean())
        self.moves = record.max_shift > 0
        self.pose_shift = torch.from_numpy(np.array(record.particles.shifts[row], dtype=np.float32))

    def weights(self, count: int) -> Tensor:
        """Return the inverse noise variance of the first `count` points, `(count,)`."""
        return 1 / self.noise[self.shell[:count]]

    def shifts_about(self, shift: Tensor, band: int) -> Tensor:
        """Return the shifts to try about a `(2,)` shift, `(t, 2)` Angstrom; only 0 if the run looks for no shifts."""
        if not self.moves:
            return torch.zeros(1, 2)
        step = shift_step(self.extent, band)
        return shift + shift_grid(1.5 * step, step)

    def compare(self, templates: Templates, angles: Tensor, band: int, shifts: Tensor) -> Tensor:
        """Compute the log-likelihoods at all combinations of in-plane angles, shifts and slices.

        Parameters
        ----------
        templates : Templates
            `k` slices of the map.
        angles : Tensor
            `(j,)` in-plane angles to add to those of the slices, radian.
        band : int
            Shells of the slices; the outermost ones have a smaller weight (`soft_edge`).
        shifts : Tensor
            `(t, 2)` Angstrom.

        Returns
        -------
        Tensor
            `(j, t, k)` nats, up to a constant of the image.
        """
        points, angles = templates.points, angles.to(templates.points.device)
        box = min(self.box_size, 2 * (band + KEPT_BEYOND_BAND))
        image = fourier.fourier_crop(self.picture, box) * (self.box_size / box**2)
        turned, where = turned_coefficients(image, points, angles), turned_points(points, angles)  # (j, p), (j, p, 2)
        ctf = self.images.ctf_at(self.rows.expand(len(angles)), where) * self.scale
        weights = self.weights(len(points)) * soft_edge(points, band)
        if not self.moves:
            return log_likelihoods(templates, turned, ctf, weights)
        phases = torch.stack([shift_phases(shifts.to(at.device), at, self.extent) for at in where])  # (j, t, p)
        return log_likelihoods(templates, turned, ctf, weights, phases)
