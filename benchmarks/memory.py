"""Peak memory of a whole run against the number of particles: it must not grow, but for the cache of images.

    python benchmarks/memory.py --map MAP.mrc --out FOLDER [--counts 5000 50000] [--cache 0] [--box 128]

Simulates stacks of 128 px, and runs the quick preset on each by the command line, from start to results: two epochs
with the encoder, the switch with its search, and two epochs of decoding. Prints the run's peak resident memory.
With `--cache 0` no image is kept; with a cache, add its size, which `inspect` names.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

CHILD = """
import resource, sys
from napari_cryospin.cli import main
code = main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
sys.exit(code)
"""
SHORT = ["--epochs", "4", "--switch", "2", "--decoding-epochs", "2", "--encoding-band", "20", "--growth-steps", "1"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--map", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--counts", type=int, nargs="+", default=[5000, 50000])
    parser.add_argument("--cache", type=float, default=0.0, help="GiB")
    parser.add_argument("--box", type=int, default=128)
    parser.add_argument("--flags", nargs="+", default=["--no-shifts"], help="more flags of the command")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for count in options.counts:
        stem = options.out / f"particles_{options.box}px_{count}"
        if not stem.with_suffix(".star").exists():
            simulate = [sys.executable, "-m", "napari_cryospin", "simulate", options.map, stem]
            subprocess.run([*map(str, simulate), "--count", str(count), "--box", str(options.box)], check=True)
        run = ["run", stem.with_suffix(".star"), "-o", options.out / f"run_{count}_{time.time():.0f}", *SHORT]
        child = [sys.executable, "-c", CHILD, *run, "--cache", options.cache, *options.flags]
        began = time.monotonic()
        peak = subprocess.run([*map(str, child)], check=True, capture_output=True, text=True).stdout.split()[-1]
        print(
            f"{count:,} images of {options.box} px, cache {options.cache:g} GiB: peak {float(peak):.2f} GiB, "
            f"{time.monotonic() - began:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
