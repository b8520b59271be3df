"""Two runs side by side: their figures, curves and maps, where the maps differ, and whether the poses agree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.evaluation.common_turns import CLOSE, find_common_turns
from napari_cryospin.evaluation.fsc import spherical_mask
from napari_cryospin.evaluation.map_filter import low_pass
from napari_cryospin.evaluation.pose_error import align_rotations, rotation_errors
from napari_cryospin.runs.particle_record import ParticleRecord
from napari_cryospin.runs.verdict import NOT_DETERMINED
from napari_cryospin.views.curves import Along, MetricCurve
from napari_cryospin.views.direction_figures import pose_errors
from napari_cryospin.views.isosurface import MapStatistics
from napari_cryospin.views.known_map import EDGE_OF_FIT, SPHERE_OF_FIT, FittedMap
from napari_cryospin.views.run_questions.compared import ComparedRun

COMPARED_PARTICLES = 20_000
"""Largest number of particles, drawn at random, whose poses are compared; chosen by hand, to save time."""
FEWEST_COMPARED = 10
"""Number of particles below which poses of two runs are not compared: any few poses can be laid upon each other."""
DIFFERENCE_LEVEL = 0.5
"""Contour of a difference, as a share of the first contour of the map; chosen by hand."""
AXES: tuple[Along, ...] = ("epoch", "time")
"""Axes along which the runs' curves are made."""


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What is told of one of two runs.

    Attributes
    ----------
    name, method : str
        Name of its folder, and its method.
    seed, epochs : int
        Seed, and number of epochs that were finished.
    minutes : float
        Time that it took.
    resolution : float, optional
        Angstrom; None: not known, or not told because the poses are not determined.
    verdict : str
        Kind of its verdict; empty: none yet.
    pose_error : float, optional
        Median, degrees; None: the truth is not known.
    """

    name: str
    method: str
    seed: int
    epochs: int
    minutes: float
    resolution: float | None
    verdict: str
    pose_error: float | None


@dataclass(frozen=True, kw_only=True)
class PoseAgreement:
    """How far the poses of two runs agree, after those of the second were laid upon those of the first.

    Attributes
    ----------
    particles : int
        Number of particles that both runs have.
    within_10 : float, optional
        Share of them whose rotations are at most 10 degrees from each other; None: not compared.
    within_10_turned : float, optional
        The same, but for turns by which many particles differ: those after which the map looks the same, or nearly.
        None: there are no such turns.
    turn_angles : tuple of int
        Angles of these turns, degrees.
    note : str
        Why they were not compared.
    """

    particles: int = 0
    within_10: float | None = None
    within_10_turned: float | None = None
    turn_angles: tuple[int, ...] = ()
    note: str = ""

    @property
    def words(self) -> str:
        """The agreement in words."""
        if self.within_10 is None:
            return f"not compared: {self.note}"
        told = f"{100 * self.within_10:.0f} % of {self.particles:,} within 10° of each other"
        if self.within_10_turned is None:
            return told
        angles = ", ".join(f"{angle}°" for angle in self.turn_angles)
        return f"{told}, {100 * self.within_10_turned:.0f} % but for common turns by {angles}"


@dataclass(frozen=True, kw_only=True, eq=False)
class TwoRuns:
    """Comparison of two runs.

    Attributes
    ----------
    facts : tuple of RunFacts
        Of the first and of the second run.
    fitted : FittedMap
        Map of the second run, turned, shifted and, where needed, inverted to the frame of the first.
    difference : ndarray
        `(n, n, n)` map of the first run less that of the second, both low-passed alike and of the same strength.
    level : float
        Contour from which differences are worth a look.
    poses : PoseAgreement
        Whether the poses agree.
    curves : dict
        Axis -> curves of the first and of the second run, by the names of `RunView.curves`.
    """

    facts: tuple[RunFacts, RunFacts]
    fitted: FittedMap
    difference: NDArray[np.float32]
    level: float
    poses: PoseAgreement
    curves: dict[Along, tuple[dict[str, MetricCurve], dict[str, MetricCurve]]]


def compare_runs(first: ComparedRun, second: ComparedRun, epoch: int | None = None) -> TwoRuns:
    """Compare two runs; this takes some seconds, and loads torch.

    Parameters
    ----------
    first
        Run in whose frame all is shown. Its truth is that of the second one too, if both are of the same file.
    second
        Run whose newest state is compared.
    epoch
        Epoch of the first run. Default: its newest state.

    Raises
    ------
    FileNotFoundError, ValueError
        One of them has no map yet, or cannot be read.
    """
    fitted = first.fit_run(second, epoch)
    difference, level = _difference(first, fitted, epoch)
    records = _poses(first, epoch), _poses(second, None)
    same = _same_particles(first, second)
    truths = first.truth, first.truth if same else second.truth
    return TwoRuns(
        facts=(_facts(first, records[0], truths[0]), _facts(second, records[1], truths[1])),
        fitted=fitted,
        difference=difference,
        level=level,
        poses=_agreement(*records, first.symmetry) if same else PoseAgreement(note="the runs are of different files"),
        curves={along: (first.curves(along), second.curves(along)) for along in AXES},
    )


def _difference(first: ComparedRun, fitted: FittedMap, epoch: int | None) -> tuple[NDArray[np.float32], float]:
    """Subtract the second map from the first, and return the contour from which that is worth a look."""
    own, box = first.map(epoch), len(fitted.density)
    sphere = spherical_mask(box, SPHERE_OF_FIT * box, EDGE_OF_FIT * box)
    map_one = low_pass(own.density, own.pixel_size, first.compared_to(epoch)) * sphere
    map_two = fitted.density * sphere
    strength = float((map_one * map_two).sum() / max(float((map_two**2).sum()), 1e-20))
    difference = np.asarray(map_one - strength * map_two, np.float32)
    return difference, DIFFERENCE_LEVEL * MapStatistics.of(map_one).start_level


def _poses(view: ComparedRun, epoch: int | None) -> ParticleRecord:
    """Return a run's particles in one frame: those of its results, or of a moment, with half sets of the first half."""
    if epoch is None and view.folder.has_newest_results():
        return view.results.particles
    record = view.particles(epoch)
    return record.of_half(1) if record.has_halves else record


def _same_particles(first: ComparedRun, second: ComparedRun) -> bool:
    return first.folder.source.particles.resolve() == second.folder.source.particles.resolve()


def _agreement(first: ParticleRecord, second: ParticleRecord, symmetry: str) -> PoseAgreement:
    common, one, two = np.intersect1d(first.rows, second.rows, return_indices=True)
    if len(common) < FEWEST_COMPARED:
        return PoseAgreement(particles=len(common), note=f"the runs share {len(common)} particles")
    some = np.random.default_rng(0).permutation(len(common))[:COMPARED_PARTICLES]
    turned, known = second.rotations[two[some]], first.rotations[one[some]]
    found = rotation_errors(turned, known, symmetry=symmetry)
    alike = found.errors <= CLOSE
    aligned = align_rotations(turned, found.alignment, hand_flipped=found.hand_flipped)
    common_turns = find_common_turns(aligned, known, alike)
    angles = tuple(common_turns.angles)
    return PoseAgreement(
        particles=len(common),
        within_10=found.within_10,
        within_10_turned=float((alike | common_turns.explained).mean()) if angles else None,
        turn_angles=angles,
    )


def _facts(view: ComparedRun, record: ParticleRecord, truth: Path | None) -> RunFacts:
    status, settings = view.status, view.folder.settings
    told = status.verdict != NOT_DETERMINED
    errors = pose_errors(view.folder, record, truth)
    return RunFacts(
        name=view.folder.path.name,
        method=settings.method,
        seed=settings.machine.seed,
        epochs=status.epoch,
        minutes=status.elapsed / 60,
        resolution=status.resolution if told else None,
        verdict=status.verdict,
        pose_error=None if errors is None else float(np.median(errors)),
    )
