"""A map made from some of a run's particles at their present poses, in closed form."""

from __future__ import annotations

import dataclasses
import threading

import numpy as np
import torch

from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.engine.outcome import fit_map
from napari_cryospin.engine.volume_steps import WienerStep
from napari_cryospin.models.wiener_volume import WienerVolume
from napari_cryospin.runs.epoch_record import EpochRecord
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.particle_record import ParticleRecord
from napari_cryospin.runs.run_particles import open_run_particles
from napari_cryospin.settings import PRESETS, Settings, VolumeSettings
from napari_cryospin.views.posterior.cancelling import raise_if_cancelled
from napari_cryospin.views.run_map import RunMap


@torch.no_grad()
def map_of_particles(
    folder: RunFolder,
    particles: ParticleRecord,
    moment: EpochRecord,
    symmetry: str,
    cancelled: threading.Event | None = None,
) -> RunMap:
    """Add some particles to a Wiener average once, each at its pose; this reads their images.

    Parameters
    ----------
    folder
        The run.
    particles
        Record of these particles, all in one frame.
    moment
        Record of the run that has the band and the noise by which images are weighted.
    symmetry
        Point group of the map.
    cancelled
        Setting it makes the call raise `CancelledError` soon.

    Raises
    ------
    FileNotFoundError, ValueError
        There are no particles, or their images cannot be read.
    CancelledError
        `cancelled` was set.
    """
    if not len(particles):
        raise ValueError(f"{folder.path}: no particles are selected; expected at least one to make a map from")
    settings = _settings(folder.settings, symmetry, moment.band)
    images = PreparedImages(
        open_run_particles(folder), settings.preparation, torch.from_numpy(particles.rows.copy()), measure=False
    )
    fit: Fit[WienerVolume] = Fit(images, settings, torch.Generator().manual_seed(0), uses_encoder=False)
    fit.noise.background = torch.from_numpy(np.array(moment.noise[0], np.float32))
    fit.noise.residual = torch.zeros_like(fit.noise.background)
    state = fit.particles
    state.rotations, state.shifts = (
        torch.from_numpy(np.array(values, np.float32)) for values in (particles.rotations, particles.shifts)
    )
    for name, values in (("scale", particles.scale), ("trust", particles.belongs)):
        if values is not None:
            setattr(state, name, torch.from_numpy(np.array(values, np.float32)))
    step = WienerStep(fit)
    step.volume.forget(0)
    for batch in fit.batches(band=moment.band):
        raise_if_cancelled(cancelled)
        step.insert(batch, *fit.poses(batch))
    step.volume.solve()
    return RunMap(fit_map(fit), images.pixel_size, moment.epoch, f"from {len(particles):,} particles alone")


def _settings(settings: Settings, symmetry: str, band: int) -> Settings:
    """Return settings for a volume in closed form of the images of a run, at known poses and scales.

    A run's own settings, with this volume in them, may contradict each other: its method may require another volume.
    """
    return dataclasses.replace(
        PRESETS["known-poses"],
        preparation=settings.preparation,
        encoder=settings.encoder,
        volume=VolumeSettings(
            volume_update="wiener", symmetry=symmetry, padding=settings.volume.padding, first_band=band
        ),
        schedule=settings.schedule,
    )
