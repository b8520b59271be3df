"""Whether a symmetry is better imposed from the first step on, once the map shows it, or not at all.

    python benchmarks/symmetry_imposed.py OUT --groups C3 D7 --seeds 0 1 2

Particles of a chiral model of each group are simulated, and reconstructed from nothing three times with each seed: with
the symmetry from the first step on, with it once the map shows it (the default), and without it. The table has the
share of the particles whose rotation is within 10 degrees modulo the group. For the seconds the machine must be idle.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_cryospin.engine.reconstruction import Reconstruction
from napari_cryospin.evaluation.pose_error import rotation_errors
from napari_cryospin.geometry.point_groups import group_matrices
from napari_cryospin.io.mrc import write_map
from napari_cryospin.io.open import open_particles
from napari_cryospin.particles import Particles
from napari_cryospin.settings import PRESETS, Settings
from napari_cryospin.simulation.files import write_simulation
from napari_cryospin.simulation.images import SimulationSettings

BOX, PIXEL_SIZE = 32, 3.0
WAYS = ("from the first step", "later", "without")


def model(name: str, blobs: int) -> NDArray[np.float32]:
    """Make a map of a few blobs of different weight and their copies under a group."""
    rng = np.random.default_rng(5)
    directions = rng.normal(size=(blobs, 3))
    centres = directions / np.linalg.norm(directions, axis=1)[:, None] * rng.uniform(12, 32, blobs)[:, None]
    copies = (group_matrices(name) @ centres.T).transpose(0, 2, 1).reshape(-1, 3)
    weights = np.tile(rng.uniform(0.5, 1.5, blobs), len(copies) // blobs)
    line = (np.arange(BOX) - BOX // 2) * PIXEL_SIZE
    x, y, z = (np.exp(-((line - copies[:, axis, None]) ** 2) / (2 * 4.0**2)) for axis in range(3))
    return np.einsum("b,bx,by,bz->zyx", weights, x, y, z).astype(np.float32)


def simulated(out: Path, name: str, count: int, snr: float) -> tuple[Particles, NDArray[np.float64]]:
    """Write particles of a model. Return them and their true rotations `(n, 3, 3)`."""
    write_map(out / f"{name}.mrc", model(name, 3 if len(group_matrices(name)) > 5 else 6), PIXEL_SIZE)
    settings = SimulationSettings(count=count, box=BOX, snr=snr, shift_sd=3.0)
    files = write_simulation(out / f"{name}.mrc", out / name, settings)
    truth = open_particles(files.truth).rotations
    assert truth is not None
    return open_particles(files.particles), truth


def settings_of(seed: int, symmetry: str, *, later: bool = True) -> Settings:
    """Take the preset for quick runs with a seed and a symmetry."""
    quick = PRESETS["quick"]
    machine = dataclasses.replace(quick.machine, seed=seed, threads=1, device="cpu")
    volume = dataclasses.replace(quick.volume, symmetry=symmetry, symmetry_later=later)
    return dataclasses.replace(quick, machine=machine, volume=volume)


def outcomes(
    particles: Particles, truth: NDArray[np.float64], name: str, seed: int, ways: Sequence[str]
) -> Iterator[str]:
    """Reconstruct in several ways, and tell of each share, verdict, epochs, seconds, and when the symmetry came."""
    for way in ways:
        began, told = time.monotonic(), []
        symmetry = "C1" if way == "without" else name
        run = Reconstruction(particles, settings_of(seed, symmetry, later=way == "later"))
        while not run.finished:
            run.advance()
            if run.epoch_ended and run.symmetry_due and (change := run.take_symmetry()) is not None:
                told.append(f"after {run.epoch} epochs: {change.text}")
        results, seconds = run.results(), time.monotonic() - began
        errors = rotation_errors(results.particles.rotations, truth[results.particles.rows], symmetry=name)
        kind = "" if results.verdict is None else results.verdict.kind
        cells = name, seed, way, f"{100 * errors.within_10:.1f} %", kind, run.epoch, f"{seconds:.0f}", "; ".join(told)
        yield f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Print one row of the table a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for the particles")
    parser.add_argument("--groups", nargs="+", default=["C3", "D7"], help="point groups of the models")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="seeds of the runs")
    parser.add_argument("--count", type=int, default=600, help="particles")
    parser.add_argument("--snr", type=float, default=0.1, help="signal to noise")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="when the symmetry is imposed")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    columns = ("group", "seed", "symmetry", "within 10 degrees", "verdict", "epochs", "s", "what came")
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for name in given.groups:
        particles, truth = simulated(given.out, name, given.count, given.snr)
        for seed in given.seeds:
            for row in outcomes(particles, truth, name, seed, given.ways):
                print(row, flush=True)


if __name__ == "__main__":
    main()
