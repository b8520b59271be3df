"""Peak memory of a reconstruction against the number of particles: it must not grow, but for the cache of images.

    python benchmarks/memory.py --map MAP.mrc --out FOLDER [--counts 5000 50000] [--cache 0] [--box 128]

Simulates stacks of 128 px, runs one epoch of the quick preset's search on each in a process of its own, and prints its
peak resident memory. With `--cache 0` no image is kept; with a cache, add its size, which `inspect` names.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

CHILD = """
import dataclasses, resource, sys, torch
from napari_cryospin.inference.reconstruction import Reconstruction
from napari_cryospin.io.open import open_particles
from napari_cryospin.settings import PRESETS
torch.set_num_threads(2)
quick = PRESETS["quick"]
preparation = dataclasses.replace(quick.preparation, cache=float(sys.argv[2]))
settings = dataclasses.replace(quick, preparation=preparation,
                               encoder=dataclasses.replace(quick.encoder, shifts=False))
reconstruction = Reconstruction(open_particles(sys.argv[1]), settings)
while not reconstruction.epoch_ended:
    reconstruction.advance()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--map", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--counts", type=int, nargs="+", default=[5000, 50000])
    parser.add_argument("--cache", type=float, default=0.0, help="GiB")
    parser.add_argument("--box", type=int, default=128)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for count in options.counts:
        stem = options.out / f"particles_{options.box}px_{count}"
        if not stem.with_suffix(".star").exists():
            simulate = [sys.executable, "-m", "napari_cryospin", "simulate", options.map, stem]
            subprocess.run([*map(str, simulate), "--count", str(count), "--box", str(options.box)], check=True)
        child = [sys.executable, "-c", CHILD, str(stem.with_suffix(".star")), str(options.cache)]
        peak = subprocess.run(child, check=True, capture_output=True, text=True).stdout.split()[-1]
        print(
            f"{count:,} images of {options.box} px, cache {options.cache:g} GiB: peak {float(peak):.2f} GiB", flush=True
        )


if __name__ == "__main__":
    main()
