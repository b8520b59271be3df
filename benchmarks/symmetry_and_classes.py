"""RELION beside ours with a symmetry and with classes, and what a symmetry costs, on the same small stacks.

    python benchmarks/symmetry_and_classes.py OUT [--cases symmetry classes cost] [--count 1000] [--threads 1]

Every case simulates particles of 32 px of a chiral model, of which the truth is known:

* symmetry: from nothing, with the symmetry of the model: our quick preset and RELION's InitialModel, `--sgd
  --denovo_3dref --sym`;
* classes: two states, 60 : 40, from the low-passed map of the first: ours with `--classes 2 --reference`, and RELION's
  Class3D with two classes, both with the settings of their windows;
* cost: ours alone on particles with the symmetry O, once told of it and once not: time, and peak memory.

RELION has to be installed (Debian: `apt install relion`). Run it on an otherwise idle machine: it takes minutes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import mrcfile
import numpy as np
import starfile
from numpy.typing import NDArray

from napari_cryospin.evaluation.pose_error import rotation_errors
from napari_cryospin.io.mrc import write_map
from napari_cryospin.io.open import open_particles
from napari_cryospin.simulation.files import SimulatedFiles, write_simulation
from napari_cryospin.simulation.images import SimulationSettings
from other_programs import initial_model, our_run, refined
from symmetry_imposed import BOX, PIXEL_SIZE, model

DIAMETER = 84.0
"""A: of the models, which lie within 32 A of their centre, and half a blob about it."""
REFERENCE_RESOLUTION = 20
"""A: to which the map that both classes start from is low-passed."""
CLASS3D_ITERATIONS = 25
SECOND_SHARE = 0.4
WITH_ARM = np.array([22.0, -16.0, 10.0])
"""A, (x, y, z): where the second state has a blob more."""


@dataclass(frozen=True)
class Options:
    """What the command was told."""

    out: Path
    count: int
    snr: float
    group: str
    threads: int
    patience: float

    def simulated(self, name: str, density: NDArray[np.float32]) -> SimulatedFiles:
        """Write particles of a map `(n, n, n)`."""
        settings = SimulationSettings(count=self.count, snr=self.snr, shift_sd=3.0)
        return write_simulation(density, self.out / name, settings, pixel_size=PIXEL_SIZE)


def by_image(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Rotations and classes of the particles of a STAR file, in the order of their images."""
    particles = open_particles(path, require_stacks=False)
    assert particles.rotations is not None
    order = np.lexsort((particles.slice_index, particles.stack_index))
    table = starfile.read(path)
    table = table["particles"] if isinstance(table, dict) else table
    classes = table["rlnClassNumber"] if "rlnClassNumber" in table else np.ones(len(order), int)
    return particles.rotations[order], np.asarray(classes)[order]


def within(found: Path, truth: Path, symmetry: str) -> str:
    """Share of the particles within 10 degrees of their true rotations, and the median."""
    errors = rotation_errors(by_image(found)[0], by_image(truth)[0], symmetry=symmetry)
    return f"{100 * errors.within_10:.1f} % within 10 degrees, median {errors.median:.2f}"


def symmetry(options: Options) -> Iterator[str]:
    """From nothing, with the symmetry of the model."""
    files = options.simulated(options.group, model(options.group, 6))
    ours, theirs = (options.out / f"{options.group}_{program}" for program in ("ours", "relion"))
    seconds = our_run(files.particles, ours, options.threads, "--symmetry", options.group)
    yield f"ours: {seconds:.0f} s, {within(ours / 'results' / 'particles.star', files.truth, options.group)}"
    seconds, done = initial_model(
        files.particles, theirs, DIAMETER, options.threads, options.patience, symmetry=options.group
    )
    last = sorted(theirs.glob("run_it*_data.star"))[-1]
    yield f"RELION: {seconds:.0f} s, {done} iterations, {within(last, files.truth, options.group)}"


def two_states(options: Options) -> tuple[SimulatedFiles, NDArray[np.bool_], Path]:
    """Write particles of two states in one stack. Return them, which are the second state, and the first's map."""
    body = model("C1", 6)
    line = (np.arange(BOX) - BOX // 2) * PIXEL_SIZE
    x, y, z = (np.exp(-((line - at) ** 2) / (2 * 6.0**2)) for at in WITH_ARM)
    states = (body, body + np.einsum("z,y,x->zyx", z, y, x).astype(np.float32))
    files = [options.simulated(name, each) for name, each in zip(("body", "both"), states, strict=True)]
    second = np.random.default_rng(1).random(options.count) < SECOND_SHARE
    first, other = (mrcfile.read(each.particles.with_suffix(".mrcs")) for each in files)
    with mrcfile.open(files[0].particles.with_suffix(".mrcs"), "r+") as stack:
        stack.set_data(np.where(second[:, None, None], other, first))
    write_map(options.out / "body_map.mrc", body, PIXEL_SIZE)
    return files[0], second, options.out / "body_map.mrc"


def sorted_right(found: Path, second: NDArray[np.bool_]) -> str:
    """Share of the particles that are in the class in which most of their state are."""
    classes = by_image(found)[1]
    counts = np.array([[((classes == k) & (second == state)).sum() for state in (0, 1)] for k in np.unique(classes)])
    return f"{100 * counts.max(1).sum() / len(second):.1f} % in the right class of {len(counts)}"


def classes(options: Options) -> Iterator[str]:
    """Two states from the map of one."""
    files, second, reference = two_states(options)
    ours, theirs = (options.out / f"classes_{program}" for program in ("ours", "relion"))
    flags = ["--classes", "2", "--reference", str(reference), "--reference-resolution", str(REFERENCE_RESOLUTION)]
    seconds = our_run(files.particles, ours, options.threads, *flags)
    star = ours / "results" / "particles.star"
    yield f"ours: {seconds:.0f} s, {sorted_right(star, second)}, {within(star, files.truth, 'C1')}"
    job: list[object] = ["--ref", reference, "--ini_high", REFERENCE_RESOLUTION, "--firstiter_cc", "--K", 2]
    job += ["--iter", CLASS3D_ITERATIONS, "--tau2_fudge", 4, "--sym", "C1", "--norm", "--scale", "--pad", 2]
    job += ["--healpix_order", 2, "--offset_range", 5, "--offset_step", 2]
    seconds, _ = refined(files.particles, theirs, job, DIAMETER, options.threads, options.patience)
    last = sorted(theirs.glob("run_it*_data.star"))[-1]
    told = f"{last.name[6:9]} of {CLASS3D_ITERATIONS} iterations"
    yield f"RELION: {seconds:.0f} s, {told}, {sorted_right(last, second)}, {within(last, files.truth, 'C1')}"


def cost(options: Options) -> Iterator[str]:
    """Ours on particles of the symmetry O, told of it and not."""
    files = options.simulated("O", model("O", 3))
    for name in ("O", "C1"):
        out = options.out / f"cost_{name}"
        command = [sys.executable, "-m", "napari_cryospin", "run", files.particles, "-o", out, "--symmetry", name]
        command += ["--threads", str(options.threads), "--device", "cpu"]
        with (options.out / f"cost_{name}.log").open("w") as log:
            began = os.times().elapsed
            process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=subprocess.STDOUT)
            _, status, usage = os.wait4(process.pid, 0)  # The usage of this process alone, its peak memory in KiB.
            seconds = os.times().elapsed - began
        if status:
            raise SystemExit(f"the run failed: see {log.name}")
        told = within(out / "results" / "particles.star", files.truth, "O")
        epochs = len(list((out / "history").glob("*.npz")))
        yield f"{name}: {seconds:.0f} s, {epochs} epochs, peak {usage.ru_maxrss / 2**20:.2f} GiB, {told} modulo O"


CASES: dict[str, Callable[[Options], Iterator[str]]] = {"symmetry": symmetry, "classes": classes, "cost": cost}


def main() -> None:
    """Print a line a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for particles and runs, new or empty")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--count", type=int, default=1000, help="particles of each stack")
    parser.add_argument("--snr", type=float, default=0.3, help="signal to noise")
    parser.add_argument("--group", default="C3", help="point group of the case symmetry")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--patience", type=float, default=600.0, help="s after which RELION is stopped")
    given = parser.parse_args()
    out = given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    options = Options(out, given.count, given.snr, given.group, given.threads, given.patience)
    for name in given.cases:
        for line in CASES[name](options):
            print(f"{name}: {line}", flush=True)


if __name__ == "__main__":
    main()
