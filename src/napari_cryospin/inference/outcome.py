"""What a reconstruction shows and leaves: snapshots, an epoch's history, results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from napari_cryospin.inference.fit import Fit
from napari_cryospin.inference.half_sets import align_halves, poses_in_frame
from napari_cryospin.models.wiener_volume import WienerVolume
from napari_cryospin.runs.messages import Results, Snapshot

if TYPE_CHECKING:
    from napari_cryospin.inference.reconstruction import Reconstruction


@torch.no_grad()
def fit_map(fit: Fit, filtered: bool = True) -> np.ndarray:
    """`(n, n, n)` map `[z, y, x]`, in units of the background noise's standard deviation in a pixel."""
    volume = fit.volume
    if isinstance(volume, WienerVolume):
        density = None if filtered else volume.average(volume.sums.sum(0), filtered=False)
        values = volume.to_map(density=density)
    else:
        values = volume.to_map(fit.band)
    return (values * fit.images.box_size).cpu().numpy()


def low_pass(density: np.ndarray, pixel_size: float, resolution: float) -> np.ndarray:
    """Map without what is finer than a resolution (A); a soft edge of two shells."""
    if not np.isfinite(resolution):
        return density
    n = density.shape[-1]
    axis, last = np.fft.fftfreq(n, pixel_size), np.fft.rfftfreq(n, pixel_size)
    radius = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + last**2)
    edge = 2 / (n * pixel_size)
    keep = 0.5 + 0.5 * np.cos(np.pi * np.clip((radius - 1 / resolution) / edge, 0, 1))
    return np.fft.irfftn(np.fft.rfftn(density) * keep, s=density.shape).astype(np.float32)


def _joined(fits: list[Fit], name: str) -> Tensor:
    return torch.cat([getattr(fit, name) for fit in fits]).cpu()


def _poses(fits: list[Fit]) -> tuple[np.ndarray, np.ndarray]:
    rotations = torch.cat([fit.poses.rotations for fit in fits]).cpu().numpy()
    return rotations, torch.cat([fit.poses.shifts for fit in fits]).cpu().numpy()


def _measures(reconstruction: Reconstruction) -> dict[str, Any]:
    """Which rows are compared with the maps, and how: what a posterior needs beside a map."""
    fits = reconstruction.fits
    none = np.zeros(len(reconstruction.indices), np.int8)
    return {
        "band": min(fit.band for fit in fits),
        "noise": torch.stack([fit.noise for fit in fits]).cpu().numpy(),
        "max_shift": fits[0].max_shift,
        "indices": reconstruction.indices,
        "half_sets": none if reconstruction.half_sets is None else reconstruction.half_sets,
    }


def make_snapshot(reconstruction: Reconstruction, ready: bool, reason: str) -> Snapshot:
    """The reconstruction as it stands."""
    from napari_cryospin.inference.reconstruction import make_head_share

    fits = reconstruction.fits
    maps = tuple(fit_map(fit) for fit in fits)
    rotations, shifts = _poses(fits)
    return Snapshot(
        step=reconstruction.step,
        epoch=reconstruction.epoch,
        stage=reconstruction.stage,
        map=maps[0],
        half_maps=maps if len(maps) == 2 else (),
        pixel_size=reconstruction.pixel_size,
        rotations=rotations,
        shifts=shifts,
        winning_head=_joined(fits, "winner").numpy(),
        head_share=make_head_share(fits),
        loss=float(_joined(fits, "error").nanmean()),
        resolution=reconstruction.resolution,
        switch_ready=ready,
        switch_reason=reason,
        **_measures(reconstruction),
    )


def make_history(reconstruction: Reconstruction) -> dict[str, np.ndarray]:
    """What is kept of an epoch: map (and half maps), every particle's pose, winner, candidates, posterior entropy."""
    fits = reconstruction.fits
    rotations, shifts = _poses(fits)
    maps = np.stack([fit_map(fit) for fit in fits]).astype(np.float16)
    measures = {name: np.asarray(value) for name, value in _measures(reconstruction).items()}
    return {
        **({"half_maps": maps} if len(maps) == 2 else {}),
        **measures,
        "map": maps[0],
        "pixel_size": np.array(reconstruction.pixel_size, np.float32),
        "epoch": np.array(reconstruction.epoch, np.int32),
        "stage": np.array(reconstruction.stage),
        "rotations": rotations.astype(np.float32),
        "shifts": shifts.astype(np.float32),
        "winning_head": _joined(fits, "winner").numpy(),
        "best_head": _joined(fits, "best_head").numpy(),
        "candidate_rotations": _joined(fits, "candidates").numpy().astype(np.float16),
        "candidate_shifts": _joined(fits, "candidate_shifts").numpy().astype(np.float32),
        "entropy": _joined(fits, "entropy").numpy(),
        "error": _joined(fits, "error").numpy(),
    }


def make_results(reconstruction: Reconstruction) -> Results:
    """Maps and poses as they stand."""
    fits, pixel_size = reconstruction.fits, reconstruction.pixel_size
    maps = tuple(fit_map(fit, filtered=False) for fit in fits)
    rotations, shifts = _poses(fits)
    curve, resolution = None, reconstruction.resolution
    if len(maps) == 2:
        alignment, second, curve = align_halves(*maps, pixel_size)
        count = len(fits[0])
        moved = poses_in_frame(rotations[count:].astype(float), shifts[count:].astype(float), alignment)
        rotations, shifts = np.concatenate((rotations[:count], moved[0])), np.concatenate((shifts[:count], moved[1]))
        maps, resolution = (maps[0], second), curve.resolution(0.143)
    density = np.mean(maps, axis=0)
    return Results(
        map=density,
        filtered_map=low_pass(density, pixel_size, resolution),
        half_maps=maps if len(maps) == 2 else (),
        pixel_size=pixel_size,
        resolution=resolution,
        fsc=None if curve is None else (curve.frequency, curve.values),
        indices=reconstruction.indices,
        rotations=rotations,
        shifts=shifts,
        log_likelihood=-_joined(fits, "error").numpy(),
        winning_head=_joined(fits, "winner").numpy(),
        half_sets=reconstruction.half_sets,
    )
