"""Posterior of one particle's view direction, for the eye: a fine grid, in-plane angles and shifts summed over."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_cryospin.inference.pose_posterior import log_likelihoods, make_templates, shift_grid
from napari_cryospin.inference.reconstruction import Reconstruction
from napari_cryospin.io.files import atomic_write
from napari_cryospin.physics.slicing import shift_phases
from napari_cryospin.physics.so3_grid import grid_rotations

NSIDE, IN_PLANE, BAND = 8, 48, 16


@dataclass(frozen=True, kw_only=True)
class ParticlePosterior:
    """One particle's posterior, and what the run holds of its pose."""

    particle: int  # row of the input, from 0
    log_posterior: NDArray[np.float32]  # (pixels,) of HEALPix directions in ring order; exp sums to 1
    candidates: NDArray[np.float32]  # (m, 3, 3) the heads' last proposals
    candidate_shifts: NDArray[np.float32]  # (m, 2) A
    best_head: int  # nearest to the image among the candidates; -1: none
    rotation: NDArray[np.float32]  # (3, 3) the run's pose
    shift: NDArray[np.float32]  # (2,) A

    @property
    def entropy(self) -> float:
        """Of the view direction, nats."""
        return float(-(np.exp(self.log_posterior) * self.log_posterior).sum())

    def save(self, path: Path) -> None:
        """Write an .npz file."""
        with atomic_write(path) as part, part.open("wb") as file:
            np.savez(file, allow_pickle=False, **vars(self))


@torch.no_grad()
def particle_posterior(
    reconstruction: Reconstruction, particle: int, nside: int = NSIDE, in_plane: int = IN_PLANE, band: int = BAND
) -> ParticlePosterior:
    """Posterior of one particle under the present map (its own half's, where half sets are reconstructed).

    Parameters
    ----------
    reconstruction
        Of which the particle is part.
    particle
        Row of the input, from 0.
    nside, in_plane
        HEALPix resolution of the directions, and number of in-plane angles.
    band
        Fourier shells that are compared, at most those that the run looks at.

    Raises
    ------
    ValueError
        The run does not use this row.
    """
    found = np.flatnonzero(reconstruction.indices == particle)
    if not len(found):
        last = int(reconstruction.indices.max())
        raise ValueError(
            f"particle {particle}: the run does not use this row; expected one of 0 to {last} that it uses"
        )
    row, fits = int(found[0]), list(reconstruction.fits)
    while row >= len(fits[0]):
        row -= len(fits.pop(0))
    fit, rows = fits[0], torch.tensor([row])
    batch = fit.batch(rows, min(fit.band, band))
    rotations = grid_rotations(nside, in_plane).to(fit.device)  # (pixels, in_plane, 3, 3)
    lattice = fit.volume.hartley(min(fit.band, band))
    templates = make_templates(lattice, rotations, batch.points, fit.projector.padding)
    phases = None
    if fit.max_shift:
        step = fit.images.extent / (4 * min(fit.band, band))
        shifts = fit.poses.shifts[row] + shift_grid(1.5 * step, step, fit.device)
        phases = shift_phases(shifts, batch.points, fit.images.extent)
    values = log_likelihoods(templates, batch.images, batch.ctf, batch.weights, phases)  # (1, t, k)
    marginal = values[0].logsumexp(0).reshape(rotations.shape[:2]).logsumexp(-1)  # (pixels,)
    return ParticlePosterior(
        particle=particle,
        log_posterior=marginal.log_softmax(0).cpu().numpy(),
        candidates=fit.candidates[row].float().cpu().numpy(),
        candidate_shifts=fit.candidate_shifts[row].float().cpu().numpy(),
        best_head=int(fit.best_head[row]),
        rotation=fit.poses.rotations[row].float().cpu().numpy(),
        shift=fit.poses.shifts[row].float().cpu().numpy(),
    )
