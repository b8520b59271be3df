"""Times of the grid posterior at 64 px: a whole stack on a coarse grid, and one particle for the eye.

The first particle under a map waits for the map to be made ready; the next ones on the same map do not.

python benchmarks/posterior_times.py [--threads 2]
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import napari_cryospin
from napari_cryospin.engine.pose_posterior import log_likelihoods, make_templates
from napari_cryospin.geometry import so3_grid
from napari_cryospin.io.mrc import read_map
from napari_cryospin.io.open import open_particles
from napari_cryospin.particles import Particles
from napari_cryospin.physics import fourier
from napari_cryospin.runs.epoch_record import EpochRecord
from napari_cryospin.runs.particle_record import ParticleRecord
from napari_cryospin.settings import PRESETS
from napari_cryospin.simulation.files import write_simulation
from napari_cryospin.simulation.images import SimulationSettings
from napari_cryospin.views.posterior.particle_view import ParticleView

MAP = Path(napari_cryospin.__file__).parent / "data" / "spliceosome_64.mrc"


def seconds(function: Callable[[], object], repeats: int = 5) -> float:
    """Median time of a call, after one that does not count."""
    function()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def noise_images(count: int, band: int) -> tuple[torch.Tensor, ...]:
    """Lattice of the map, points of the band, and images, CTFs and weights at these."""
    hartley = fourier.map_to_hartley(torch.from_numpy(read_map(MAP)[0]).float(), 2)
    generator, points = torch.Generator().manual_seed(0), fourier.half_plane(64, band)
    images = torch.randn(count, len(points), dtype=torch.complex64, generator=generator)
    return hartley, points, images, torch.randn(count, len(points), generator=generator), torch.ones(len(points))


def whole_stack() -> None:
    """5,000 images on the grid of the search."""
    hartley, points, images, ctf, weights = noise_images(5000, 11)
    grid = so3_grid.grid_rotations(4, 24)

    def search() -> None:
        coarse = make_templates(hartley, grid, points, 2)
        for start in range(0, len(images), 500):
            part = slice(start, start + 500)
            log_likelihoods(coarse, images[part], ctf[part], weights).logsumexp(-1)

    print(f"5,000 images, nside 4 x 24, band 11, templates included: {seconds(search):.3f} s")


def fine_grid() -> None:
    """nside 8 x 48 in-plane angles, band 16: slices once a map, then image by image."""
    hartley, points, image, ctf, weights = noise_images(1, 16)
    grid = so3_grid.grid_rotations(8, 48)
    templates = make_templates(hartley, grid, points, 2)
    once = seconds(lambda: make_templates(hartley, grid, points, 2))
    each = seconds(lambda: log_likelihoods(templates, image, ctf, weights), 20)
    print(f"nside 8 x 48, band 16: slices {once:.2f} s a map, then {1000 * each:.1f} ms an image")


def one_particle(particles: Particles, max_shift: float) -> None:
    """Posterior, zoom and candidates, with a new particle each time."""
    density, pixel_size = read_map(MAP)
    count = len(particles)
    assert particles.rotations is not None
    assert particles.shifts is not None

    record = ParticleRecord(
        rows=np.arange(count),
        half_sets=np.zeros(count, np.int8),
        rotations=np.asarray(particles.rotations, np.float32),
        shifts=np.asarray(particles.shifts, np.float32),
        winner=np.zeros(count, np.int16),
    )

    def state() -> EpochRecord:
        return EpochRecord(
            epoch=0,
            stage="auto-encoding",
            map=density,
            pixel_size=pixel_size,
            band=31,
            noise=np.ones((1, 32), np.float32),
            max_shift=max_shift,
            particles=record,
        )

    view, row, now = ParticleView(particles, PRESETS["quick"]), itertools.cycle(range(count)), state()

    def candidates() -> None:
        view.compare(next(row), now, particles.rotations[:9], particles.shifts[:9])

    calls = {
        "first posterior on a new map": lambda: view.posterior(next(row), state()),
        "posterior of the next particle": lambda: view.posterior(next(row), now),
        "the same, with zoom": lambda: view.zoom(next(row), now),
        "the same, with 9 candidates": candidates,
    }
    print(f"one particle, shifts {'looked for' if max_shift else 'not looked for'}")
    for name, call in calls.items():
        print(f"    {name}: {1000 * seconds(call, 15):.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    torch.set_num_threads(parser.parse_args().threads)
    whole_stack()
    fine_grid()
    with tempfile.TemporaryDirectory() as folder:
        files = write_simulation(MAP, Path(folder) / "particles", SimulationSettings(count=40, snr=0.1, shift_sd=5.0))
        particles = open_particles(files.truth)
        for max_shift in (0.0, 40.0):
            one_particle(particles, max_shift)


if __name__ == "__main__":
    main()
