"""The paper's two stages on a CPU, beside the quick preset: pose error against time, with the drop at the switch.

    python benchmarks/two_stages.py --map RIBOSOME.mrc --pixel-size 13.1 --ctf TABLE.npz --out FOLDER [--seed 0]

4,000 images of 32 px (SNR 0.5). Both presets run in this one process, one after the other; evaluation is not timed.
Writes FOLDER/two_stages.csv (preset, epoch, stage, seconds, mean, median, least head share) and a picture of it.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import time
from pathlib import Path

import matplotlib as mpl
import torch

from napari_cryospin.engine.reconstruction import Reconstruction
from napari_cryospin.evaluation.against_truth import compare_poses
from napari_cryospin.io.open import open_particles
from napari_cryospin.settings import PRESETS
from napari_cryospin.simulation.files import write_simulation
from napari_cryospin.simulation.images import SimulationSettings

mpl.use("Agg")
from matplotlib import pyplot as plt

COLUMNS = ("preset", "epoch", "stage", "seconds", "mean", "median", "least_share")


def curve(preset: str, stem: Path, seed: int) -> list[tuple[object, ...]]:
    """One row an epoch."""
    particles, truth = open_particles(stem.with_suffix(".star")), open_particles(f"{stem}_truth.star")
    settings = PRESETS[preset]
    settings = dataclasses.replace(
        settings,
        encoder=dataclasses.replace(settings.encoder, shifts=False),
        machine=dataclasses.replace(settings.machine, seed=seed),
    )
    rows: list[tuple[object, ...]] = []
    began, evaluating = time.perf_counter(), 0.0
    reconstruction = Reconstruction(particles, settings)
    while not reconstruction.finished:
        reconstruction.advance()
        if not reconstruction.epoch_ended:
            continue
        seconds = time.perf_counter() - began - evaluating
        found = reconstruction.results()
        posed = dataclasses.replace(particles, rotations=found.rotations, shifts=found.shifts)
        errors, _ = compare_poses(posed, truth, "C1")
        shares = [value for name, value in reconstruction.epoch_metrics().items() if name.startswith("head_share")]
        stage, epoch = reconstruction.stage, reconstruction.epoch
        rows.append((preset, epoch, stage, seconds, errors.mean, errors.median, min(shares)))
        print(*rows[-1], flush=True)
        evaluating = time.perf_counter() - began - seconds
    return rows


def draw(rows: list[tuple[object, ...]], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for preset, colour in (("paper-cpu", "tab:blue"), ("quick", "tab:orange")):
        for stage, line in (("auto-encoding", "--"), ("auto-decoding", "-")):
            part = [row for row in rows if row[0] == preset and row[2] == stage]
            label = f"{preset}, {stage}"
            axes.loglog([row[3] for row in part], [row[5] for row in part], line, color=colour, label=label)
    axes.set(xlabel="time (s)", ylabel="median rotation error (degrees)")
    axes.legend(frameon=False)
    axes.grid(alpha=0.3, which="both")
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--map", type=Path, required=True)
    parser.add_argument("--pixel-size", type=float, default=None)
    parser.add_argument("--ctf", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    stem = options.out / "ribosome_32px"
    settings = SimulationSettings(count=4000, snr=0.5, ctf_table=options.ctf)
    write_simulation(options.map, stem, settings, pixel_size=options.pixel_size)
    rows = [row for preset in ("quick", "paper-cpu") for row in curve(preset, stem, options.seed)]
    with (options.out / "two_stages.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    draw(rows, options.out / "two_stages.png")


if __name__ == "__main__":
    main()
