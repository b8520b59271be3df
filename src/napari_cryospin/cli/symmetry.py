"""The command `symmetry`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from napari_cryospin.cli.console import print_line
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
