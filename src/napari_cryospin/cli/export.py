"""The command `export`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from tqdm import tqdm
from tyro.conf import OmitArgPrefixes, Positional, arg

from napari_cryospin.cli.console import print_aside, print_line, with_flags
from napari_cryospin.driving.signals import stop_on_signal
from napari_cryospin.exporters.options import ExportCancelledError, ExportOptions
from napari_cryospin.exporters.selection import Selection
from napari_cryospin.exporters.table import EXPORTERS, export_run

PROGRAMS = "; ".join(f"{name}: {exporter.label}" for name, exporter in EXPORTERS.items())
"""Help of the flag `--to`: the programs, and what is written for each."""


def export_command(
    run: Positional[Path],
    out: Positional[Path],
    to: Annotated[str, arg(help=PROGRAMS)],
    select: str = "",
    direction: tuple[float, float, float] | None = None,
    random: int | None = None,
    seed: int = 0,
    rows: Path | None = None,
    class_number: Annotated[int | None, arg(name="class")] = None,
    writing: OmitArgPrefixes[ExportOptions] = ExportOptions(),  # noqa: B008 (frozen)
) -> int:
    """Write a run's results for another program; if the run goes on, those of its last epoch.

    Parameters
    ----------
    run
        Folder of the run.
    out
        File or folder to write.
    to
        Program to write for.
    select
        Particles for which this holds: comparisons of entropy (nats), error, belongs (0 to 1), scale,
        head (from 1), class (from 1), class_probability, winner (from 1), half_set, row (from 1), rot, tilt, psi
        (degrees), shift (A), precision (degrees), max_probability, significant_samples, log_likelihood; joined by
        and, or, not.
    direction
        Particles seen from near a direction: rot, tilt, and within how many degrees.
    random
        Number of particles to draw from those that are left.
    seed
        Seed of the draw.
    rows
        Text file with the rows of the particles in the input, counted from 1, one in each line.
    class_number
        Class, from 1, whose maps or particles are written. Default: all.
    writing
        Options of the export.
    """
    selection = Selection(expression=select, direction=direction, random=random, seed=seed, rows=rows)
    form = "{desc} |{bar}| {percentage:3.0f} %"
    with stop_on_signal(print_aside) as stop, tqdm(total=1.0, bar_format=form, disable=not sys.stderr.isatty()) as bar:

        def progress(share: float, text: str) -> None:
            bar.n = share
            bar.set_description_str(text)

        try:
            exported = export_run(run, to, out, selection, writing, progress, stop, class_number)
        except ExportCancelledError as error:
            print_line(str(error))
            return 130
    for note in exported.notes:
        print_line(f"note: {with_flags(note)}")
    for path in exported.paths:
        print_line(f"wrote {path}")
    return 0
