"""Time and peak memory of exporting a large set of particles.

    python benchmarks/export_large.py --out FOLDER [--count 1000000] [--to relion cryosparc cryodrgn]

Writes a STAR file of RELION 3.1 with 25 columns (no images) and a finished run of it, exports all particles in a
process of its own for each program, with progress, and prints the seconds and the peak resident memory of each, start
of the program included. The export runs in a thread, as it does in the window; "longest turn" is the most processor
time that it took before another thread, which wakes every 5 ms, got its turn: for so long the window would stand still.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.particle_record import ParticleRecord
from napari_cryospin.runs.results import PARTICLES_FILE, ResultsRecord
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import Settings

COLUMNS = (
    "CoordinateX CoordinateY ImageName MicrographName CtfMaxResolution CtfFigureOfMerit DefocusU DefocusV DefocusAngle "
    "CtfBfactor CtfScalefactor PhaseShift AngleRot AngleTilt AnglePsi ClassNumber NormCorrection RandomSubset "
    "LogLikeliContribution MaxValueProbDistribution NrOfSignificantSamples OpticsGroup OriginXAngst OriginYAngst "
    "GroupNumber"
)
OPTICS = "OpticsGroup OpticsGroupName AmplitudeContrast SphericalAberration Voltage ImagePixelSize ImageSize"
PER_STACK = 200
CHILD = """
import resource, sys, threading, time
from pathlib import Path
from napari_cryospin.exporters.table import export
seen = []
run, to, out = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
say = lambda share, text: seen.append(share)
thread = threading.Thread(target=lambda: export(run, to, out, progress=say))
thread.start()
clock = time.pthread_getcpuclockid(thread.ident)
before = longest = 0.0
while thread.is_alive():
    time.sleep(0.005)
    try:
        now = time.clock_gettime(clock)
    except OSError:
        break
    before, longest = now, max(longest, now - before)
thread.join()
assert seen[-1] == 1
print(len(seen), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, time.process_time(), longest)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--to", nargs="+", default=["relion", "cryosparc", "cryodrgn"])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    run = make_run(options.out, options.count)
    for program in options.to:
        out = options.out / ("exported.star" if program == "relion" else f"exported_{program}")
        start = time.perf_counter()
        child = [sys.executable, "-c", CHILD, str(run), program, str(out)]
        shown = subprocess.run(child, check=True, capture_output=True, text=True).stdout.split()
        wall = time.perf_counter() - start
        calls, (peak, busy, longest) = int(shown[0]), map(float, shown[1:])
        print(
            f"{options.count:,} particles to {program}: {wall:.1f} s ({busy:.1f} s of CPU), peak {peak:.2f} GiB, "
            f"progress said {calls} times, longest turn {1000 * longest:.0f} ms",
            flush=True,
        )


def make_run(out: Path, count: int) -> Path:
    """A finished run of `count` particles with random poses; made once."""
    star, run = out / "particles.star", out / "run"
    if not star.exists():
        write_star(star, count)
    if not (run / "results" / PARTICLES_FILE).exists():
        folder = RunFolder.create(run, RunInput(particles=star), Settings())
        rng = np.random.default_rng(1)
        record = ParticleRecord(
            rows=np.arange(count),
            half_sets=np.zeros(count, np.int8),
            rotations=Rotation.random(count, random_state=0).as_matrix(),
            shifts=rng.normal(0, 4, (count, 2)),
            winner=np.zeros(count, np.int16),
            max_probability=rng.uniform(0, 1, count),
            significant_samples=rng.integers(1, 99, count),
            log_likelihood=rng.normal(-500, 9, count),
        )
        ResultsRecord(epoch=1, stage="auto-decoding", particles=record).save(folder.results_path / PARTICLES_FILE)
    return run


def write_star(path: Path, count: int) -> None:
    """A STAR file as a 3D refinement of RELION leaves it."""
    rng = np.random.default_rng(0)
    with path.open("w") as file:
        file.write("# version 30001\n\ndata_optics\n\nloop_\n" + labels(OPTICS))
        file.write("1 opticsGroup1 0.1 2.7 300.0 1.3 256\n\n\n# version 30001\n\ndata_particles\n\nloop_\n")
        file.write(labels(COLUMNS))
        for start in range(0, count, PER_STACK):
            group, values = start // PER_STACK, rng.uniform(0, 360, (PER_STACK, 6))
            name = f"Micrographs/18aug10a_MC2_FoilHole_{group:08d}_Data_10985376_10985377_20180810_2123-144102_DW"
            for row in range(min(PER_STACK, count - start)):
                x, y, defocus, angle, rot, tilt = values[row]
                file.write(
                    f"{9 * x:12.6f} {9 * y:12.6f} {row + 1:06d}@Extract/job133/{name}.mrcs {name}.mrc     4.123456 "
                    f"0.123456 {15000 + defocus:12.6f} {14900 + defocus:12.6f} {angle / 2:12.6f}     0.000000     "
                    f"1.000000     0.000000 {rot:12.6f} {tilt / 2:12.6f} {angle:12.6f}            1     0.876543 "
                    f"           {1 + row % 2} {-1e5 - x:12.6f} {y / 360:12.6f}  {row % 40 + 1:11d}            1 "
                    f"{x / 50:12.6f} {y / 50:12.6f}  {group + 1:11d} \n"
                )
        file.write("\n")


def labels(names: str) -> str:
    return "".join(f"_rln{name} #{number} \n" for number, name in enumerate(names.split(), start=1))


if __name__ == "__main__":
    main()
