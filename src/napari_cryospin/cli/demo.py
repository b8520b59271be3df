"""The command `demo`: simulation from a map of the package, reconstruction, comparison with the truth, and figures."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from tyro.conf import OmitArgPrefixes

from napari_cryospin.cli.console import print_line
from napari_cryospin.cli.outcome import write_posterior
from napari_cryospin.cli.runs import run_command
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.settings import Settings
from napari_cryospin.simulation.files import SimulatedFiles, write_simulation
from napari_cryospin.simulation.images import SimulationSettings
from napari_cryospin.simulation.sample_maps import SAMPLE_MAPS
from napari_cryospin.views.run_view import RunView

DEMO_IMAGES = 2000
"""Number of images that the demo simulates by default, here and in `scripts/demo_window.py`. Chosen by hand."""
FIRST_PARTICLE = 1
"""Row of the particle whose posterior is drawn by default, from 1."""
DEMO_MARK = "demo.txt"
"""Name of a file that marks a folder as written by a demo, so that the next demo may replace it."""


def demo_command(
    settings: OmitArgPrefixes[Settings],
    output: Path = Path("demo-output"),
    count: int = DEMO_IMAGES,
    particle: int = FIRST_PARTICLE,
) -> int:
    """Simulate particles of a spliceosome, reconstruct them from nothing, and compare with the truth.

    Parameters
    ----------
    settings
        Settings of the run.
    output
        Folder for all that is written; an earlier demo in it is replaced.
    count
        Images to simulate.
    particle
        Row of the particle whose posterior is drawn, from 1.
    """
    began = time.monotonic()
    files = simulate_demo(output, SimulationSettings(count=count, seed=settings.machine.seed))
    folder = output / "run"
    code = run_command(files.particles, folder, settings)
    if code:
        return code
    return report_demo(RunFolder(folder), files, began, particle)


def simulate_demo(output: Path, settings: SimulationSettings) -> SimulatedFiles:
    """Remove an earlier demo from the output folder, and simulate particles."""
    stem = output / "particles"
    mark, earlier = output / DEMO_MARK, output / "run"
    if output.exists() and not mark.is_file() and any(output.iterdir()):
        raise FileExistsError(f"{output}: holds other files than a demo's; choose another --output")
    if earlier.exists():
        if RunFolder(earlier).is_driven():
            raise FileExistsError(f"{earlier}: the demo before is going on there; stop it, or choose another --output")
        shutil.rmtree(earlier)
    output.mkdir(parents=True, exist_ok=True)
    mark.write_text("Written by the demo of napari-cryospin. The next demo in this folder replaces all of it.\n")
    print_line(f"simulating {settings.count:,} images of a spliceosome, signal to noise {settings.snr:g}")
    return write_simulation(SAMPLE_MAPS["spliceosome"], stem, settings)


def report_demo(folder: RunFolder, files: SimulatedFiles, began: float, particle: int = FIRST_PARTICLE) -> int:
    """Compare the run with the truth, draw figures (the posterior of a `particle`, from 1), and print the result."""
    view, results = RunView(folder, files.truth), folder.results_path
    found = view.evaluate(reference=SAMPLE_MAPS["spliceosome"])
    found.save(results / "evaluation.json")
    posterior = write_posterior(view, particle - 1, results / f"posterior_{particle}")
    pictures = [*view.save_figures(report=found), *posterior]
    print_line(f"\n{'time of the run (s)':32} {folder.read_status().elapsed:.1f}")
    print_line(f"{'time in all (s)':32} {time.monotonic() - began:.1f}")
    print_line(found.text())
    print_line(f"\nmap, poses and pictures: {results.absolute()}")
    for path in sorted({results / "map.mrc", results / "particles.star", *pictures}):
        print_line(f"  {path.name}")
    return 0
