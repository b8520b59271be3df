"""What RELION itself makes of a run's files: signs, units, hand and resolution, settled by the program they are for.

    python benchmarks/with_relion.py RUN --diameter 400 --out FOLDER

RUN is finished, with half sets. RELION has to be installed (3.1 or later; Debian: `apt install relion`). Looked at are

1. the map that `relion_reconstruct` makes of our particles (.star), against ours, voxel by voxel without alignment: a
   wrong sign of an angle, an origin, the defocus or the contrast would show, and so would a map of the other hand, or
   an axis of the run's symmetry in another place;
2. two iterations of `relion_refine` from our particles and our reference, searching near our poses only: how far the
   poses move, and the map;
3. `relion_postprocess` on our half maps and our mask: FSC and resolution, against ours;
4. the view directions that RELION writes for ChimeraX (.bild), against ours.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path

import numpy as np
import starfile
from numpy.typing import NDArray

from napari_cryospin.evaluation.fsc import fsc
from napari_cryospin.geometry.angles import angle_between
from napari_cryospin.io.mrc import read_map
from napari_cryospin.io.open import open_particles
from napari_cryospin.runs.folder import RunFolder

COARSE = 30
"""A: what RELION's short refinement is limited to at first."""


def relion(program: str, *flags: object) -> None:
    """Run one of RELION's programs; what it says is shown where it fails."""
    done = subprocess.run([f"relion_{program}", *map(str, flags)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"relion_{program} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


def export(run: Path, target: str, out: Path) -> Path:
    subprocess.run(["napari-cryospin", "export", run, out, "--to", target], check=True, capture_output=True)
    return out


def same(first: Path, second: Path, resolutions: tuple[float, ...] = ()) -> dict[str, float]:
    """How far two maps are the same as they lie: least FSC up to resolutions (A), and the factor between them.

    Resolutions by default: a half and four fifths of Nyquist.
    """
    (a, size), (b, _) = read_map(first), read_map(second)
    values, extent = fsc(a, b, size).values, len(a) * size
    finest = resolutions or (4 * size, 2.5 * size)
    found = {f"least FSC to {to:.1f} A": float(values[: int(extent / to) + 1].min()) for to in finest}
    return found | {"factor": float((a * b).sum() / (b * b).sum())}


def reconstructed(run: Path, particles: Path, out: Path) -> dict[str, dict[str, float]]:
    """RELION's maps of our particles against ours: all of them, and each half."""
    found: dict[str, dict[str, float]] = {}
    symmetry = RunFolder(run).settings.volume.symmetry
    for name, subset in (("map", -1), ("half_map_1", 1), ("half_map_2", 2)):
        relion(
            "reconstruct", "--i", particles, "--o", out / f"{name}.mrc", "--ctf", "--subset", subset, "--sym", symmetry
        )
        found[name] = same(out / f"{name}.mrc", run / "results" / f"{name}.mrc")
    return found


def refined(run: Path, particles: Path, maps: Path, diameter: float, out: Path) -> dict[str, float]:
    """What two iterations near our poses, with our reference, make of poses and map."""
    flags = ["--i", particles, "--o", out / "run", "--ref", maps / "reference.mrc", "--ctf", "--iter", 2, "--norm"]
    flags += ["--firstiter_cc", "--ini_high", COARSE, "--flatten_solvent", "--zero_mask", "--scale"]
    flags += ["--healpix_order", 3, "--oversampling", 1, "--sigma_ang", 2, "--offset_range", 3, "--offset_step", 1]
    flags += ["--particle_diameter", diameter]
    relion("refine", *flags, "--dont_combine_weights_via_disc", "--pool", 10, "--j", 2, "--random_seed", 1)
    ours, theirs = open_particles(particles), open_particles(out / "run_it002_data.star")
    assert ours.rotations is not None
    assert theirs.rotations is not None
    order = [np.lexsort((one.slice_index, one.stack_index)) for one in (ours, theirs)]
    turned = angle_between(ours.rotations[order[0]], theirs.rotations[order[1]])
    moved = np.linalg.norm(ours.shifts[order[0]] - theirs.shifts[order[1]], axis=1)
    moves = {"median turn (degrees)": float(np.median(turned)), "within 10 degrees": float((turned < 10).mean())}
    moves["median move (A)"] = float(np.median(moved))
    return moves | same(out / "run_it002_class001.mrc", run / "results" / "map.mrc", (COARSE * 1.2,))


def post_processed(run: Path, out: Path) -> dict[str, float]:
    """RELION's FSC and resolution of our half maps within our mask, against ours."""
    results = run / "results"
    halves = ["--i", results / "half_map_1.mrc", "--i2", results / "half_map_2.mrc", "--mask", results / "mask.mrc"]
    relion("postprocess", *halves, "--o", out / "postprocess", "--force_mask")
    theirs, ours = starfile.read(out / "postprocess.star"), starfile.read(results / "fsc.star")
    found = {"resolution, RELION (A)": float(theirs["general"]["rlnFinalResolution"])}
    said = json.loads((results / "postprocess.json").read_text())
    found["resolution, ours (A)"], shells = said["resolution_angstrom"], said["shells"]  # beyond, ours claims nothing
    for curve in ("UnmaskedMaps", "MaskedMaps", "Corrected"):
        name = f"rlnFourierShellCorrelation{curve}"
        apart = np.abs(theirs["fsc"][name].to_numpy()[:shells] - ours["fsc"][name].to_numpy()[:shells])
        found[f"largest difference, {curve}"] = float(apart.max())
    return found


def cylinders(path: Path, centre: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Directions and lengths of the cylinders of a .bild file."""
    lines = [line.split()[1:7] for line in path.read_text().splitlines() if line.startswith(".cylinder")]
    ends = np.array(lines, dtype=np.float64).reshape(-1, 2, 3)
    foot = ends[:, 0] - centre
    return foot / np.linalg.norm(foot, axis=1, keepdims=True), np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)


def directions(run: Path, chimerax: Path, refinement: Path) -> dict[str, float]:
    """Correlation of the cylinders' lengths, RELION's after its refinement and ours; and of ours seen from behind."""
    density, pixel_size = read_map(run / "results" / "map.mrc")
    centre = len(density) // 2 * pixel_size
    theirs, lengths = cylinders(refinement / "run_it002_class001_angdist.bild", centre)
    ours, own_lengths = cylinders(chimerax / "directions.bild", centre)
    found = {}
    for name, sign in (("as they are", 1), ("from behind", -1)):
        nearest = (theirs @ (sign * ours).T).argmax(1)
        found[name] = float(np.corrcoef(lengths, own_lengths[nearest])[0, 1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a finished run with half sets")
    parser.add_argument("--diameter", type=float, required=True, help="of the particle, A")
    parser.add_argument("--out", type=Path, required=True, help="folder for what RELION writes")
    options = parser.parse_args()
    run = RunFolder(options.run).path
    for name in ("reconstruct", "refine", "postprocess"):
        (options.out / name).mkdir(parents=True, exist_ok=True)
    particles = export(run, "relion", options.out / "particles.star")
    maps = export(run, "maps", options.out / "maps")
    chimerax = export(run, "chimerax", options.out / "chimerax")
    found = {
        "relion_reconstruct": reconstructed(run, particles, options.out / "reconstruct"),
        "relion_refine": refined(run, particles, maps, options.diameter, options.out / "refine"),
        "relion_postprocess": post_processed(run, options.out / "postprocess"),
        "view directions": directions(run, chimerax, options.out / "refine"),
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
