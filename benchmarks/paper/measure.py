"""One run, measured epoch by epoch in a process of its own: `python -m benchmarks.paper.measure STEM OUT.json ...`.

The clock stands while poses and maps are compared with the truth. What goes wrong is written down, too.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.paper.cases import SCALES, SYMMETRIES, Case, overrides

from napari_cryospin.engine.reconstruction import Reconstruction
from napari_cryospin.evaluation.against_truth import compare_maps, compare_poses
from napari_cryospin.io.mrc import read_map
from napari_cryospin.io.open import open_particles
from napari_cryospin.settings import settings_from

RESOLUTIONS = 10
"""Epochs in which the map is compared with the truth, beside the last one: an alignment takes seconds."""


def parameters(run: Reconstruction) -> int:
    """Count what gradients change: encoder and volume."""
    fit = run.fits[0]
    modules = [part for part in (fit.encoder, fit.volume) if isinstance(part, torch.nn.Module)]
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def row(run: Reconstruction, stem: Path, case: Case, seconds: float, *, with_map: bool) -> dict[str, Any]:
    """Compare a run as it stands with the truth."""
    fit, truth = run.fits[0], open_particles(f"{stem}_truth.star")
    particles = truth.select(run.indices)
    rotations, shifts = (part.double().cpu().numpy() for part in (fit.particles.rotations, fit.particles.shifts))
    posed = dataclasses.replace(particles, rotations=rotations, shifts=shifts)
    poses = compare_poses(posed, truth, SYMMETRIES.get(case.molecule, "C1"))
    found = {"epoch": run.epoch, "stage": run.stage, "seconds": seconds}
    found |= {"mean": poses[0].mean, "median": poses[0].median, "within_10": poses[0].within_10}
    if with_map:
        density = (fit.volume.to_map() * fit.images.box_size).detach().cpu().numpy()
        found["resolution"] = compare_maps(density, run.pixel_size, *read_map(f"{stem}_map.mrc"), poses).resolution
    return found


def measured(case: Case, scale: str, stem: Path, threads: int) -> dict[str, Any]:
    """Make one run."""
    torch.set_num_threads(threads)
    preset, changes = overrides(case, SCALES[scale])
    settings = settings_from(preset, threads=threads, **changes)
    takes_poses = settings.method == "known-poses"
    began, evaluating, rows = time.perf_counter(), 0.0, []
    run = Reconstruction(open_particles(f"{stem}_truth.star" if takes_poses else f"{stem}.star"), settings)
    every = max(1, settings.schedule.epochs // RESOLUTIONS)
    while not run.finished:
        run.advance()
        if run.epoch_ended:
            seconds = time.perf_counter() - began - evaluating
            with_map = run.finished or run.epoch % every == 0
            rows.append(row(run, stem, case, seconds, with_map=with_map))
            evaluating = time.perf_counter() - began - seconds
    verdict = run.results().verdict.kind
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"rows": rows, "verdict": verdict, "peak_gib": peak, "parameters": parameters(run), "threads": threads}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stem", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--scale", required=True)
    parser.add_argument("--method", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--molecule", required=True)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    case = Case(options.method, options.molecule, options.seed)
    found: dict[str, Any] = dataclasses.asdict(case)
    try:
        found |= measured(case, options.scale, options.stem, options.threads)
    except Exception as error:  # noqa: BLE001 - a failure is an outcome, and stands in the table
        found |= {"failed": f"{type(error).__name__}: {error}", "rows": []}
    part = options.out.with_suffix(".part")
    part.write_text(json.dumps(found, default=float))
    part.replace(options.out)
    print(case.name, found.get("failed") or found["rows"][-1], file=sys.stderr, flush=True)


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()
