"""A run's results against a known truth: poses after one global alignment, and the map by Fourier shell correlation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_cryospin.evaluation.fsc import Fsc, fsc, map_mask, spherical_mask
from napari_cryospin.evaluation.map_alignment import align_maps, apply_alignment
from napari_cryospin.evaluation.pose_error import (
    PoseErrors,
    ShiftErrors,
    candidate_errors,
    rotation_errors,
    shift_errors,
    truth_in_frame,
)
from napari_cryospin.geometry.point_groups import group_matrices
from napari_cryospin.io.files import atomic_write
from napari_cryospin.io.mrc import read_map
from napari_cryospin.io.open import open_particles, open_same_images
from napari_cryospin.particles import Particles
from napari_cryospin.physics.map_crop import fourier_crop_map

TRUTH_THRESHOLD = 0.5
"""FSC against the truth at which the resolution is defined (the paper's choice)."""
AGREES, AGREEING = 20.0, 0.1
"""Largest error, in degrees, of a pose that agrees with the truth in a frame, and least share of such poses."""
AGREEING_BY_CHANCE, OVER_CHANCE = 0.00225, 3.0
"""Share of random poses that agree with the truth, to be multiplied by the order of the point group; and how many times
that share must agree, which is more than AGREEING for large groups. Chosen by hand: of 60 random poses up to twice that
share agree in the best frame."""


@dataclass(frozen=True, kw_only=True)
class MapComparison:
    """A map, aligned to the truth, and their correlation."""

    density: NDArray[np.float32]  # (z, y, x), aligned
    truth: NDArray[np.float32]  # (z, y, x), at the map's box
    pixel_size: float  # A
    curves: Mapping[str, Fsc]  # unmasked, masked
    hand_flipped: bool

    @property
    def resolution(self) -> float:
        """Resolution in A at which the masked curve falls below the threshold."""
        return self.curves["masked"].resolution(TRUTH_THRESHOLD)

    def at_nyquist_share(self, share: float) -> float:
        """Compute the smallest masked correlation up to this share of the Nyquist frequency."""
        values = self.curves["masked"].values
        return float(values[: round(share * (len(values) - 1)) + 1].min())


@dataclass(frozen=True, kw_only=True)
class TruthReport:
    """Errors of a run whose truth is known."""

    rotations: PoseErrors | None = None
    shifts: ShiftErrors | None = None
    map: MapComparison | None = None
    symmetry: str = "C1"

    @property
    def numbers(self) -> dict[str, Any]:
        """Numbers that are printed and saved, by name."""
        numbers: dict[str, Any] = {"symmetry": self.symmetry}
        if self.rotations is not None:
            numbers |= {f"rotation_error_{name}_degrees": getattr(self.rotations, name) for name in ("mean", "median")}
            numbers |= {"within_10_degrees": self.rotations.within_10, "particles": len(self.rotations.errors)}
        if self.shifts is not None:
            numbers |= {f"shift_error_{name}_angstrom": getattr(self.shifts, name) for name in ("mean", "median")}
        if self.map is not None:
            numbers |= {"resolution_angstrom": self.map.resolution, "hand_flipped": self.map.hand_flipped}
            numbers["fsc_to_80_percent_of_nyquist"] = self.map.at_nyquist_share(0.8)
        return numbers

    def text(self) -> str:
        """Write a line for each number."""
        values = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in self.numbers.items()}
        return "\n".join(f"{name.replace('_', ' '):32} {value}" for name, value in values.items())

    def save(self, path: Path) -> None:
        with atomic_write(path) as part:
            part.write_text(json.dumps(self.numbers, indent=2))


def compare_poses(found: Particles, truth: Particles, symmetry: str) -> tuple[PoseErrors, ShiftErrors]:
    """Measure pose errors of particles, each against the one of the same image in the truth.

    Raises
    ------
    ValueError
        One of the two has no poses, or the truth lacks some of the images.
    """
    truth = truth.select(rows_of(found, truth))
    for particles in (found, truth):
        if particles.rotations is None or particles.shifts is None:
            raise ValueError(
                f"{particles.source}: no poses; expected rlnAngleRot, rlnAngleTilt, rlnAnglePsi and origins"
            )
    assert found.rotations is not None
    assert found.shifts is not None
    assert truth.rotations is not None
    assert truth.shifts is not None
    rotations = rotation_errors(found.rotations, truth.rotations, symmetry=symmetry)
    return rotations, shift_errors(found.shifts, truth.shifts, found.rotations, rotations)


@dataclass(frozen=True, kw_only=True, eq=False)
class AlignedTruth:
    """True rotations of a run's particles, and the alignments under which the run's poses agree with them.

    Attributes
    ----------
    rotations : ndarray
        `(n, 3, 3)` true rotations in the frame and the hand of the run's map; of symmetric copies each is the one that
        is nearest to the run's pose.
    known : ndarray
        `(n, 3, 3)` true rotations in their own frame.
    halves : sequence of tuple
        Of each half set, or of all particles without half sets: `(n,)` bool, which particles are in it, and the errors
        of their poses with the alignment of its frame.
    """

    rotations: NDArray[np.float64]
    known: NDArray[np.float64]
    halves: Sequence[tuple[NDArray[np.bool_], PoseErrors]]

    def errors_of(self, candidates: NDArray[np.floating]) -> NDArray[np.float64]:
        """Measure the errors `(n, m)` in degrees of candidates `(n, m, 3, 3)` of the same particles."""
        errors = np.empty(candidates.shape[:2])
        for members, poses in self.halves:
            errors[members] = candidate_errors(candidates[members], self.known[members], poses)
        return errors


def align_truth(
    indices: NDArray[np.integer],
    rotations: NDArray[np.floating],
    half_sets: NDArray[np.integer],
    truth: Particles,
    particles: Particles,
    symmetry: str,
) -> AlignedTruth | None:
    """Align the frame and the hand of a run's map to those of true rotations.

    Parameters
    ----------
    indices, rotations, half_sets
        `(n,)` rows of the input, `(n, 3, 3)` the run's poses, and `(n,)` 1 / 2 or 0: as a snapshot has them. Each half
        has a frame of its own.
    truth, particles
        Particles with true poses, in any order; and the run's input.
    symmetry
        Point group of the run's map, modulo which poses agree with the truth.

    Returns
    -------
    AlignedTruth or None
        None while too few poses agree on any frame, so that the truth cannot be drawn yet.
    """
    known = truth.select(rows_of(particles.select(indices), truth)).rotations
    if known is None:
        raise ValueError(f"{truth.source}: no poses; expected rlnAngleRot, rlnAngleTilt and rlnAnglePsi")
    least = max(AGREEING, OVER_CHANCE * AGREEING_BY_CHANCE * len(group_matrices(symmetry)))
    moved, halves = np.empty(known.shape), []
    for half in np.unique(half_sets):
        members = half_sets == half
        poses = rotation_errors(rotations[members], known[members], symmetry=symmetry)
        agreeing = int((poses.errors < AGREES).sum())
        if agreeing < max(10, least * len(poses.errors)):
            return None
        moved[members] = truth_in_frame(rotations[members], known[members], poses)
        halves.append((members, poses))
    return AlignedTruth(rotations=moved, known=known, halves=halves)


def rows_of(found: Particles, truth: Particles) -> NDArray[np.int64]:
    """Find the row in the truth of each particle `(n,)`, by stack and index."""
    rows = {image: row for row, image in enumerate(_images(truth))}
    try:
        return np.array([rows[image] for image in _images(found)], dtype=np.int64)
    except KeyError as missing:
        stack, index = missing.args[0]
        raise ValueError(
            f"{truth.source}: no row for image {index + 1} of {stack}; expected the run's images"
        ) from None


def _images(particles: Particles) -> list[tuple[Path, int]]:
    stacks = [stack.resolve() for stack in particles.stacks]
    return [
        (stacks[stack], int(index)) for stack, index in zip(particles.stack_index, particles.slice_index, strict=True)
    ]


def compare_maps(
    density: NDArray[Any],
    pixel_size: float,
    truth: NDArray[Any],
    truth_pixel_size: float,
    poses: tuple[PoseErrors, ShiftErrors] | None = None,
) -> MapComparison:
    """Align a map to the truth and correlate them.

    Parameters
    ----------
    density, truth
        `(z, y, x)`; the truth may have the larger box.
    pixel_size, truth_pixel_size
        Angstrom.
    poses
        Of the same run. Where most are right, they determine the alignment; otherwise, or without them, it is searched
        for over both hands.

    Raises
    ------
    ValueError
        The two do not show the same field of view.
    """
    n, fields = len(density), (len(density) * pixel_size, len(truth) * truth_pixel_size)
    if len(truth) < n or abs(fields[0] / fields[1] - 1) > 0.01:
        raise ValueError(
            f"maps: fields of view are {fields[0]:.1f} and {fields[1]:.1f} A; expected the same, truth finer"
        )
    cropped = fourier_crop_map(torch.from_numpy(np.asarray(truth, dtype=np.float32)), n).numpy()
    mask = map_mask(cropped, pixel_size)
    if poses is not None and poses[0].within_10 > 0.5:
        rotations, shifts = poses
        flipped = rotations.hand_flipped
        aligned = apply_alignment(density, rotations.alignment, shifts.translation, pixel_size, hand_flipped=flipped)
    else:
        found = align_maps(cropped, density * spherical_mask(n, 0.45 * n, 0.05 * n), pixel_size)
        flipped = found.hand_flipped
        aligned = apply_alignment(density, found.rotation, found.shift, pixel_size, hand_flipped=flipped)
    curves = {"unmasked": fsc(aligned, cropped, pixel_size), "masked": fsc(aligned, cropped, pixel_size, mask)}
    return MapComparison(density=aligned, truth=cropped, pixel_size=pixel_size, curves=curves, hand_flipped=flipped)


def evaluate_results(
    results: Path,
    truth: Path | None,
    reference: Path | None,
    symmetry: str = "C1",
    data_dir: Path | None = None,
) -> TruthReport:
    """Compare the contents of a run's results folder with the truth.

    Parameters
    ----------
    results
        Folder with particles.star and map.mrc.
    truth
        Particles with true poses.
    reference
        True map.
    symmetry
        Point group of the true map.
    data_dir
        Further folder that is searched for stacks.
    """
    poses = comparison = None
    if truth is not None:
        found = open_particles(results / "particles.star", data_dir=data_dir)
        known = open_same_images(truth, found, data_dir=data_dir)
        poses = compare_poses(found, known, symmetry)
    if reference is not None:
        truth_map, truth_pixel_size = read_map(reference)
        if not truth_pixel_size > 0:
            raise ValueError(f"{reference}: the header states no pixel size; expected one above 0")
        comparison = compare_maps(*read_map(results / "map.mrc"), truth_map, truth_pixel_size, poses)
    rotations, shifts = poses or (None, None)
    return TruthReport(rotations=rotations, shifts=shifts, map=comparison, symmetry=symmetry)
