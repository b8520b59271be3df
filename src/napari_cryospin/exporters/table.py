"""The table of exporters, one row a program, and the function that the command line and the window call."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from napari_cryospin.exporters.input_notes import left_out_notes
from napari_cryospin.exporters.options import (
    SERIES_FOLDER,
    ExportCancelledError,
    Exported,
    ExportOptions,
    Progress,
)
from napari_cryospin.exporters.run_results import RunResults, open_results
from napari_cryospin.exporters.selection import Selection
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.places import check_place

ExportFunction: TypeAlias = Callable[[Any, Path, ExportOptions, Progress], Exported]
"""Function that is called with what is exported (see `Exporter.of`), the place to write to, options and progress."""


# An exporter's module is imported when it is used: some load torch, and a list of programs must open at once.


def _relion() -> ExportFunction:
    from napari_cryospin.exporters.relion import export_relion

    return export_relion


def _cryosparc() -> ExportFunction:
    from napari_cryospin.exporters.cryosparc import export_cryosparc

    return export_cryosparc


def _cryodrgn() -> ExportFunction:
    from napari_cryospin.exporters.cryodrgn import export_cryodrgn

    return export_cryodrgn


def _chimerax() -> ExportFunction:
    from napari_cryospin.exporters.chimerax import export_chimerax

    return export_chimerax


def _maps() -> ExportFunction:
    from napari_cryospin.exporters.maps import export_maps

    return export_maps


def _emdb() -> ExportFunction:
    from napari_cryospin.exporters.maps import export_emdb

    return export_emdb


@dataclass(frozen=True, kw_only=True)
class Exporter:
    """A row of the table: one program for which a run can be exported."""

    label: str
    """Short name of the files that are written, for lists and for the help."""
    detail: str
    """Description of the files that are written."""
    suffix: str
    """Suffix of the file that is written; empty: a folder is written."""
    load: Callable[[], ExportFunction]
    """Function that imports and returns the function that writes."""
    of: Literal["particles", "run"] = "particles"
    """First argument of the function: the results for the selected particles, or the folder of the run."""
    together: bool = False
    """Whether the files belong together, so that they are moved to their place only when all of them are complete."""


EXPORTERS = {
    "relion": Exporter(
        label="particles for RELION (.star)",
        detail="the input's rows and columns, with new angles and origins",
        suffix=".star",
        load=_relion,
    ),
    "cryosparc": Exporter(
        label="particles for cryoSPARC (.csg)",
        detail="particles.csg and particles.cs, for the job Import Result Group",
        suffix="",
        load=_cryosparc,
    ),
    "cryodrgn": Exporter(
        label="poses for cryoDRGN (.pkl)",
        detail="poses.pkl, ctf.pkl, and ind.pkl with the particles chosen",
        suffix="",
        load=_cryodrgn,
        together=True,
    ),
    "chimerax": Exporter(
        label="script for ChimeraX (.cxc)",
        detail="view.cxc and what it shows: map, half maps, view directions and the epochs' maps",
        suffix="",
        load=_chimerax,
        of="run",
        together=True,
    ),
    "maps": Exporter(
        label="all maps and FSC (.mrc)",
        detail="map, half maps, mask, sharpened map; reference.mrc at the particles' own box; FSC; the epochs' maps",
        suffix="",
        load=_maps,
        of="run",
        together=True,
    ),
    "emdb": Exporter(
        label="map and half maps for EMDB",
        detail="map.mrc, half maps, mask and fsc.xml, as a deposition asks for",
        suffix="",
        load=_emdb,
        of="run",
        together=True,
    ),
}
"""Name of a program or of a set of files -> its exporter."""


def export_run(
    run: Path | RunFolder | RunResults,
    to: str,
    out: Path,
    selection: Selection = Selection(),  # noqa: B008 (frozen)
    options: ExportOptions = ExportOptions(),  # noqa: B008 (frozen)
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    class_number: int | None = None,
) -> Exported:
    """Write a run's results for another program.

    Parameters
    ----------
    run
        Folder of the run, or its results where they are open.
    to
        One of `EXPORTERS`.
    out
        File or folder to write, depending on the exporter; files of the same names are replaced.
    selection
        Particles to write.
    options
        Options of the export.
    progress
        Called with the share that is done, 0 to 1, and a text about the present work.
    stop
        Event that cancels the export when it is set; no file is left half-written.
    class_number
        Class, from 1, whose maps or particles are written. Default: all particles, and for ChimeraX the maps of all
        classes, else those of the largest one.

    Returns
    -------
    Exported
        Files that were written, and notes for the user.

    Raises
    ------
    ValueError, FileNotFoundError
        The run, the selection or the place to write to cannot be used.
    ExportCancelledError
        `stop` was set.
    """
    exporter = find_exporter(to)
    out = Path(out)
    folder = run.folder if isinstance(run, RunResults) else run if isinstance(run, RunFolder) else RunFolder(Path(run))
    if class_number is not None:
        folder = run = folder.of_class(class_number)
    _check_place(exporter, folder, out)
    if exporter.of == "run" and not selection.everything:
        raise ValueError(
            f"export to {to}: writes what belongs to the run as a whole, made of all its particles; "
            "expected no selection"
        )

    def report(share: float, text: str) -> None:
        if progress is not None:
            progress(share, text)
        if stop is not None and stop.is_set() and share < 1:
            raise ExportCancelledError(f"export to {to}: stopped")

    report(0.0, "opening the run")
    function = exporter.load()
    what: RunFolder | RunResults = folder
    notes: tuple[str, ...] = ()
    if exporter.of == "particles":
        results = run if isinstance(run, RunResults) else open_results(folder)
        notes = left_out_notes(results)
        if not selection.everything:
            results = results.select(selection.positions(results))
        what = results.in_other_hand() if options.flip_hand else results
    (out.parent if exporter.suffix else out).mkdir(parents=True, exist_ok=True)
    with _all_or_nothing(out) if exporter.together else contextlib.nullcontext(out) as part:
        exported = function(what, part, options, report)
    report(1.0, "done")
    paths = tuple(out / path.relative_to(part) for path in exported.paths)
    return dataclasses.replace(exported, paths=paths, notes=(*notes, *exported.notes))


def _check_place(exporter: Exporter, folder: RunFolder, out: Path) -> None:
    """Raise an error if the name is of the wrong kind, or the place is that of the run's input or its own files."""
    if exporter.suffix and out.suffix.lower() != exporter.suffix:
        raise ValueError(f"{out}: found a name with {out.suffix!r} at its end, expected {exporter.suffix!r}")
    if not exporter.suffix and out.exists() and not out.is_dir():
        raise ValueError(f"{out}: is a file; expected a folder to write to")
    source = folder.source
    inputs = [path for path in (source.particles, *source.passthrough, source.ctf, source.poses) if path is not None]
    check_place(out, inputs, folder=not exporter.suffix)


@contextlib.contextmanager
def _all_or_nothing(out: Path) -> Iterator[Path]:
    """Yield a folder whose files are moved to `out` at the end, so that files of two exports are never mixed."""
    try:
        with tempfile.TemporaryDirectory(prefix=".part-", dir=out) as name:
            part = Path(name)
            yield part
            for old in (out / SERIES_FOLDER).glob("epoch_*.mrc") if (part / SERIES_FOLDER).is_dir() else ():
                old.unlink()  # An earlier export may have had more epochs.
            for path in sorted(part.rglob("*")):  # A folder comes before the files in it.
                place = out / path.relative_to(part)
                place.mkdir(exist_ok=True) if path.is_dir() else os.replace(path, place)
    finally:
        if not any(out.iterdir()):
            out.rmdir()


def find_exporter(name: str) -> Exporter:
    """Return the exporter of a program by its name.

    Raises
    ------
    ValueError
        There is no exporter of that name.
    """
    if name not in EXPORTERS:
        raise ValueError(f"export: nothing is written for {name!r}; expected one of {', '.join(EXPORTERS)}")
    return EXPORTERS[name]
