"""Other programs' ab-initio reconstructions of the stacks of `ab_initio.py`, beside ours: time, map and poses.

    python benchmarks/other_programs.py FOLDER --case spliceosome:3 --maps MAPS --diameter 480 [--threads 2]

FOLDER has what `ab_initio.py --out FOLDER` left: the stack and its truth. RELION has to be installed (Debian: `apt
install relion`, 3.1); its initial model is made by stochastic gradient descent with the settings of its own window
(300 iterations, mini-batches of 100 images growing to 500), one class, no symmetry. Our run is the quick
preset. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from napari_cryospin.evaluation.against_truth import compare_maps, compare_poses
from napari_cryospin.io.mrc import read_map
from napari_cryospin.io.open import open_particles

SYMMETRY = {"spike": "C3"}
ITERATIONS = 300


def our_run(star: Path, out: Path, threads: int, *flags: str) -> float:
    """The quick preset with more flags, from the command's start to the results written: seconds."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "napari_cryospin", "run", star, "-o", out, "--threads", str(threads), *flags]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def initial_model(
    star: Path, out: Path, diameter: float, threads: int, patience: float, symmetry: str = "C1"
) -> tuple[float, int]:
    """RELION's InitialModel as its window runs it: seconds, and how many of its 300 iterations were done by then."""
    flags = ["--sgd", "--denovo_3dref", "--K", 1, "--sym", symmetry]
    flags += ["--sgd_ini_iter", 50, "--sgd_inbetween_iter", 200, "--sgd_fin_iter", 50, "--sgd_write_iter", 50]
    flags += ["--sgd_ini_resol", 35, "--sgd_fin_resol", 15, "--sgd_ini_subset", 100, "--sgd_fin_subset", 500]
    flags += ["--healpix_order", 1, "--offset_range", 6, "--offset_step", 2, "--pad", 1]
    seconds, text = refined(star, out, flags, diameter, threads, patience)
    begun = text.count("Stochastic Gradient Descent iteration")
    return seconds, begun if (out / f"run_it{ITERATIONS:03d}_data.star").exists() else begun - 1


def refined(
    star: Path, out: Path, flags: list[object], diameter: float, threads: int, patience: float
) -> tuple[float, str]:
    """`relion_refine` with these flags and those that all its jobs share: seconds, and what it said."""
    out.mkdir(parents=True, exist_ok=True)
    flags = ["--i", star, "--o", out / "run", "--ctf", *flags, "--flatten_solvent", "--zero_mask"]
    flags += ["--particle_diameter", diameter, "--oversampling", 1, "--pool", 3, "--j", threads]
    flags += ["--dont_check_norm", "--dont_combine_weights_via_disc", "--random_seed", 1]
    log, began = out / "log.txt", time.perf_counter()
    with log.open("w") as file:
        process = subprocess.Popen(
            ["relion_refine", *map(str, flags)],
            cwd=star.parent,  # RELION looks for images from its project's folder
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        try:
            failed = process.wait(patience)
        except subprocess.TimeoutExpired:
            failed = 0
            process.kill()
    seconds, text = time.perf_counter() - began, log.read_text()
    if failed:
        raise SystemExit(f"relion_refine failed: see {log}")
    return seconds, text


def judged(density: Path, poses: Path, truth: Path, reference: Path, symmetry: str) -> dict[str, float]:
    """Map and poses against the truth."""
    found, true = open_particles(poses), open_particles(truth)
    rotations, shifts = compare_poses(found, true, symmetry)
    (values, pixel_size), (expected, its_pixel_size) = read_map(density), read_map(reference)
    comparison = compare_maps(values, pixel_size, expected, its_pixel_size)
    return {
        "median (degrees)": rotations.median,
        "within 10 degrees": rotations.within_10,
        "shift error (A)": shifts.median,
        "FSC 0.5 with the truth (A)": comparison.curves["masked"].resolution(0.5),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what ab_initio.py left")
    parser.add_argument("--case", default="spliceosome:3", help="MOLECULE:SHIFT_SD_IN_PX")
    parser.add_argument("--maps", type=Path, required=True, help="folder with the molecules' maps")
    parser.add_argument("--diameter", type=float, required=True, help="of the molecule, A")
    parser.add_argument("--patience", type=float, default=6 * 3600, help="s after which the other program is stopped")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    options.folder = options.folder.absolute()
    molecule, shift = options.case.split(":")
    stem, reference = options.folder / f"{molecule}_{shift}px", options.maps / f"{molecule}.mrc"
    truth, symmetry = stem.with_name(f"{stem.name}_truth.star"), SYMMETRY.get(molecule, "C1")
    ours, theirs = (options.folder / f"{program}_{stem.name}" for program in ("ours", "relion"))
    star = stem.with_suffix(".star")
    result = {"napari-cryospin": {"seconds": our_run(star, ours, options.threads)}}
    files = (ours / "results" / "map.mrc", ours / "results" / "particles.star")
    result["napari-cryospin"] |= judged(*files, truth, reference, symmetry)
    seconds, iterations = initial_model(star, theirs, options.diameter, options.threads, options.patience)
    result["RELION"] = {"seconds": seconds, "iterations": iterations}
    if iterations == ITERATIONS:
        files = (theirs / "run_it300_class001.mrc", theirs / "run_it300_data.star")
        result["RELION"] |= judged(*files, truth, reference, symmetry)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
