"""The commands `run` and `resume`. They import torch only after the input has been checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from napari_cryospin.cli.console import error_text, print_aside, print_line, progress_shown, progress_text
from napari_cryospin.cli.inputs import open_checked_particles
from napari_cryospin.driving.signals import stop_on_signal
from napari_cryospin.particles import Particles
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.run_particles import open_moved_particles
from napari_cryospin.runs.source import InputOptions, RunInput
from napari_cryospin.settings import Settings


def run_command(
    particles: Annotated[Positional[Path], arg(metavar="PARTICLES")],
    out: Annotated[Path, arg(aliases=["-o"])],
    settings: OmitArgPrefixes[Settings],
    options: OmitArgPrefixes[InputOptions] = InputOptions(),  # noqa: B008 (frozen)
) -> int:
    """Reconstruct a map and every particle's pose ab initio. Ctrl-C saves and stops; `resume` goes on.

    Parameters
    ----------
    particles
        Particles: .star, .cs, .csg, .mrcs or .mrc.
    out
        Folder of the run; map and poses will be in its results/.
    settings
        Settings of the run: a preset, and the values that override it.
    options
        Files and values beside the particle file.
    """
    source = RunInput(particles=particles, **vars(options))
    opened = open_checked_particles(source, settings)
    from napari_cryospin.driving.run import new_run  # Imports torch.

    with new_run(out, source, settings) as folder:
        return drive_to_end(folder, opened)


def resume_command(
    run: Annotated[Positional[Path], arg(metavar="RUN")],
    particles: Path | None = None,
    data_dir: Path | None = None,
) -> int:
    """Go on with a run from its newest checkpoint; with one that waits for the switch by hand, by making the switch.

    Parameters
    ----------
    run
        Folder of the run.
    particles
        New path of the particle file, if it was moved; the run stores it.
    data_dir
        New folder of the image stacks, if they were moved; the run stores it.
    """
    folder = RunFolder(run)
    opened = open_moved_particles(folder, particles, data_dir)
    if folder.finished:
        print_line(f"the run has finished; map and poses: {folder.results_path}")
        if verdict := folder.read_status().verdict_text:
            print_line(f"verdict: {verdict}")
        return 0
    return drive_to_end(folder, opened)


def drive_to_end(folder: RunFolder, particles: Particles | None = None) -> int:
    """Drive a run in this process until it ends, print how it ended, and return the exit status."""
    from napari_cryospin.driving.run import drive_run  # Imports torch.

    with stop_on_signal(print_aside) as stop, progress_shown() as progress:
        try:
            drive_run(folder, particles, stop=stop, on_status=progress)
        except (FileNotFoundError, FileExistsError):  # The run did not begin.
            raise
        except (RuntimeError, ArithmeticError, MemoryError, OSError) as error:
            print_line(f"the run failed: {error_text(error)}\nthe traceback is in {folder.path / 'events.jsonl'}")
            return 1
    status = folder.read_status()
    parts = (
        f"{status.state} after {status.elapsed:.0f} s",
        f"epoch {status.epoch}/{status.epochs}",
        progress_text(status),
    )
    print_line(", ".join(filter(None, parts)))
    if folder.waits_for_switch:
        print_line(f"{status.message}: `napari-cryospin resume {folder.path}`")
    if status.verdict_text:
        print_line(f"verdict: {status.verdict_text}")
    results = folder.path / "results"
    if text := share_text(results / "postprocess.json"):
        print_line(text)
    print_line(
        f"map and poses: {results}" if (results / "map.mrc").exists() else "no map and no poses yet: no step was done"
    )
    return 130 if stop.is_set() and status.state == "stopped" else 0


def share_text(figures: Path) -> str:
    """Write which share of the images shows the particle; empty: there are no such figures, or it is not known."""
    share = json.loads(figures.read_text()).get("share_showing_particle") if figures.exists() else None
    return "" if share is None else f"{100 * share:.1f} % of the images show the particle"
