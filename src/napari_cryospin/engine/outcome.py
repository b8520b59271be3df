"""Snapshots, an epoch's history and results, made from a reconstruction as it stands."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from napari_cryospin.engine.class_matching import match_classes
from napari_cryospin.engine.class_outcome import class_arrays, in_classes, with_classes
from napari_cryospin.engine.evidence import final_evidence
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.fold_resolution import fold_resolution
from napari_cryospin.engine.half_sets import AlignedHalves, align_halves, poses_in_frame, worse_half
from napari_cryospin.engine.posterior_statistics import posterior_statistics
from napari_cryospin.engine.precision import angular_precision
from napari_cryospin.engine.switching import SwitchAdvice
from napari_cryospin.engine.symmetry_watch import advised_symmetry
from napari_cryospin.evaluation.map_filter import low_pass
from napari_cryospin.evaluation.postprocess import postprocess
from napari_cryospin.evaluation.verdict import Evidence, judge_run
from napari_cryospin.runs.epoch_record import EpochRecord
from napari_cryospin.runs.messages import Stage
from napari_cryospin.runs.particle_record import ParticleRecord, head_share
from napari_cryospin.runs.results import Results
from napari_cryospin.runs.snapshot import Snapshot
from napari_cryospin.settings import Settings

log = logging.getLogger(__name__)

TELLING_ERROR_OVER_NOISE = 1.05
"""Error over noise above which the results have a warning (docs/half_sets.md, does the map explain the images)."""


class Standing(Protocol):
    """The part of a reconstruction that its snapshots, history and results are made from."""

    fits: list[Fit]
    settings: Settings
    indices: np.ndarray
    half_sets: np.ndarray | None
    pixel_size: float

    @property
    def notes(self) -> tuple[str, ...]: ...
    @property
    def step(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def resolution(self) -> float: ...
    @property
    def measured_resolution(self) -> float: ...
    @property
    def stage(self) -> Stage: ...
    @property
    def finished(self) -> bool: ...
    def evidence(self) -> Evidence: ...


@torch.no_grad()
def fit_map(fit: Fit, filtered: bool = True) -> np.ndarray:
    """Make the map `(n, n, n)`, `[z, y, x]`, in units of the background noise's standard deviation in a pixel."""
    return (fit.volume.to_map(filtered=filtered) * fit.images.box_size).cpu().numpy()


def _joined(fits: list[Fit], name: str) -> Tensor:
    return torch.cat([getattr(fit.particles, name).cpu() for fit in fits])  # The halves may be on two devices.


def _poses(fits: list[Fit]) -> tuple[np.ndarray, np.ndarray]:
    return _joined(fits, "rotations").numpy(), _joined(fits, "shifts").numpy()


def _measures(reconstruction: Standing) -> dict[str, Any]:
    """Return the fields that every record has: epoch, stage, pixel size, band, noise, range of shifts."""
    fits = reconstruction.fits
    return {
        "epoch": reconstruction.epoch,
        "stage": reconstruction.stage,
        "pixel_size": reconstruction.pixel_size,
        "band": min(fit.band.now for fit in fits),
        "noise": torch.stack([fit.noise.variance.cpu() for fit in fits]).numpy(),
        "max_shift": fits[0].shift_range.largest,
    }


def _errors(fit: Fit) -> Tensor:
    """Return the errors of the particles of a fit or of a class."""
    return fit.particles.error[fit.members]


def _half_sets(reconstruction: Standing) -> np.ndarray:
    """Return the half set of each particle, `(n,)`: 1 or 2; 0 if there are none."""
    none = np.zeros(len(reconstruction.indices), np.int8)
    return none if reconstruction.half_sets is None else reconstruction.half_sets


def _particles(reconstruction: Standing, *optional: str) -> ParticleRecord:
    """Make the record of the particles, with the optional arrays that are named."""
    fits = reconstruction.fits
    rotations, shifts = _poses(fits)
    return ParticleRecord(
        rows=reconstruction.indices,
        half_sets=_half_sets(reconstruction),
        rotations=rotations,
        shifts=shifts,
        winner=_joined(fits, "winner").numpy(),
        noise_group=_noise_group(fits),
        **_arrays(fits, optional),
    )


def _arrays(fits: list[Fit], names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return arrays of the particles by name, and scale and belongs, if they were estimated; 1 would say they were."""
    estimated = [] if fits[0].settings.volume.scales == "none" else ["scale"]
    if not _joined(fits, "odds").isnan().any():  # Otherwise the first epoch after the switch is not over.
        estimated.append("belongs")
    return {name: _joined(fits, name).numpy() for name in (*names, *estimated)} | class_arrays(fits)


def _noise_group(fits: list[Fit]) -> np.ndarray:
    return torch.cat([fit.noise.group.cpu() for fit in fits]).numpy().astype(np.int32)


def make_head_share(fits: list[Fit]) -> np.ndarray:
    """Compute the share of the particles that each head won, and the posterior sample: see `head_share`."""
    return head_share(_joined(fits, "best_head").numpy(), _joined(fits, "winner").numpy(), fits[0].heads)


def _class_maps(fits: list[Fit]) -> tuple[np.ndarray, ...]:
    """Make the maps of all classes, those of both halves one after the other; none with one class.

    Where one half has fewer classes, its map of a class that it lacks is empty.
    """
    count = max(len(fit.classes) for fit in fits)
    if count == 1:
        return ()
    empty = np.zeros((fits[0].images.box_size,) * 3, np.float32)
    return tuple(fit_map(fit.classes[k]) if k < len(fit.classes) else empty for k in range(count) for fit in fits)


def make_snapshot(reconstruction: Standing, advice: SwitchAdvice) -> Snapshot:
    """Make a snapshot of the reconstruction as it stands, with the advice on its switch."""
    fits = reconstruction.fits
    maps = tuple(fit_map(fit) for fit in fits)
    return Snapshot(
        step=reconstruction.step,
        map=maps[0],
        half_maps=maps if len(maps) == 2 else (),
        class_maps=_class_maps(fits),
        particles=_particles(reconstruction),
        head_share=make_head_share(fits),
        loss=float(_joined(fits, "error").nanmean()),
        resolution=reconstruction.resolution,
        switch_ready=advice.ready,
        switch_reason=advice.reason,
        **_measures(reconstruction),
    )


def make_history(reconstruction: Standing) -> EpochRecord:
    """Make the record that is kept of an epoch: map (and half maps), and all that is known of the particles."""
    maps = tuple(fit_map(fit) for fit in reconstruction.fits)
    known = ("best_head", "candidates", "candidate_shifts", "entropy", "error")
    return EpochRecord(
        map=maps[0],
        half_maps=maps if len(maps) == 2 else (),
        class_maps=_class_maps(reconstruction.fits),
        particles=_particles(reconstruction, *known),
        **_measures(reconstruction),
    )


def make_results(reconstruction: Standing) -> Results:
    """Make the results from maps and poses as they stand.

    Of half sets the maps are combined, and all poses are in the frame of the first. With several classes, each has
    results of its own.
    """
    fits = reconstruction.fits
    if all(len(fit.classes) == 1 for fit in fits):
        return _results(reconstruction, fits, _final_particles(reconstruction))
    matched = match_classes(fits)
    record = dataclasses.replace(_final_particles(reconstruction), **class_arrays(fits, matched.numbers))
    classes = [_results(reconstruction, views, record) for views in matched.views]
    return with_classes(record, classes, matched)


def _final_particles(reconstruction: Standing) -> ParticleRecord:
    """Make the record of all particles with all that results tell of them, poses in the frames of the half sets."""
    fits = reconstruction.fits
    rotations, shifts = (values.astype(np.float64) for values in _poses(fits))
    known = _arrays(fits, ("best_head", "error", "entropy"))
    known |= posterior_statistics(fits) if reconstruction.finished else {}
    return ParticleRecord(
        rows=reconstruction.indices,
        half_sets=_half_sets(reconstruction),
        rotations=rotations,
        shifts=shifts,
        winner=_joined(fits, "winner").numpy(),
        precision=torch.cat([angular_precision(fit) for fit in fits]).numpy(),
        **known,
    )


def _results(reconstruction: Standing, fits: Sequence[Fit], record: ParticleRecord) -> Results:
    """Make the results of all particles, or of one class from its views."""
    pixel_size = reconstruction.pixel_size
    maps = tuple(fit_map(fit, filtered=False) for fit in fits)
    rotations, shifts = record.rotations.copy(), record.shifts.copy()
    resolution, evidence = reconstruction.measured_resolution, reconstruction.evidence()
    if fits[0].number is not None:
        resolution = fold_resolution(fits[0], float("nan"))
    told = reconstruction.finished and reconstruction.settings.volume.loss == "squared"
    error = max(float(_errors(fit).nanmean()) for fit in fits) if told else float("nan")
    found: dict[str, Any] = {}
    if len(maps) == 2:
        halves = align_halves(*maps, pixel_size)
        count = len(fits[0])
        rotations[count:], shifts[count:] = poses_in_frame(rotations[count:], shifts[count:], halves.alignment)
        maps = (maps[0], halves.second)
        unequal = worse_half(*(_errors(fit).cpu().numpy() for fit in fits))
        found, resolution = _combined(maps, pixel_size, halves, min(fit.band.now for fit in fits), unequal)
        evidence = dataclasses.replace(evidence, halves_agree=not halves.failed)
    # Of the symmetric copies of a pose, results have the one in the asymmetric unit.
    rotations = fits[0].symmetry.to_unit(torch.from_numpy(rotations)).numpy()
    if error > TELLING_ERROR_OVER_NOISE:
        found["notes"] = (_unexplained(error), *found.get("notes", ()))
        log.warning("%s", found["notes"][0])
    found["notes"] = (*found.get("notes", ()), *reconstruction.notes)
    density = found.pop("map", maps[0])
    # A particle without an error was in no step yet, and still has the random pose that it started with.
    seen = np.isfinite(_joined(reconstruction.fits, "error").numpy())
    if not seen.all():
        left_out = f"{(~seen).sum():,} of {len(seen):,} particles were not looked at yet: they are left out"
        found["notes"] = (left_out, *found.get("notes", ()))
    members = seen & in_classes(reconstruction.fits, fits)
    verdict = judge_run(final_evidence(fits, evidence, error) if reconstruction.finished else evidence)
    log.info("verdict: %s", verdict.sentence)
    if not verdict.tells_resolution:
        resolution = float("nan")
    # A map whose poses are not determined has no symmetry to tell, and the look costs some seconds.
    advice = advised_symmetry(fits) if reconstruction.finished and verdict.tells_resolution else ""
    return Results(
        verdict=verdict,
        symmetry=fits[0].symmetry.name,
        looks_like=advice,
        map=density,
        filtered_map=low_pass(density, pixel_size, resolution),
        half_maps=maps if len(maps) == 2 else (),
        pixel_size=pixel_size,
        resolution=resolution,
        error_over_noise=error,
        particles=dataclasses.replace(record, rotations=rotations, shifts=shifts).select(members),
        epoch=reconstruction.epoch,
        stage=reconstruction.stage,
        **found,
    )


def _unexplained(error: float) -> str:
    return (
        f"the images differ from the map by {100 * (error - 1):.0f} % more than the noise of their background: poses "
        f"are likely to be wrong (run again with another seed, or with more particles), or particles are not all alike"
    )


def _combined(
    maps: tuple[np.ndarray, ...], pixel_size: float, halves: AlignedHalves, band: int, unequal: str
) -> tuple[dict[str, Any], float]:
    """Compare and combine the two halves. Return fields of the results, and the resolution in Angstrom."""
    found = postprocess(maps[0], maps[1], pixel_size, band=band)
    notes = tuple(filter(None, (unequal, halves.warning, *(() if halves.failed else found.notes))))
    for note in notes:
        log.warning("%s", note)
    table = {"frequency": found.curves["corrected"].frequency}
    assert found.guinier is not None
    fields = {
        "map": maps[0] if halves.failed else found.map,
        "sharpened_map": None if halves.failed else found.sharpened,
        "mask": found.mask,
        "fsc": table | {name: curve.values for name, curve in found.curves.items()},
        "guinier": {"square": found.guinier.square, "log_amplitude": found.guinier.log_amplitude},
        "b_factor": 0.0 if halves.failed else found.b_factor,
        "band": band,
        "notes": notes,
    }
    return fields, float("nan") if halves.failed else found.resolution
