"""Compare the results of two source trees bit for bit, through the command line of each.

    python benchmarks/same_results.py BEFORE AFTER [--cache FOLDER] [--out TABLE.md] [--quick-look] [--times N]

Each tree simulates particles of 32 px, and runs the same cases on those of BEFORE with one thread and seed 0. Every
file in results/, every epoch in history/, every snapshot and every line of metrics.jsonl is compared. Prints a table
of cases and files, and exits with 1 if anything differs. Names that changed between the trees: see `RENAMED`.

A run decides by the clock which epochs and metrics it records. So that both trees record the same, each run reads a
clock by which everything is always due (`CLOCK`); this changes what is recorded and not what is computed.

`--times N` measures instead: N runs of each case in turns, BEFORE, AFTER, BEFORE, ..., without that clock. These times
mean something on an otherwise idle machine only. All other seconds that are printed are for orientation.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np

RENAMED: dict[str, str] = {"indices": "rows", "winning_head": "winner", "candidate_rotations": "candidates"}
"""Name of an array, of a metric or of a file in version 0.1 -> its name now."""
CLOCKED = ("time", "elapsed")
"""Metrics that are read from a clock."""

CLOCK = '''
"""A clock for `time.monotonic` that advances by a second at every call, and by six days once the run has started."""
import os, time
real, events = time.monotonic, os.environ["SAME_RESULTS_EVENTS"]
def size():
    return os.path.getsize(events) if os.path.exists(events) else 0
before, ahead, last = size(), 0.0, 0.0
def monotonic():
    global ahead, last
    if not ahead and size() > before:
        ahead = 5e5
    last = max(real() + ahead, last + 1.0)
    return last
time.monotonic = monotonic
'''
"""sitecustomize of the compared runs. Six days ahead, the budgets of all that is published are full."""


@dataclass(frozen=True)
class Case:
    """Flags of a run; `interrupted`: it is stopped, resumed, killed and resumed."""

    flags: tuple[str, ...]
    interrupted: bool = False


QUICK = ("--preset", "quick", "--growth-steps", "36")
PAPER = ("--preset", "paper-cpu", "--growth-steps", "20")
CASES = {
    "quick": Case((*QUICK, "--epochs", "30", "--no-shifts", "--no-mates")),
    "quick, shifts and mates": Case((*QUICK, "--epochs", "30")),
    "search": Case((*QUICK, "--method", "search", "--epochs", "20")),
    "em": Case((*QUICK, "--method", "em", "--epochs", "20")),
    "search, soft assignments": Case((*QUICK, "--method", "search", "--assignments", "soft", "--epochs", "20")),
    "paper-cpu": Case((*PAPER, "--epochs", "6", "--switch", "3")),
    "fully amortized": Case(
        (*PAPER, "--method", "fully-amortized", "--loss", "absolute", "--noise", "white", "--shifts", "--epochs", "4")
    ),
    "half sets": Case((*QUICK, "--epochs", "30", "--half-sets")),
    "half sets, interrupted": Case((*QUICK, "--epochs", "30", "--half-sets"), interrupted=True),
}
QUICK_LOOK = {
    "quick": Case((*QUICK, "--epochs", "8", "--switch", "4", "--batch-size", "100")),
    "paper-cpu": Case((*PAPER, "--epochs", "3", "--switch", "2", "--heads", "4")),
}
COUNT, QUICK_LOOK_COUNT = 500, 200
SAMPLE = ("--box", "32", "--snr", "0.4", "--shift-sd", "6")
"""Hsp90 is nearly C2-symmetric, so that mates are tested; 6 A are a pixel."""


@dataclass
class Tree:
    """A source tree, and how its command line is called."""

    source: Path
    hook: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        single = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1") | {"OMP_WAIT_POLICY": "passive"}
        self.environment = os.environ | single | {"PYTHONPATH": str(self.source)}
        where = "import napari_cryospin; print(napari_cryospin.__file__)"
        run = subprocess.run([sys.executable, "-c", where], env=self.environment, capture_output=True, text=True)
        if not run.stdout.startswith(str(self.source)):
            raise SystemExit(f"{self.source}: not imported from there, but from {run.stdout or run.stderr}")

    def digest(self) -> str:
        """Of all that its results depend on."""
        content = hashlib.sha256()
        for path in sorted(self.source.rglob("*.py")):
            content.update(str(path.relative_to(self.source)).encode() + path.read_bytes())
        return content.hexdigest()[:12]

    def start(self, *arguments: object, clock: Path | None = None) -> subprocess.Popen[str]:
        """Start a command; `clock`: the events of the run that is to read the other clock."""
        environment = self.environment
        if clock is not None:
            paths = os.pathsep.join((str(self.hook), environment["PYTHONPATH"]))
            environment = environment | {"PYTHONPATH": paths, "SAME_RESULTS_EVENTS": str(clock)}
        command = [sys.executable, "-m", "napari_cryospin", *map(str, arguments)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def command(self, *arguments: object, clock: Path | None = None) -> None:
        process = self.start(*arguments, clock=clock)
        output = process.communicate()[0]
        if process.returncode:
            raise SystemExit(f"{self.source}: {' '.join(map(str, arguments))}\n{output}")


def short_hash(*values: object) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()[:8]


def source_of(path: Path) -> Path:
    """The folder that holds the package: `path`, or `path`/src."""
    for folder in (path, path / "src"):
        if (folder / "napari_cryospin" / "__init__.py").is_file():
            return folder.resolve()
    raise SystemExit(f"{path}: no package napari_cryospin there, nor in its src")


def simulate(tree: Tree, folder: Path, count: int) -> Path:
    """Particles to run on: their STAR file."""
    folder.mkdir(parents=True, exist_ok=True)
    sample_map = tree.source / "napari_cryospin" / "data" / "hsp90_64.mrc"
    tree.command("simulate", sample_map, folder / "sample", "--count", count, *SAMPLE)
    return folder / "sample.star"


def reconstruct(tree: Tree, case: Case, particles: Path, run: Path, *, clock: bool = True) -> float:
    """Run a case; seconds."""
    shutil.rmtree(run, ignore_errors=True)
    events = run / "events.jsonl" if clock else None
    machine = ["--threads", 1, "--seed", 0, "--device", "cpu"]
    if clock:
        machine += ["--snapshot-every", 1e6, "--checkpoint-every", 1e6]
    began = time.perf_counter()
    arguments = ["run", particles, "-o", run, *case.flags, *machine]
    if case.interrupted:
        interrupt(tree.start(*arguments, clock=events), run, "epoch", 3, signal.SIGINT)
        # The only checkpoint that a killed run leaves is that of the switch.
        interrupt(tree.start("resume", run, clock=events), run, "switched", 2, signal.SIGKILL)
        arguments = ["resume", run]
    tree.command(*arguments, clock=events)
    return time.perf_counter() - began


def interrupt(process: subprocess.Popen[str], run: Path, after: str, epochs: int, number: signal.Signals) -> None:
    """Send a signal once so many epochs have ended, from the first event `after` on."""
    while process.poll() is None:
        kinds = [event["kind"] for event in read_lines(run / "events.jsonl")]
        if after in kinds and kinds[kinds.index(after) :].count("epoch") >= epochs:
            process.send_signal(number)
            process.wait()
            break
        time.sleep(0.05)
    output = process.communicate()[0]
    if process.returncode not in (-signal.SIGKILL, 130):
        raise SystemExit(f"{run}: ended before it was interrupted\n{output}")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Whole lines of a .jsonl file; the last may still be in writing."""
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


# What is compared


Content = Mapping[str, Any]  # name -> array, number or text


def read_mrc(path: Path) -> Content:
    with mrcfile.open(path, permissive=True) as file:
        return {"map": np.array(file.data), "pixel size": np.array(file.voxel_size.x)}


def read_npz(path: Path) -> Content:
    with np.load(path) as file:
        return {RENAMED.get(name, name): file[name] for name in file.files}


def read_metrics(path: Path) -> Content:
    """Every number of every line."""
    found = {}
    for number, line in enumerate(read_lines(path), start=1):
        for name, value in line.items():
            if name not in CLOCKED:
                found[f"line {number}, {RENAMED.get(name, name)}"] = value
    return found


def read_text(path: Path) -> Content:
    return {f"line {number}": line for number, line in enumerate(path.read_text().splitlines(), start=1)}


READERS: dict[str, Callable[[Path], Content]] = {
    ".mrc": read_mrc,
    ".mrcs": read_mrc,
    ".npz": read_npz,
    ".jsonl": read_metrics,
}
COLUMNS = ("results/*.mrc", "particles.npz", "particles.star", "other results", "history", "snapshots", "metrics")


def column(name: str) -> str:
    """Column of the table in which a file of a run is counted."""
    folder, _, file = name.partition("/")
    if folder == "results":
        return "results/*.mrc" if file.endswith(".mrc") else file if file in COLUMNS else "other results"
    return "metrics" if folder == "metrics.jsonl" else folder


def files(run: Path) -> dict[str, Path]:
    """Name in the tables -> path, of the files of a run, or of a sample, that are compared."""
    paths = [path for path in sorted(run.rglob("*")) if path.is_file()]
    names = {str(path.relative_to(run)): path for path in paths}
    kept = ("results/", "history/", "snapshots/", "metrics.jsonl", "sample")
    return {RENAMED.get(name, name): path for name, path in names.items() if name.startswith(kept)}


@dataclass(frozen=True)
class Difference:
    """How a value differs."""

    file: str
    name: str
    text: str
    largest: float = float("inf")

    def __str__(self) -> str:
        return f"{self.file}: {self.name}: {self.text}"


def differences(before: Path, after: Path) -> Iterator[Difference]:
    """All differences of two runs, or of two samples."""
    old, new = files(before), files(after)
    for name in old.keys() | new.keys():
        if name not in new or name not in old:
            yield Difference(name, "file", f"only {'before' if name in old else 'after'}")
        else:
            reader = READERS.get(old[name].suffix, read_text)
            yield from differing_values(name, reader(old[name]), reader(new[name]))


def differing_values(file: str, old: Content, new: Content) -> Iterator[Difference]:
    """A value that AFTER alone has is no difference in an .npz file or in metrics, where readers ask by name."""
    by_name = file.endswith((".npz", ".jsonl"))
    for name in old.keys() | (set() if by_name else new.keys()):
        if name not in new or name not in old:
            yield Difference(file, name, f"only {'before' if name in old else 'after'}")
        elif difference := compare(old[name], new[name]):
            yield Difference(file, name, *difference)


def compare(old: Any, new: Any) -> tuple[str, float] | None:
    """What differs, and the largest difference; None where all bits are the same."""
    first, second = np.atleast_1d(old), np.atleast_1d(new)
    if np.shape(old) != np.shape(new):
        return f"shape {np.shape(old)} before, {np.shape(new)} after", float("inf")
    numbers = first.dtype.kind in "biuf" and second.dtype.kind in "biuf"
    if first.dtype == second.dtype and numbers:
        same = first.tobytes() == second.tobytes()
    elif numbers:  # another type may hold the same numbers
        same = np.array_equal(first, second.astype(first.dtype), equal_nan=first.dtype.kind == "f")
    else:
        same = first.dtype.kind == second.dtype.kind and bool(np.all(first == second))
    if same:
        return None
    if not numbers:
        return f"{old!s:.60} before, {new!s:.60} after", float("inf")
    one, other = first.astype(float), second.astype(float)
    apart = np.where(np.isnan(one) & np.isnan(other), 0, np.abs(one - other))
    largest = float("inf") if np.isnan(apart).any() else float(apart.max())
    text = f"differ by up to {largest:.3g}, of values up to {np.nanmax(np.abs(one), initial=0):.3g}"
    return f"{text}; {(apart != 0).mean():.1%} of them", largest


# Tables


def row(case: str, run: Path, found: list[Difference]) -> list[str]:
    """A line of the table: of each column how many files are the same, or the largest difference."""
    cells = [case]
    for name in COLUMNS:
        count = sum(column(file) == name for file in files(run))
        bad = [difference for difference in found if column(difference.file) == name]
        numbers = [difference.largest for difference in bad if np.isfinite(difference.largest)]
        different = f"DIFFER ({len(bad)}{f', up to {max(numbers):.2g}' if numbers else ''})"
        cells.append(different if bad else f"identical ({count})" if count else "")
    return cells


def markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def compare_trees(before: Tree, after: Tree, cases: dict[str, Case], count: int, cache: Path, work: Path) -> str:
    """Run what is not in the cache, compare, and write the tables; the word DIFFER is in them if anything does."""
    cache = cache / before.digest() / short_hash(SAMPLE, count, CLOCK)
    particles = cache / "sample" / "sample.star"
    if not particles.exists():
        simulate(before, cache / "sample", count)
    simulate(after, work / "sample", count)
    found = list(differences(cache / "sample", work / "sample"))
    details = [f"* simulate: {difference}" for difference in found]
    rows = []
    for name, case in cases.items():
        old, new = cache / f"{name.replace(', ', '-').replace(' ', '-')}-{short_hash(case.flags)}", work / name
        known = old / "seconds.txt"
        if not known.exists():
            known.write_text(f"{reconstruct(before, case, particles, old):.1f}\n")
        seconds = reconstruct(after, case, particles, new)
        found = sorted(differences(old, new), key=str)
        details += [f"* {name}: {difference}" for difference in found[:12]]
        details += [f"* {name}: ... {len(found) - 12} more differences"] if len(found) > 12 else []
        rows.append([*row(name, old, found), f"{known.read_text().strip()} / {seconds:.1f}"])
        print(" | ".join(rows[-1]), flush=True)
    table = markdown(["case", *COLUMNS, "s (busy machine)"], rows)
    simulated = "DIFFER" if any(line.startswith("* simulate") for line in details) else "identical"
    return "\n\n".join([table, f"Simulated particles: {simulated}.", *(["\n".join(details)] if details else [])])


def compare_times(before: Tree, after: Tree, cases: dict[str, Case], count: int, repeats: int, work: Path) -> str:
    """Median seconds of each case, the trees in turns."""
    particles = simulate(before, work / "sample", count)
    rows = []
    for name, case in cases.items():
        if not case.interrupted:
            seconds: tuple[list[float], list[float]] = ([], [])
            for _ in range(repeats):
                for kept, tree in zip(seconds, (before, after), strict=True):
                    kept.append(reconstruct(tree, case, particles, work / "run", clock=False))
            first, second = map(statistics.median, seconds)
            spread = [f"{first:.2f} ({min(seconds[0]):.2f}-{max(seconds[0]):.2f})"]
            spread += [f"{second:.2f} ({min(seconds[1]):.2f}-{max(seconds[1]):.2f})"]
            rows.append([name, *spread, f"{100 * (second / first - 1):+.1f} %"])
            print(" | ".join(rows[-1]), flush=True)
    return markdown(["case", "s before (range)", "s after (range)", "change of the median"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="source tree, or its src")
    parser.add_argument("after", type=Path, help="source tree, or its src")
    parser.add_argument("--cache", type=Path, help="folder that keeps the runs of BEFORE for the next comparison")
    parser.add_argument("--keep", type=Path, help="folder for the runs of AFTER, which are removed otherwise")
    parser.add_argument("--out", type=Path, help="Markdown file to write the tables to")
    parser.add_argument("--cases", nargs="+", help=f"of {', '.join(map(repr, CASES))}; default: all")
    parser.add_argument("--quick-look", action="store_true", help="two short runs, for use while writing code")
    parser.add_argument("--times", type=int, metavar="N", help="measure times instead, N runs of each")
    options = parser.parse_args()
    cases, count = (QUICK_LOOK, QUICK_LOOK_COUNT) if options.quick_look else (CASES, COUNT)
    if unknown := set(options.cases or ()) - set(cases):
        parser.error(f"--cases: {', '.join(unknown)}; expected some of {', '.join(cases)}")
    with tempfile.TemporaryDirectory() as folder:
        hook, work = Path(folder) / "hook", options.keep or Path(folder) / "work"
        hook.mkdir()
        (hook / "sitecustomize.py").write_text(CLOCK)
        before, after = (Tree(source_of(path), hook) for path in (options.before, options.after))
        chosen = {name: case for name, case in cases.items() if name in (options.cases or cases)}
        if options.times:
            text = compare_times(before, after, chosen, count, options.times, work)
        else:
            text = compare_trees(before, after, chosen, count, options.cache or Path(folder) / "before", work)
    print(f"\n{text}")
    if options.out:
        options.out.write_text(f"{text}\n")
    sys.exit("DIFFER" in text)


if __name__ == "__main__":
    main()
