"""Make the paper's Table 1, Table 2 and Fig. 3 with every method on the same particles.

    python -m benchmarks.paper --maps FOLDER --ctf TABLE.npz --out FOLDER [--scale look|cpu|full] [--methods ...]

Each run is a process of its own, and one file in FOLDER/runs; what is there already is not made again, so that a
comparison can be stopped and go on. After every run FOLDER/report.html (with its figures), table_1.csv and table_2.csv
are written anew. Run it on an otherwise idle machine. The maps are hsp.mrc, spike.mrc and spliceosome.mrc.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.paper.cases import CONTENDERS, SCALES, Case, Scale, cases
from benchmarks.paper.report import write_report

from napari_cryospin.simulation.files import write_simulation
from napari_cryospin.simulation.images import SimulationSettings


def simulated(molecule: str, scale: Scale, options: argparse.Namespace) -> Path:
    """Return the stem of the particles of a molecule, which are made once."""
    stem = options.out / "particles" / f"{molecule}_{scale.box}px_{scale.count}"
    if not Path(f"{stem}_map.mrc").exists():
        stem.parent.mkdir(parents=True, exist_ok=True)
        source = options.maps / f"{molecule}.mrc"
        settings = SimulationSettings(count=scale.count, box=scale.box, snr=scale.snr, ctf_table=options.ctf)
        write_simulation(source, stem, settings)
        shutil.copy(source, f"{stem}_map.mrc")  # The last file: what was interrupted is made anew.
    return stem


def measure(case: Case, options: argparse.Namespace, out: Path) -> None:
    """Make a run in a process of its own, whose peak memory is then its own."""
    stem = simulated(case.molecule, SCALES[options.scale], options)
    command = [sys.executable, "-m", "benchmarks.paper.measure", stem, out, "--scale", options.scale]
    command += ["--method", case.method, "--molecule", case.molecule, "--seed", case.seed]
    subprocess.run([*map(str, command), "--threads", str(options.threads)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", type=Path, required=True)
    parser.add_argument("--ctf", type=Path, default=None, help=".npz with `ctf` (n, 9); default: random ones")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scale", choices=SCALES, default="cpu")
    parser.add_argument("--methods", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--seeds", type=int, default=None, help="default: as many as the scale has")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    scale, folder = SCALES[options.scale], options.out / "runs" / options.scale
    folder.mkdir(parents=True, exist_ok=True)
    wanted = cases(scale, options.methods, options.seeds or scale.seeds)
    files = [folder / f"{case.name}.json" for case in wanted]
    for case, file in zip(wanted, files, strict=True):
        if not file.exists():
            measure(case, options, file)
        made = [json.loads(each.read_text()) for each in files if each.exists()]
        page = write_report(made, options.scale, len(files) - len(made), options.out)
    print(page)


if __name__ == "__main__":
    main()
