"""Verdicts on stacks with known answers: the table of docs/verdict.md, and the figures behind the thresholds.

    python benchmarks/verdict_table.py OUT NAME=PARTICLES.star[,TRUTH.star] ... [--seeds 0 1] [-- FLAGS OF run ...]

Reconstructs each stack with the command line, quick preset, one thread, and prints a row of a Markdown table: verdict,
evidence and, where true poses are known, the share of particles within 10 degrees. `--noise COUNT` adds a stack of pure
noise of 48 px.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import mrcfile
import numpy as np

from napari_cryospin.evaluation.against_truth import compare_poses
from napari_cryospin.io.open import open_particles

COLUMNS = ("entropy", "held_out_entropy", "gain", "told_apart", "found_again", "mate_lead", "mate_better")
COLUMNS += ("mate_confirmed", "sign_lead", "skewness", "error_over_noise", "turn")


def noise_stack(out: Path, count: int) -> Path:
    """Images of white noise, without a CTF."""
    noise = np.random.default_rng(0).standard_normal((count, 48, 48), dtype=np.float32)
    with mrcfile.new(out / "noise.mrcs", noise, overwrite=True) as mrc:
        mrc.set_image_stack()
        mrc.voxel_size = 4.0
    return out / "noise.mrcs"


def within_10(run: Path, truth: Path, symmetry: str) -> float:
    """Per cent of particles within 10 degrees of the truth."""
    poses, _ = compare_poses(open_particles(run / "results" / "particles.star"), open_particles(truth), symmetry)
    return 100 * poses.within_10


def row(name: str, seed: int, run: Path, truth: Path | None) -> str:
    """A row of the table."""
    verdict = json.loads((run / "results" / "postprocess.json").read_text())["verdict"]
    right = "" if truth is None else f"{within_10(run, truth, 'C3' if 'spike' in name else 'C1'):.1f} %"
    known = (verdict["evidence"].get(column) for column in COLUMNS)
    cells = ("" if value is None else f"{value:.3g}" for value in known)
    return " | ".join(("", name, str(seed), right, verdict["kind"], *cells, "")).strip()


def main() -> None:
    own, _, flags = " ".join(sys.argv[1:]).partition(" -- ")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("stacks", nargs="*", help="NAME=PARTICLES.star[,TRUTH.star]")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--noise", type=int, default=0, help="images of a stack of pure noise")
    choice = parser.parse_args(own.split())
    choice.out.mkdir(parents=True, exist_ok=True)
    stacks = dict(each.split("=", 1) for each in choice.stacks)
    if choice.noise:
        stacks["noise"] = str(noise_stack(choice.out, choice.noise))
    print("| stack | seed | within 10° | verdict | " + " | ".join(COLUMNS) + " |")
    print("|" + "---|" * (len(COLUMNS) + 4))
    for name, paths in stacks.items():
        particles, _, truth = paths.partition(",")
        for seed in choice.seeds:
            run = choice.out / f"{name}_{seed}"
            command = [sys.executable, "-m", "napari_cryospin", "run", particles, "-o", str(run), "--preset", "quick"]
            if not (run / "results" / "postprocess.json").exists():
                command += ["--seed", str(seed), "--threads", "1", *flags.split()]
                subprocess.run(command, check=True, capture_output=True)
            print(row(name, seed, run, Path(truth) if truth else None), flush=True)


if __name__ == "__main__":
    main()
