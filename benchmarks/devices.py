"""The same run on each device: how right, how fast, in how much memory, and whether the answer is the same.

    python benchmarks/devices.py OUT [--devices cuda cpu] [--cases whole halves] [--count 5000] [--box 64] [--seeds 0]

Simulates particles of a sample map once (SNR 0.4, shifts of 2 px sd), reconstructs them with the command line on each
device, and compares with the truth. Seconds are those of the whole command, from its start to the results written, and
of the reconstruction in it. Appends a row of JSON a run to OUT/devices.jsonl and prints a Markdown table of all rows.
Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from datetime import date
from itertools import product
from pathlib import Path

import numpy as np
import torch

from napari_cryospin import SAMPLE_MAPS
from napari_cryospin.evaluation.against_truth import evaluate_results
from napari_cryospin.io.mrc import read_map
from napari_cryospin.runs.folder import RunFolder

CASES = {"whole": [], "halves": ["--half-sets"]}
"""Flags of the command for each case."""
SNR, SHIFT = 0.4, 2.0
"""Signal to noise of the images, and the standard deviation of shifts in px."""
COLUMNS = (
    "device",
    "case",
    "seed",
    "seconds",
    "reconstruction",
    "host_gib",
    "device_gib",
    "median",
    "within_10",
    "fsc",
)
PROGRAM = (sys.executable, "-m", "napari_cryospin")


def command(*arguments: object) -> tuple[float, float]:
    """Run the command line; return its seconds and the largest memory of its process, GiB."""
    began = time.perf_counter()
    process = subprocess.Popen([*PROGRAM, *map(str, arguments)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"failed with {os.waitstatus_to_exitcode(status)}: {' '.join(map(str, arguments))}")
    return time.perf_counter() - began, usage.ru_maxrss / 2**20


def simulated(options: argparse.Namespace) -> Path:
    """Return the stem of the simulated stack, which is made once."""
    stem: Path = options.out / f"{options.molecule}_{options.count}x{options.box}"
    if not stem.with_suffix(".star").exists():
        sample = SAMPLE_MAPS[options.molecule]
        density, pixel_size = read_map(sample)
        shift = SHIFT * pixel_size * len(density) / options.box
        flags = ["--count", options.count, "--box", options.box, "--snr", SNR, "--shift-sd", shift]
        command("simulate", sample, stem, *flags)
    return stem


def agreement(one: Path, other: Path) -> float:
    """Return the least FSC up to 80 % of Nyquist of two runs' maps, laid on each other by their poses."""
    found = evaluate_results(one, other / "particles.star", other / "map.mrc", "C1")
    assert found.map is not None
    return found.map.at_nyquist_share(0.8)


def measure(device: str, case: str, seed: int, options: argparse.Namespace) -> dict[str, object]:
    """Run one case and return what came out."""
    stem = simulated(options)
    run = options.out / f"run_{stem.name}_{case}_{seed}_{device.replace(':', '')}"
    flags = ["--device", device, "--seed", seed, "--preset", options.preset, *CASES[case], *options.flags]
    seconds, host = command("run", stem.with_suffix(".star"), "-o", run, *flags)
    report = evaluate_results(run / "results", stem.with_name(f"{stem.name}_truth.star"), None, "C1")
    assert report.rotations is not None
    ended = json.loads((run / "events.jsonl").read_text().splitlines()[-1])
    status = RunFolder(run).read_status()
    row: dict[str, object] = {"device": device, "case": case, "seed": seed, "count": options.count, "box": options.box}
    row |= {"preset": options.preset, "date": date.today().isoformat(), "machine": machine(device)}
    row |= {"seconds": seconds, "reconstruction": ended["detail"]["elapsed"], "host_gib": host}
    row["device_gib"] = "" if status is None or status.memory is None else status.memory
    row |= {"median": report.rotations.median, "within_10": report.rotations.within_10}
    twin = options.out / run.name.replace(device.replace(":", ""), options.devices[-1].replace(":", ""))
    row["fsc"] = agreement(run / "results", twin / "results") if twin != run and twin.exists() else ""
    return row


def machine(device: str) -> str:
    """Return what computes, in words."""
    if device.startswith("cuda"):
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    return f"{os.cpu_count()} cores {platform.processor() or platform.machine()}, torch {torch.__version__}"


def table(rows: list[dict[str, object]]) -> str:
    """Return the rows as Markdown."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for row in rows:
        cells = (row.get(name, "") for name in COLUMNS)
        lines.append(
            "| " + " | ".join(f"{c:.3g}" if isinstance(c, float | np.floating) else str(c) for c in cells) + " |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for stacks, runs and figures")
    parser.add_argument(
        "--devices",
        nargs="+",
        default=["cuda", "cpu"],
        help="others are compared with the last one",
    )
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--molecule", choices=SAMPLE_MAPS, default="spliceosome")
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--box", type=int, default=64)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--flags", nargs="+", default=[], help="more flags of the command, as --flags=--no-mates")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    record = options.out / "devices.jsonl"
    for device, case, seed in product(reversed(options.devices), options.cases, options.seeds):
        row = measure(device, case, seed, options)
        with record.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)
    print(table([json.loads(line) for line in record.read_text().splitlines()]))


if __name__ == "__main__":
    main()
