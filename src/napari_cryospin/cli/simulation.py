"""The command `simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from napari_cryospin.cli.console import print_line
from napari_cryospin.simulation.files import SIMULATED_SUFFIXES, write_simulation
from napari_cryospin.simulation.images import SimulationSettings


def simulate_command(
    map: Annotated[Positional[Path], arg(metavar="MAP")],
    out: Annotated[Positional[Path], arg(metavar="OUT")],
    simulation: OmitArgPrefixes[SimulationSettings] = SimulationSettings(),  # noqa: B008 (frozen)
    pixel_size: float | None = None,
) -> int:
    """Simulate particles with known poses from a map: OUT.mrcs, OUT.star, and OUT_truth.star with the poses.

    Parameters
    ----------
    map
        Map (.mrc) with positive protein.
    out
        Path of the files without suffix; an earlier simulation of that name is replaced.
    simulation
        Settings of the simulation.
    pixel_size
        Pixel size of the map, in A. Default: that of its header.
    """
    if not out.name:
        raise ValueError(f"{out}: is a folder; expected a file's name, without suffix")
    stack, star, truth = (out.with_name(out.name + suffix) for suffix in SIMULATED_SUFFIXES)
    if not truth.exists() and (star.exists() or stack.exists()):
        raise FileExistsError(f"{star if star.exists() else stack}: exists, and is no simulation; choose another OUT")
    out.parent.mkdir(parents=True, exist_ok=True)
    files = write_simulation(map, out, simulation, pixel_size=pixel_size)
    print_line(f"{simulation.count:,} images at {files.pixel_size:.4g} A, noise variance {files.noise_variance:.4g}")
    for path in (files.stack, files.particles, files.truth):
        print_line(f"wrote {path}")
    return 0
