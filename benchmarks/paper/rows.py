"""What a run's folder says when it is compared with the truth: a row for every epoch that it kept."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.paper.cases import SYMMETRIES

from napari_cryospin.evaluation.against_truth import MapComparison, compare_maps, compare_poses
from napari_cryospin.evaluation.pose_error import PoseErrors, ShiftErrors
from napari_cryospin.io.mrc import read_map
from napari_cryospin.io.open import open_particles
from napari_cryospin.particles import Particles
from napari_cryospin.views.run_view import RunView

RESOLUTIONS = 8
"""Epochs of a run in which the map is compared with the truth: an alignment takes seconds. Chosen by hand."""


@dataclass(frozen=True)
class TrueRun:
    """A run in a folder, whose particles were simulated as the files that begin with a stem."""

    folder: Path
    stem: Path
    molecule: str

    @property
    def truth_file(self) -> Path:
        return Path(f"{self.stem}_truth.star")

    @functools.cached_property
    def truth(self) -> Particles:
        return open_particles(self.truth_file)

    @functools.cached_property
    def view(self) -> RunView:
        return RunView(self.folder, self.truth_file)

    def poses(self, epoch: int) -> tuple[PoseErrors, ShiftErrors]:
        """Compare the poses at the end of an epoch with the true ones."""
        record = self.view.folder.history(epoch).particles()
        posed = dataclasses.replace(self.truth.select(record.rows), rotations=record.rotations, shifts=record.shifts)
        return compare_poses(posed, self.truth, SYMMETRIES.get(self.molecule, "C1"))

    def compared(self, epoch: int) -> MapComparison:
        """Compare the map at the end of an epoch with the true one."""
        file = self.view.folder.history(epoch)
        return compare_maps(file.maps()[0], file.pixel_size, *read_map(f"{self.stem}_map.mrc"), self.poses(epoch))

    def seconds(self) -> dict[int, float]:
        """Return the time of the run at the end of each epoch."""
        lines = self.view.folder.read_metrics()
        return {line["epoch"]: line["elapsed"] for line in lines if line.get("epoch_ended")}


def epochs_with_map(epochs: tuple[int, ...]) -> set[int]:
    """Choose the epochs in which the map is compared: evenly among those that were kept, and the last one."""
    every = max(1, len(epochs) // RESOLUTIONS)
    return set(epochs[::-1][::every][:RESOLUTIONS])


def rows_of(run: TrueRun) -> list[dict[str, Any]]:
    """List epoch, stage, seconds, pose errors in degrees and, in some epochs, resolution in A at FSC 0.5."""
    seconds, with_map = run.seconds(), epochs_with_map(run.view.epochs)
    return [_row(run, epoch, seconds[epoch], with_map=epoch in with_map) for epoch in run.view.epochs]


def _row(run: TrueRun, epoch: int, seconds: float, *, with_map: bool) -> dict[str, Any]:
    poses = run.poses(epoch)[0]
    found = {"epoch": epoch, "stage": run.view.folder.history(epoch).stage, "seconds": seconds}
    found |= {"mean": poses.mean, "median": poses.median, "within_10": poses.within_10}
    return found | ({"resolution": run.compared(epoch).resolution} if with_map else {})
