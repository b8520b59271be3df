"""Times of the grid posterior at 64 px: templates of a fine grid, one image on it, a whole stack on a coarse one.

python benchmarks/posterior_times.py [--threads 2]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

import napari_cryospin
from napari_cryospin.inference.pose_posterior import log_likelihoods, make_templates
from napari_cryospin.io.mrc import read_map
from napari_cryospin.physics import fourier, so3_grid

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    torch.set_num_threads(parser.parse_args().threads)
    density = torch.from_numpy(read_map(MAP)[0]).float()
    padding = 2
    hartley = fourier.map_to_hartley(density, padding)
    generator = torch.Generator().manual_seed(0)

    def batch(count: int, points: int) -> tuple[torch.Tensor, ...]:
        images = torch.randn(count, points, dtype=torch.complex64, generator=generator)
        return images, torch.randn(count, points, generator=generator), torch.ones(points)

    points, grid = fourier.half_plane(64, 16), so3_grid.grid_rotations(8, 48)
    print(f"templates, nside 8 x 48, band 16: {seconds(lambda: make_templates(hartley, grid, points, padding)):.3f} s")
    templates, one = make_templates(hartley, grid, points, padding), batch(1, len(points))
    print(f"one image on them: {1000 * seconds(lambda: log_likelihoods(templates, *one)):.1f} ms")
    points, grid = fourier.half_plane(64, 11), so3_grid.grid_rotations(4, 24)
    images, ctf, weights = batch(5000, len(points))

    def whole_stack() -> None:
        coarse = make_templates(hartley, grid, points, padding)
        for start in range(0, len(images), 500):
            part = slice(start, start + 500)
            log_likelihoods(coarse, images[part], ctf[part], weights).logsumexp(-1)

    print(f"5,000 images, nside 4 x 24, band 11, templates included: {seconds(whole_stack):.3f} s")


if __name__ == "__main__":
    main()
