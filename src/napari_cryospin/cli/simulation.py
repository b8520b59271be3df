"""Command that simulates particles from a map."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import OmitArgPrefixes, Positional

from napari_cryospin.cli.console import say
from napari_cryospin.evaluation.simulation import simulate as simulate_files
from napari_cryospin.physics.simulate import SimulationSettings


def simulate(
    map: Positional[Path],
    out: Positional[Path],
    simulation: OmitArgPrefixes[SimulationSettings] = SimulationSettings(),  # noqa: B008 (frozen)
    pixel_size: float | None = None,
) -> int:
    """Particles with known poses from a map: OUT.mrcs, OUT.star, and OUT_truth.star with the poses.

    Parameters
    ----------
    map
        Map (.mrc), protein positive.
    out
        Where to write, without suffix.
    simulation
        What to simulate.
    pixel_size
        Of the map, in A. Default: the header's.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    files = simulate_files(map, out, simulation, pixel_size=pixel_size)
    say(f"{simulation.count:,} images at {files.pixel_size:.4g} A, noise variance {files.noise_variance:.4g}")
    for path in (files.stack, files.particles, files.truth):
        say(f"wrote {path}")
    return 0
