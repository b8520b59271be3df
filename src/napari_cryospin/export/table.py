"""Where results can go: one row a program; the command line and the window's buttons call the same function."""

from __future__ import annotations

import importlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_cryospin.export.options import ExportCancelledError, Exported, ExportOptions, Progress
from napari_cryospin.export.run_results import RunResults, open_results
from napari_cryospin.export.selection import Selection
from napari_cryospin.runs.folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class Exporter:
    """One program to write for."""

    label: str
    """What is written, in a few words."""
    suffix: str
    """Of the file to write; empty: a folder."""
    function: str
    """`module:name` in this package, imported when it is asked for."""
    of: Literal["particles", "run"] = "particles"
    """Called with the results of the chosen particles, or with the run's folder; then with out, options, progress."""


EXPORTERS = {
    "relion": Exporter(label="particles for RELION (.star)", suffix=".star", function="relion:export_relion"),
    "cryosparc": Exporter(
        label="particles for cryoSPARC (.cs and .csg)", suffix="", function="cryosparc:export_cryosparc"
    ),
    "cryodrgn": Exporter(
        label="poses, CTF and indices for cryoDRGN (.pkl)", suffix="", function="cryodrgn:export_cryodrgn"
    ),
    "chimerax": Exporter(
        label="maps, directions and script for ChimeraX", suffix="", function="whole_run:chimerax", of="run"
    ),
    "maps": Exporter(
        label="maps, half maps, mask, FSC, reference and series (.mrc)",
        suffix="",
        function="maps:export_maps",
        of="run",
    ),
    "emdb": Exporter(label="map, half maps, mask and FSC for EMDB", suffix="", function="maps:export_emdb", of="run"),
}


def export(
    run: Path | RunFolder | RunResults,
    to: str,
    out: Path,
    selection: Selection = Selection(),  # noqa: B008 (frozen)
    options: ExportOptions = ExportOptions(),  # noqa: B008 (frozen)
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> Exported:
    """Write a run's results for another program.

    Parameters
    ----------
    run
        Folder of the run, or its results where they are open.
    to
        One of `EXPORTERS`.
    out
        File or folder to write, as the exporter has it; files of the same names are replaced.
    selection
        Which particles.
    options
        How to write.
    progress
        Called with the share that is done, 0 to 1, and what is being done.
    stop
        Setting it breaks the export off; no file is left half-written.

    Raises
    ------
    ValueError, FileNotFoundError
        The run, the selection or the place to write to cannot be used.
    ExportCancelledError
        It was asked to stop.
    """
    exporter = find_exporter(to)
    out = Path(out)
    folder = run.folder if isinstance(run, RunResults) else run if isinstance(run, RunFolder) else RunFolder(Path(run))
    _check_place(exporter, folder, out)
    if exporter.of == "run" and not selection.everything:
        raise ValueError(f"export to {to}: writes what belongs to the run as a whole; expected no selection")

    def report(share: float, text: str) -> None:
        if progress is not None:
            progress(share, text)
        if stop is not None and stop.is_set() and share < 1:
            raise ExportCancelledError(f"export to {to}: stopped")

    report(0.0, "opening the run")
    module, name = exporter.function.split(":")
    function = getattr(importlib.import_module(f"napari_cryospin.export.{module}"), name)
    if exporter.of == "run":
        exported: Exported = function(folder, out, options, report)
    else:
        results = run if isinstance(run, RunResults) else open_results(folder)
        if not selection.everything:
            results = results.select(selection.positions(results))
        results = results.in_other_hand() if options.flip_hand else results
        (out.parent if exporter.suffix else out).mkdir(parents=True, exist_ok=True)
        exported = function(results, out, options, report)
    report(1.0, "done")
    return exported


def _check_place(exporter: Exporter, folder: RunFolder, out: Path) -> None:
    """Refuse a name of another kind, and to write where the run's own input lies."""
    if exporter.suffix and out.suffix.lower() != exporter.suffix:
        raise ValueError(f"{out}: found a name with {out.suffix!r} at its end, expected {exporter.suffix!r}")
    if not exporter.suffix and out.exists() and not out.is_dir():
        raise ValueError(f"{out}: is a file; expected a folder to write to")
    source = folder.source
    for path in (source.particles, *source.passthrough, source.ctf, source.poses):
        if path is not None and out.absolute() in (path.absolute(), path.absolute().parent):
            raise ValueError(f"{out}: the run's input {path.name} is there; choose another place to write to")


def find_exporter(name: str) -> Exporter:
    """The row of a name."""
    if name not in EXPORTERS:
        raise ValueError(f"export: nothing is written for {name!r}; expected one of {', '.join(EXPORTERS)}")
    return EXPORTERS[name]
