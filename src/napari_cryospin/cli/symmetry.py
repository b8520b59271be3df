"""The command `symmetry`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from napari_cryospin.cli.console import print_line
from napari_cryospin.runs.places import check_place, real_path
from napari_cryospin.views.symmetry import ComparedMap

SHOWN_GROUPS = 8
"""Largest number of groups that are listed."""


def symmetry_command(
    source: Annotated[Positional[Path], arg(metavar="RUN_OR_MAP")],
    group: str | None = None,
    resolution: float | None = None,
    aligned: Path | None = None,
    difference: Path | None = None,
) -> int:
    """Find which symmetry a map looks like, and where its axes lie. Nothing is imposed on a run.

    Parameters
    ----------
    source
        Folder of a run, whose newest map is looked at, or a map (.mrc).
    group
        Look at this point group only, such as C3.
    resolution
        Compare the map down to this resolution, in A. Default: that of the run, or four pixels.
    aligned
        Write the map with the group's axes where RELION has them (.mrc).
    difference
        Write what of that map is not symmetric (.mrc).
    """
    _check_outputs(source, aligned, difference)
    compared = ComparedMap.read(source)
    report = compared.report(group, resolution)
    chosen = next(iter(report.candidates), None) if group else report.best
    text = chosen.text if chosen else report.text
    print_line(f"{text}, compared down to {report.resolution:.3g} A")
    for one in report.candidates[:SHOWN_GROUPS]:
        print_line(f"  {one.name:4} score {one.score:.3f}, halfway between its turns {one.baseline:.3f}")
    outputs = ((aligned, compared.write_aligned), (difference, compared.write_difference))
    for path, write in outputs:
        if path is None:
            continue
        if chosen is None:
            raise ValueError("the map looks like no group to align it to; expected --group, such as --group C3")
        write(path, chosen)
        print_line(f"wrote {path}")
    return 0


def _check_outputs(source: Path, aligned: Path | None, difference: Path | None) -> None:
    """Refuse to write a map over what is read, over a file that is no map, or over the other map."""
    outputs = [path for path in (aligned, difference) if path is not None]
    for path in outputs:
        if path.suffix.lower() != ".mrc":
            raise ValueError(f"{path}: found a name with {path.suffix!r} at its end, expected '.mrc'")
        check_place(path, [source])
    if len(outputs) == 2 and real_path(outputs[0]) == real_path(outputs[1]):
        raise ValueError(f"{outputs[0]}: both maps are to be written there; expected a file for each")
