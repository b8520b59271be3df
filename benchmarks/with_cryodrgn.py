"""What cryoDRGN itself makes of a run's files: its own map from our poses, and its own reading of our STAR file.

    python benchmarks/with_cryodrgn.py RUN --cryodrgn .../bin/cryodrgn --out FOLDER

RUN is a finished run of simulated particles (one stack of one box), without half sets. cryoDRGN 3 is best installed in
an environment of its own. Looked at are

1. `backproject_voxel` with our `poses.pkl` and `ctf.pkl`, against our map, as they lie;
2. `parse_pose_star` and `parse_ctf_star` of the STAR file that we export, against our pickles, number by number.
"""

from __future__ import annotations

import argparse
import json
import pickle
import subprocess
from pathlib import Path

import numpy as np

from napari_cryospin.evaluation.fsc import fsc
from napari_cryospin.io.mrc import mrc_header, read_map
from napari_cryospin.io.open import open_particles
from napari_cryospin.runs.folder import RunFolder


def command(*words: object) -> None:
    subprocess.run([str(word) for word in words], check=True, capture_output=True)


def unpickled(path: Path) -> list[np.ndarray]:
    """Arrays of a pickle that was written just now by a program that we started."""
    found = pickle.loads(path.read_bytes())
    return [np.asarray(part) for part in (found if isinstance(found, tuple) else (found,))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a finished run")
    parser.add_argument("--cryodrgn", type=Path, default=Path("cryodrgn"), help="the program")
    parser.add_argument("--out", type=Path, required=True, help="folder for what cryoDRGN writes")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    folder, program, out = RunFolder(options.run), options.cryodrgn, options.out
    star, ours = out / "particles.star", out / "ours"
    command("napari-cryospin", "export", folder.path, ours, "--to", "cryodrgn")
    command("napari-cryospin", "export", folder.path, star, "--to", "relion")

    particles = open_particles(folder.source.particles, **folder.source.options)
    (stack,) = particles.stacks
    made = out / "backprojected"
    command(program, "backproject_voxel", stack, "--poses", ours / "poses.pkl", "--ctf", ours / "ctf.pkl", "-o", made)
    theirs, _ = read_map(made / "backproject.mrc")
    density, pixel_size = read_map(folder.path / "results" / "map.mrc")
    values = fsc(theirs, density, pixel_size).values
    found = {"least FSC to 90 % of Nyquist": float(values[: int(0.45 * len(density)) + 1].min())}

    frame = ("--Apix", mrc_header(stack).voxel_size[0], "-D", int(particles.box_sizes[0]))
    for name, file in (("pose", "poses.pkl"), ("ctf", "ctf.pkl")):
        command(program, f"parse_{name}_star", star, "-o", out / file, *frame)
        pairs = zip(unpickled(out / file), unpickled(ours / file), strict=True)
        found[f"largest difference, {file}"] = max(float(np.abs(a - b).max()) for a, b in pairs)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
