"""Particles as they come: what becomes of stacks with junk, neighbours, crowded views, uneven signal and bad pixels.

    python benchmarks/realistic_table.py OUT --simulator REALISTIC.py [--cases ...] [--seeds 0 1 2]

REALISTIC.py is a simulator that shares no code with this package. It is called as `REALISTIC.py MAP FOLDER --box 64
--n COUNT --snr SNR --seed SEED ...` with the options below, and writes into FOLDER particles.mrcs, particles.star,
truth.star (with poses) and truth.npz (`good`: which images show the particle of the map, and nothing over it).

Each case is simulated, reconstructed with the command line and the preset quick, and compared with the truth. Each
row is kept as JSON in OUT/rows. A second call makes only what is missing, so that a long table can be made bit by bit.
Two tables are printed, and written to OUT/realistic_table.md: stacks that should be solved, and stacks that must never
be called converged. `--times` adds the seconds of each run; the machine must be idle then.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pandas as pd
from scipy.stats import mannwhitneyu

from napari_cryospin.evaluation.pose_error import rotation_errors
from napari_cryospin.io.mrc import open_stack, stack_header
from napari_cryospin.io.open import open_particles
from napari_cryospin.io.star.optics import MICROGRAPH
from napari_cryospin.io.star.table import GROUP, IMAGE, OPTICS, StarTable, read_star
from napari_cryospin.runs.results import PARTICLES_FILE, ResultsRecord
from napari_cryospin.simulation.sample_maps import SAMPLE_MAPS
from verdict_table import noise_stack

BOX = 64
REAL_LIFE = "--snr 0.08 --shift 8 --junk 0.2 --neighbours 0.3 --views vmf8 --structural 0.3 --scale-sd 0.25 --ramp 0.3"
HSP90 = "--snr 0.1 --shift 6 --junk 0.15 --neighbours 0.2 --structural 0.3 --bfactor 80"
MIDDLE_SNR = 0.25
"""SNR of the stacks that are clean but for one thing; of two groups, the geometric mean."""
MICROGRAPH_SIZE, MICROGRAPH_SPREAD = 50, 0.5
"""Particles of a micrograph, and standard deviation of the logarithm of the micrographs' scales."""
NOISELESS_SNR = 1e6
"""SNR of images that are as good as without noise, to which a case adds its own."""
HOT_SHARE, HOT_HEIGHT = 0.1, 100.0
"""Share of the images with a hot pixel, and its height in standard deviations of an image."""
TRUTH_FILES = ("particles.star", "truth.star")


@dataclass(frozen=True)
class Simulation:
    """What a stack is made of."""

    simulator: Path
    count: int
    seed: int
    box: int = BOX

    def __call__(self, folder: Path, molecule: str, *options: object) -> None:
        """Call the simulator."""
        command = [sys.executable, self.simulator, SAMPLE_MAPS[molecule], folder, "--box", self.box, "--n", self.count]
        command += ["--seed", self.seed, *options]
        subprocess.run([str(each) for each in command], check=True, capture_output=True)


Maker = Callable[[Simulation, Path], None]


def with_options(molecule: str, options: str) -> Maker:
    """Return what simulates a stack with these options of the simulator."""
    return lambda simulation, folder: simulation(folder, molecule, *options.split())


def two_groups(ratio: float) -> Maker:
    """Return what joins two stacks, whose noise differs by a factor, as optics groups of one particle set."""

    def make(simulation: Simulation, folder: Path) -> None:
        half = replace(simulation, count=simulation.count // 2)
        names = ("group_1", "group_2")
        for number, (name, factor) in enumerate(zip(names, (ratio, 1 / ratio), strict=True)):
            part = replace(half, seed=simulation.seed + 1000 * number)
            part(folder / name, "spliceosome", "--snr", MIDDLE_SNR * factor, "--shift", 8)
        for file in TRUTH_FILES:
            joined([read_star(folder / name / file) for name in names], names).write(folder / file)
        save_good(folder, np.ones(2 * half.count, bool))

    return make


def joined(tables: list[StarTable], folders: tuple[str, ...]) -> StarTable:
    """Join the tables of stacks in different folders; each becomes an optics group."""
    particles, optics = [], []
    for group, (table, folder) in enumerate(zip(tables, folders, strict=True), start=1):
        names, _, _ = table.image_names()
        moved = table.with_stacks({name: f"{folder}/{name}" for name in names})
        particles.append(moved.particles.assign(**{GROUP: str(group)}))
        assert table.optics is not None
        optics.append(table.optics.assign(**{GROUP: str(group), "rlnOpticsGroupName": f"opticsGroup{group}"}))
    blocks = {**tables[0].blocks, OPTICS: pd.concat(optics, ignore_index=True)}
    return replace(tables[0], blocks=blocks, particles=pd.concat(particles, ignore_index=True))


def micrographs(simulation: Simulation, folder: Path) -> None:
    """Make a stack of micrographs whose signal differs in strength."""
    simulation(folder, "spliceosome", "--snr", NOISELESS_SNR, "--shift", 8)
    rng = np.random.default_rng(simulation.seed)
    micrograph = np.arange(simulation.count) // MICROGRAPH_SIZE
    scale = np.exp(rng.normal(0, MICROGRAPH_SPREAD, micrograph[-1] + 1))[micrograph]
    images = changed_images(folder) * (MIDDLE_SNR / NOISELESS_SNR) ** 0.5  # Signal of variance MIDDLE_SNR.
    images = images * scale[:, None, None] + rng.standard_normal(images.shape)
    rewrite_images(folder, images)
    for file in TRUTH_FILES:
        table = read_star(folder / file)
        names = [f"micrograph_{each:04d}.mrc" for each in micrograph]
        replace(table, particles=table.particles.assign(**{MICROGRAPH: names})).write(folder / file)


def hot_pixels(simulation: Simulation, folder: Path) -> None:
    """Make a stack of which some images have one hot pixel each."""
    simulation(folder, "spliceosome", "--snr", MIDDLE_SNR, "--shift", 8)
    rng = np.random.default_rng(simulation.seed)
    images = changed_images(folder)
    hot = rng.choice(len(images), round(HOT_SHARE * len(images)), replace=False)
    y, x = rng.integers(0, simulation.box, (2, len(hot)))
    images[hot, y, x] += HOT_HEIGHT * images[hot].std((1, 2))
    rewrite_images(folder, images)


def noise(simulation: Simulation, folder: Path) -> None:
    """Make a stack of white noise, without a CTF."""
    stack = noise_stack(folder, simulation.count)
    optics = pd.DataFrame({GROUP: ["1"], "rlnImagePixelSize": ["4.0"], "rlnImageSize": [str(stack_header(stack)[1])]})
    images = [f"{number}@{stack.name}" for number in range(1, simulation.count + 1)]
    particles = pd.DataFrame({IMAGE: images, GROUP: "1"})
    path = folder / TRUTH_FILES[0]
    StarTable(path=path, blocks={OPTICS: optics, "particles": {}}, name="particles", particles=particles).write(path)


def half_another(simulation: Simulation, folder: Path) -> None:
    """Make a stack half of whose particles are of another molecule."""
    another = ("--second", SAMPLE_MAPS["spike"], "--second-share", 0.5)
    simulation(folder, "spliceosome", *REAL_LIFE.split(), *another)


def wrong_sign(simulation: Simulation, folder: Path) -> None:
    """Make a stack whose defocus has the wrong sign in the STAR file."""
    simulation(folder, "spliceosome", "--snr", MIDDLE_SNR, "--shift", 8)
    for file in TRUTH_FILES:
        table = read_star(folder / file)
        negative = {name: -table.numbers(name) for name in ("rlnDefocusU", "rlnDefocusV")}
        replace(table, particles=table.particles.assign(**negative)).write(folder / file)


def changed_images(folder: Path) -> np.ndarray:
    """Return a copy of a stack's images, to be changed and written again."""
    return np.array(open_stack(folder / "particles.mrcs"), dtype=np.float32)


def rewrite_images(folder: Path, images: np.ndarray) -> None:
    """Replace the images of a stack."""
    pixel_size = float(open_particles(folder / TRUTH_FILES[0]).pixel_sizes[0])
    with mrcfile.new(folder / "particles.mrcs", images.astype(np.float32), overwrite=True) as mrc:
        mrc.set_image_stack()
        mrc.voxel_size = pixel_size


def save_good(folder: Path, good: np.ndarray) -> None:
    """Write which images show the particle."""
    np.savez(folder / "truth.npz", good=good)


@dataclass(frozen=True)
class Case:
    """A row of the tables."""

    title: str
    make: Maker
    symmetry: str = ""
    """Point group of the molecule, or of what it nearly has, modulo which errors are taken as well."""


SOLVABLE = {
    "spliceosome": Case("spliceosome, real life", with_options("spliceosome", REAL_LIFE)),
    "spike": Case("spike, real life", with_options("spike", REAL_LIFE), "C3"),
    "hsp90": Case("Hsp90, real life", with_options("hsp90", HSP90), "C2"),
    "groups2": Case("two optics groups, noise 2 x apart", two_groups(2.0)),
    "micrographs": Case("scales of micrographs, log-normal 0.5", micrographs),
    "hot": Case("hot pixels in 10 %", hot_pixels),
    "groups4": Case("two optics groups, noise 4 x apart", two_groups(4.0)),
}
"""Stacks that should be solved."""
UNSOLVABLE = {
    "noise": Case("white noise", noise),
    "contrast": Case("inverted contrast", with_options("spliceosome", f"--snr {MIDDLE_SNR} --shift 8 --dark")),
    "sign": Case("wrong sign of the defocus", wrong_sign),
    "half": Case("half of another molecule, real life", half_another),
}
"""Stacks that must never be called converged."""
CASES = SOLVABLE | UNSOLVABLE


def make_stack(name: str, simulation: Simulation, out: Path) -> Path:
    """Simulate the stack of a case, or find that it is there; return its folder."""
    folder = out / "stacks" / f"{name}_{simulation.count}_{simulation.seed}"
    if not folder.exists():
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        CASES[name].make(simulation, part)
        part.rename(folder)
    return folder


def reconstruct(stack: Path, out: Path, seed: int, options: Sequence[object]) -> Path:
    """Reconstruct a stack, or find that it is done; return the run's folder."""
    run = out / "runs" / stack.name
    if not (run / "results" / "postprocess.json").exists():
        shutil.rmtree(run, ignore_errors=True)  # Of a call that was interrupted.
        command = [sys.executable, "-m", "napari_cryospin", "run", stack / TRUTH_FILES[0], "-o", run]
        command += ["--preset", "quick", "--seed", seed, *options]
        subprocess.run([str(each) for each in command], check=True, capture_output=True)
    return run


def seconds_of(run: Path) -> float:
    """Read how many seconds a run took."""
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    return next(float(event["detail"]["elapsed"]) for event in events if event["kind"] == "finished")


def told_apart(belongs: np.ndarray, good: np.ndarray) -> dict[str, float]:
    """Measure how well the probability of belonging tells good images from junk."""
    if good.all():
        return {"good_below_half": float((belongs < 0.5).mean())}
    pairs = good.sum() * (~good).sum()
    found = {"junk_auc": float(mannwhitneyu(belongs[good], belongs[~good]).statistic / pairs)}
    found["good_below_half"] = float((belongs[good] < 0.5).mean())
    return found | {"junk_above_half": float((belongs[~good] >= 0.5).mean())}


def errors_of(stack: Path, run: Path, symmetry: str) -> dict[str, Any]:
    """Compare the poses of the good particles with the truth, and their probabilities with those of junk."""
    record = ResultsRecord.load(run / "results" / PARTICLES_FILE).particles
    good = np.load(stack / "truth.npz")["good"][record.rows]
    truth = open_particles(stack / TRUTH_FILES[1]).rotations
    assert truth is not None
    found: dict[str, Any] = {}
    for group in ("C1", symmetry) if symmetry else ("C1",):
        errors = rotation_errors(record.rotations[good], truth[record.rows][good], symmetry=group)
        found |= {f"within_10_{group}": errors.within_10, f"median_{group}": errors.median}
    return found | ({} if record.belongs is None else told_apart(record.belongs, good))


def measure(name: str, simulation: Simulation, out: Path, options: Sequence[object]) -> dict[str, Any]:
    """Make a row of the tables."""
    stack = make_stack(name, simulation, out)
    run = reconstruct(stack, out, simulation.seed, options)
    told = json.loads((run / "results" / "postprocess.json").read_text())
    row = {"case": name, "count": simulation.count, "seed": simulation.seed, "seconds": seconds_of(run)}
    row |= {"verdict": told["verdict"]["kind"], "reasons": told["verdict"]["reasons"]}
    row["resolution"] = told["resolution_angstrom"]
    return row | (errors_of(stack, run, CASES[name].symmetry) if name in SOLVABLE else {})


def per_cent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def solvable_cells(row: dict[str, Any]) -> dict[str, str]:
    """Column -> cell of the table of stacks that should be solved."""
    symmetry = CASES[row["case"]].symmetry
    modulo = row.get(f"within_10_{symmetry}") if symmetry else None
    return {
        "within 10°": per_cent(row["within_10_C1"]),
        "modulo": f"{per_cent(modulo)} ({symmetry})" if symmetry else "",
        "median": number(row[f"median_{symmetry or 'C1'}"], ".2f"),
        "junk AUC": number(row.get("junk_auc"), ".3f"),
        "good below 0.5": per_cent(row.get("good_below_half")),
        "junk above": per_cent(row.get("junk_above_half")),
    }


def told_cells(row: dict[str, Any]) -> dict[str, str]:
    """Column -> cell of what a run says at its end."""
    return {"verdict": row["verdict"], "resolution told (Å)": number(row["resolution"], ".1f") or "none"}


def markdown(rows: list[dict[str, Any]], cases: Mapping[str, Case], *, times: bool) -> str:
    """Write the rows of some cases as a Markdown table."""
    lines: list[dict[str, str]] = []
    for row in (row for name in cases for row in rows if row["case"] == name):
        line = {"stack": cases[row["case"]].title, "particles": f"{row['count']:,}", "seed": str(row["seed"])}
        line |= (solvable_cells(row) if cases is SOLVABLE else {}) | told_cells(row)
        line |= {"said": "; ".join(row["reasons"])} if cases is UNSOLVABLE else {}
        lines.append(line | ({"seconds": number(row["seconds"], ".0f")} if times else {}))
    if not lines:
        return ""
    head = [" | ".join(lines[0]), " | ".join("---" for _ in lines[0])]
    return "".join(f"| {line} |\n" for line in [*head, *(" | ".join(line.values()) for line in lines)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for stacks, runs, rows and the table")
    parser.add_argument("--simulator", type=Path, default=None, help="the independent simulator, realistic.py")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--count", type=int, default=5000, help="particles of a stack")
    parser.add_argument("--box", type=int, default=BOX, help="px; takes a folder of its own")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--half-sets", action="store_true", help="two halves apart; takes a folder of its own")
    parser.add_argument("--times", action="store_true", help="a column with the seconds of each run")
    options = parser.parse_args()
    if options.simulator is None or not options.simulator.is_file():
        parser.error(f"--simulator: {options.simulator}; expected the path of the simulator described above")
    rows_folder = options.out / "rows"
    rows_folder.mkdir(parents=True, exist_ok=True)
    run_options = ["--threads", options.threads, *(["--half-sets"] if options.half_sets else [])]
    for seed, name in product(options.seeds, options.cases):
        path = rows_folder / f"{name}_{options.count}_{seed}.json"
        if not path.exists():
            simulation = Simulation(options.simulator, options.count, seed, options.box)
            path.write_text(json.dumps(measure(name, simulation, options.out, run_options), indent=1))
    rows = [json.loads(path.read_text()) for path in sorted(rows_folder.glob("*.json"))]
    tables = [markdown(rows, cases, times=options.times) for cases in (SOLVABLE, UNSOLVABLE)]
    text = "\n".join(table for table in tables if table)
    (options.out / "realistic_table.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
