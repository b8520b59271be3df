"""One run in a process of its own, whose peak memory is then its own: `python -m benchmarks.paper.measure --help`.

The run is a folder like any other, so that it is resumed where it was interrupted. Its clock is its own: images are
prepared before, results written and compared with the truth after. What goes wrong is written down, too.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import resource
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.paper.cases import SCALES, Case, overrides
from benchmarks.paper.rows import TrueRun, rows_of

from napari_cryospin.driving.run import drive_run, new_run
from napari_cryospin.driving.signals import stop_on_signal
from napari_cryospin.engine.reconstruction import Reconstruction
from napari_cryospin.io.open import open_particles
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import Status
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import Settings, settings_from

FEW = 64
"""Particles of a reconstruction whose parameters are counted: their number does not depend on it."""


def settings_of(case: Case, scale: str, threads: int, **more: Any) -> Settings:
    """Return the settings of a run, on the CPU."""
    preset, changes = overrides(case, SCALES[scale])
    return settings_from(preset, threads=threads, device="cpu", **changes, **more)


def input_of(stem: Path, settings: Settings) -> Path:
    """Return the particles' file, with poses for the method that takes them."""
    return Path(f"{stem}_truth.star" if settings.method == "known-poses" else f"{stem}.star")


def begun(folder: Path, particles: Path, settings: Settings) -> RunFolder:
    """Return the run in a folder, or a new one if there is none."""
    if not (folder / "input.json").exists():
        with new_run(folder, RunInput(particles=particles), settings):
            pass
    return RunFolder(folder)


def drive_until(run: RunFolder, limit: float | None) -> None:
    """Drive a run to its end, or until it has taken so many seconds, without results then.

    Raises
    ------
    KeyboardInterrupt
        A signal stopped the run, which is saved.
    """
    late = threading.Event()

    def watch(status: Status) -> None:
        if limit is not None and status.state == "running" and status.elapsed >= limit:
            late.set()

    with stop_on_signal(logging.warning) as stop:
        drive_run(run, stop=stop, on_status=watch, hurry=late)
    if stop.is_set() and not (run.finished or late.is_set()):
        raise KeyboardInterrupt(f"{run.path}: stopped by a signal, and saved")


def parameters(case: Case, scale: str, stem: Path) -> dict[str, int]:
    """Count what gradients change, by part: encoder and volume."""
    settings = settings_of(case, scale, 1, subset=FEW)
    fit = Reconstruction(open_particles(input_of(stem, settings)), settings).fits[0]
    parts = {"encoder": fit.encoder, "volume": fit.volume}
    modules = {name: part for name, part in parts.items() if isinstance(part, torch.nn.Module)}
    return {name: sum(one.numel() for one in module.parameters()) for name, module in modules.items()}


def measured(case: Case, scale: str, stem: Path, folder: Path, threads: int) -> dict[str, Any]:
    """Make one run, or go on with it, and compare it with the truth."""
    settings = settings_of(case, scale, threads)
    run = begun(folder, input_of(stem, settings), settings)
    if not run.finished:
        drive_until(run, SCALES[scale].limit)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    status = run.read_status()
    found = {"finished": run.finished, "verdict": status.verdict, "elapsed": status.elapsed, "peak_gib": peak}
    found |= {"threads": threads, "parameters": parameters(case, scale, stem)}
    return found | {"rows": rows_of(TrueRun(folder, stem, case.molecule))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stem", type=Path, help="of the simulated particles")
    parser.add_argument("out", type=Path, help=".json to write; the run's folder lies beside it, without the suffix")
    parser.add_argument("--scale", choices=SCALES, required=True)
    parser.add_argument("--method", required=True)
    parser.add_argument("--molecule", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    case = Case(options.method, options.molecule, options.seed)
    found: dict[str, Any] = dataclasses.asdict(case)
    try:
        found |= measured(case, options.scale, options.stem, options.out.with_suffix(""), options.threads)
    except (FileExistsError, KeyboardInterrupt) as error:  # Another process makes this run, or a signal stopped it.
        sys.exit(str(error))
    except Exception as error:  # noqa: BLE001 - a failure is an outcome, and stands in the table
        found |= {"failed": f"{type(error).__name__}: {error}", "rows": []}
    part = options.out.with_suffix(".part")
    part.write_text(json.dumps(found, default=float))
    part.replace(options.out)
    print(case.name, found.get("failed") or found["rows"][-1:], file=sys.stderr, flush=True)


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()
