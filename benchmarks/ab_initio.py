"""Ab-initio reconstructions against known truths: how right, how fast, and what the encoder is worth.

    python benchmarks/ab_initio.py --maps FOLDER --ctf TABLE.npz --out FOLDER [--seeds 0 1 2] [--cases ...]

Simulates 5,000 particles of 64 px a case (SNR 0.4), reconstructs each with the command line as a user would, times the
command from its start to the results written, and compares with the truth. Appends a row of JSON a run to
FOLDER/ab_initio.jsonl and prints a Markdown table of all rows there. Run it on an otherwise idle machine.

When to switch: `--switches 2 4 8 automatic 20`, and with `--flags=--no-search-at-switch` without the search that
repairs what an early switch leaves.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import numpy as np

from napari_cryospin.evaluation.against_truth import compare_poses, evaluate_results
from napari_cryospin.evaluation.pose_error import candidate_errors
from napari_cryospin.io.mrc import read_map
from napari_cryospin.io.open import open_particles
from napari_cryospin.runs.folder import RunFolder

PIXEL_SIZE = {"spliceosome": 8.66, "spike": 4.26, "hsp": 3.0}
SYMMETRY = {"spike": ("C3",), "hsp": ("C1", "C2")}
COUNT, BOX, SNR = 5000, 64, 0.4


def command(*arguments: object) -> float:
    """Run the command line; seconds from start to end."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "napari_cryospin", *map(str, arguments)], check=True, capture_output=True)
    return time.perf_counter() - began


def simulated(molecule: str, shift: float, options: argparse.Namespace) -> Path:
    """Particles of a molecule, shifts of `shift` px sd; made once."""
    stem = options.out / f"{molecule}_{shift:g}px"
    if not stem.with_suffix(".star").exists():
        flags = ["--count", COUNT, "--box", BOX, "--snr", SNR, "--ctf-table", options.ctf]
        command("simulate", options.maps / f"{molecule}.mrc", stem, *flags, "--shift-sd", shift * PIXEL_SIZE[molecule])
    return stem


def encoder_at_switch(run: Path, truth: Path, symmetry: str) -> dict[str, object]:
    """Median error of each particle's best head, and the heads' shares, in the last epoch before the switch."""
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    epoch = next(event["detail"]["epoch"] for event in events if event["kind"] == "switched")
    record = RunFolder(run).history(epoch).particles("candidates", "best_head")
    candidates, best = record.candidates.astype(float), record.best_head
    if not candidates.shape[1]:
        return {"switch_epoch": epoch}
    true = open_particles(truth)
    poses, _ = compare_poses(open_particles(run / "results" / "particles.star"), true, symmetry)
    nearest = candidate_errors(candidates, true.rotations, poses).min(1)
    share = np.bincount(best[best >= 0], minlength=candidates.shape[1]) / max(1, (best >= 0).sum())
    found = {"switch_epoch": epoch, "head_median": float(np.median(nearest)), "least_share": float(share.min())}
    return found


def measure(case: str, seed: int, method: str, switch: str, options: argparse.Namespace) -> dict[str, object]:
    """One run and what came out."""
    molecule, shift = case.split(":")[0], float(case.split(":")[1])
    stem = simulated(molecule, shift, options)
    run = options.out / "_".join(("run", molecule, f"{shift:g}px", method, str(seed), switch, *options.flags))
    flags = ["--preset", "quick", "--method", method, "--seed", seed, "--threads", options.threads]
    flags += ["--shifts" if shift else "--no-shifts", "--switch", switch, *options.flags]
    seconds = command("run", stem.with_suffix(".star"), "-o", run, *flags)
    row: dict[str, object] = {"molecule": molecule, "shift_px": shift, "seed": seed, "method": method}
    row |= {"seconds": seconds, "switch": switch, "flags": " ".join(options.flags)}
    truth = stem.with_name(f"{stem.name}_truth.star")
    symmetries = SYMMETRY.get(molecule, ("C1",))
    for symmetry in symmetries:
        report = evaluate_results(run / "results", truth, None, symmetry)
        assert report.rotations is not None
        assert report.shifts is not None
        tail = "" if symmetry == symmetries[0] else f"_{symmetry}"
        row |= {f"mean{tail}": report.rotations.mean, f"median{tail}": report.rotations.median}
        row[f"within_10{tail}"] = report.rotations.within_10
        row[f"shift_error_px{tail}"] = report.shifts.median / PIXEL_SIZE[molecule]
    report = evaluate_results(run / "results", truth, options.maps / f"{molecule}.mrc", symmetries[0])
    assert report.map is not None
    row |= {"fsc_80": report.map.at_nyquist_share(0.8), "resolution": report.map.resolution}
    row["nyquist"] = 2 * read_map(run / "results" / "map.mrc")[1]
    return row | encoder_at_switch(run, truth, symmetries[-1])


def table(rows: list[dict[str, object]]) -> str:
    """Markdown."""
    names = ["molecule", "shift_px", "method", "flags", "switch", "seed", "seconds", "median", "mean"]
    names += ["within_10", "within_10_C2", "shift_error_px", "fsc_80", "switch_epoch", "head_median", "least_share"]
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    for row in rows:
        cells = (row.get(name, "") for name in names)
        lines.append("| " + " | ".join(f"{c:.3g}" if isinstance(c, float) else str(c) for c in cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", type=Path, required=True, help="folder with spliceosome.mrc, spike.mrc, hsp.mrc")
    parser.add_argument("--ctf", type=Path, required=True, help=".npz with `ctf` (n, 9)")
    parser.add_argument("--out", type=Path, required=True, help="folder for stacks, runs and figures")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=2)
    cases = ["spliceosome:0", "spike:0", "hsp:0", "spliceosome:3", "spike:3"]
    parser.add_argument("--cases", nargs="+", default=cases, help="MOLECULE:SHIFT_SD_IN_PX")
    parser.add_argument("--methods", nargs="+", default=["cryospin"], help="cryospin, search (without encoder)")
    parser.add_argument("--switches", nargs="+", default=["automatic"], help="automatic, or after so many epochs")
    parser.add_argument("--flags", nargs="+", default=[], help="more flags of the command, as --flags=--no-mates")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    record = options.out / "ab_initio.jsonl"
    for method, case, switch, seed in product(options.methods, options.cases, options.switches, options.seeds):
        row = measure(case, seed, method, switch, options)
        with record.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)
    print(table([json.loads(line) for line in record.read_text().splitlines()]))


if __name__ == "__main__":
    main()
