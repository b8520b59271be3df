"""Make the paper's tables and figures with every method on the same particles.

    python -m benchmarks.paper --maps FOLDER --out FOLDER [--ctf TABLE.npz] [--scale look|cpu|full]
        [--methods ...] [--molecules ...] [--seeds ...] [--count N] [--report]

Scales: `look` (200 images of 16 px; that everything runs), `cpu` (2,000 of 32 px of the spike, every method, three
seeds, the same limit of time for every run: 70 minutes on two cores), `full` (50,000 of 128 px, SNR 0.1: the paper's
sizes; quick alone, seed 0, unless others are named; each run to its end).

Each run is a process of its own, a run folder in FOLDER/runs/SCALE_COUNT, and a file of what was measured beside it. A
run that was measured is not made again, one that failed stands as failed, and one that was interrupted goes on from its
last checkpoint: to make a run anew, remove its folder and its file. After every run report.html, table_1.csv and others
are written anew, of all runs that lie there; all figures are drawn at the end, or by `--report` alone, which makes no
run. Use an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from benchmarks.paper.cases import CONTENDERS, SCALES, Case, Scale, cases, in_order
from benchmarks.paper.drawing import Comparison
from benchmarks.paper.report import write_report

from napari_cryospin.simulation.files import write_simulation
from napari_cryospin.simulation.images import SimulationSettings

INTERRUPTED = (-signal.SIGINT, -signal.SIGTERM, 130)
"""Exit codes of a run that a signal stopped: it goes on the next time."""


def simulate(molecule: str, scale: Scale, options: argparse.Namespace) -> Path:
    """Return the stem of the particles of a molecule, which are made once."""
    stem: Path = options.out / "particles" / scale.stem(molecule)
    if not Path(f"{stem}_map.mrc").exists():
        stem.parent.mkdir(parents=True, exist_ok=True)
        source = options.maps / f"{molecule}.mrc"
        settings = SimulationSettings(count=scale.count, box=scale.box, snr=scale.snr, ctf_table=options.ctf)
        write_simulation(source, stem, settings)
        shutil.copy(source, f"{stem}_map.mrc")  # The last file: what was interrupted is made anew.
    return stem


def measure(case: Case, scale: Scale, options: argparse.Namespace, out: Path) -> None:
    """Make a run in a process of its own, whose peak memory is then its own."""
    stem = options.out / "particles" / scale.stem(case.molecule)
    command = [sys.executable, "-m", "benchmarks.paper.measure", stem, out, "--scale", scale.name]
    command += ["--method", case.method, "--molecule", case.molecule, "--seed", case.seed]
    code = subprocess.run([*map(str, command), "--threads", str(scale.threads)]).returncode
    if code < 0 and code not in INTERRUPTED:  # It was killed, and could not write that down itself.
        name = signal.Signals(-code).name
        out.write_text(json.dumps(dataclasses.asdict(case) | {"rows": [], "failed": f"killed by {name}: no memory?"}))
    elif code:
        raise KeyboardInterrupt(f"{case.name} did not end (exit code {code})")


def make(wanted: Sequence[Case], scale: Scale, options: argparse.Namespace) -> None:
    """Make the runs that are missing, some at a time, with a report after each."""
    folder = runs_folder(scale, options)
    folder.mkdir(parents=True, exist_ok=True)
    missing = {case: file for case in wanted if not (file := folder / f"{case.name}.json").exists()}
    for molecule in dict.fromkeys(case.molecule for case in missing):
        simulate(molecule, scale, options)
    with ThreadPoolExecutor(scale.jobs) as pool:
        made = [pool.submit(measure, case, scale, options, file) for case, file in missing.items()]
        try:
            for one in as_completed(made):
                one.result()
                report(wanted, scale, options, figures=False)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def runs_folder(scale: Scale, options: argparse.Namespace) -> Path:
    """Return the folder of the runs of a scale."""
    folder: Path = options.out / "runs" / scale.folder
    return folder


def report(wanted: Sequence[Case], scale: Scale, options: argparse.Namespace, *, figures: bool) -> Path:
    """Write the report of all runs of the scale that were measured, with how many of the wanted ones are missing."""
    folder = runs_folder(scale, options)
    made = in_order([json.loads(file.read_text()) for file in folder.glob("*.json")])
    missing = sum(not (folder / f"{case.name}.json").exists() for case in wanted)
    return write_report(Comparison(made, scale, options.out), missing, figures=figures)


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", type=Path, required=True, help="folder with hsp.mrc, spike.mrc and spliceosome.mrc")
    parser.add_argument(
        "--ctf", type=Path, default=None, help=".npz with `ctf` (n, 9) to draw from; default: random ones"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of particles, runs and report")
    parser.add_argument("--scale", choices=SCALES, default="cpu")
    parser.add_argument("--methods", nargs="+", choices=CONTENDERS, default=None, help="default: all; of full, quick")
    molecules = SCALES["full"].molecules
    parser.add_argument("--molecules", nargs="+", choices=molecules, default=None, help="default: those of the scale")
    parser.add_argument("--seeds", nargs="+", type=int, default=None, help="default: as many as the scale has, from 0")
    parser.add_argument("--count", type=int, default=None, help="images of a molecule, to try a scale; its own folder")
    parser.add_argument(
        "--jobs", type=int, default=None, help="runs at a time; default: the scale's, as it was measured"
    )
    parser.add_argument("--threads", type=int, default=None, help="threads of a run; default: the scale's")
    parser.add_argument("--report", action="store_true", help="make no run; write the report of what is there")
    return parser.parse_args()


def main() -> None:
    options = parsed()
    options.out = options.out.resolve()
    changes = {name: getattr(options, name) for name in ("count", "jobs", "threads")}
    given = {name: value for name, value in changes.items() if value is not None}
    scale = dataclasses.replace(SCALES[options.scale], **given)
    wanted = cases(scale, options.methods, options.molecules, options.seeds)
    try:
        if not options.report:
            make(wanted, scale, options)
    except KeyboardInterrupt as stopped:
        sys.exit(f"{stopped or 'stopped'}; the same command goes on")
    print(report(wanted, scale, options, figures=True))


if __name__ == "__main__":
    main()
