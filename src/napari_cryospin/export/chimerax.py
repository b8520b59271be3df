"""A run for ChimeraX: maps, the directions' distribution, the run's maps as a series, and a script that shows them.

The script is meant for an empty ChimeraX session, in which models are numbered as they are opened.
Every command in it is documented at https://www.cgl.ucsf.edu/chimerax/docs/user/commands/, on the page of its name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.evaluation.hand import flip_hand
from napari_cryospin.io.bild import write_distribution
from napari_cryospin.io.files import atomic_write
from napari_cryospin.io.mrc import read_map, write_map
from napari_cryospin.physics import healpix
from napari_cryospin.runs.folder import RunFolder

ENCLOSED = 0.01
"""Share of the grid points inside the first contour: ChimeraX's rule (volume.html, "initial contour level")."""
COLOURS = ("#a9bcd6", "#e8b96f", "#8fc7a3")
"""Map, half map 1, half map 2."""
NSIDE = 8
"""Cells of the directions' distribution: 768."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """How the map is shown, so that ChimeraX's window and ours agree.

    Attributes
    ----------
    enclosed
        Share of the grid points inside the contour: says the same of a map at any scale.
    colour
        #rrggbb.
    rotation
        `(3, 3)` a particle's rotation under which the map is seen: rows to the right, upwards, towards the user.
    """

    enclosed: float = ENCLOSED
    colour: str = COLOURS[0]
    rotation: NDArray[np.float64] | None = None


def export_chimerax(
    folder: RunFolder,
    out: Path,
    look: Look | None = None,
    progress: Callable[[float, str], None] | None = None,
    flip: bool = False,
) -> list[Path]:
    """Write a folder that `view.cxc` in it shows in ChimeraX.

    Parameters
    ----------
    folder
        A run with results, or one that is going on: then its newest map.
    out
        Folder to write to; files of the same names are replaced.
    look
        As the window shows it.
    progress
        Called with the share done and what is being done.
    flip
        Write the other hand of everything; view directions are the same in both.

    Returns
    -------
    list of Path
        What was written, the script first.

    Raises
    ------
    ValueError
        The run has no map yet.
    """
    look, say = look or Look(), progress or (lambda share, text: None)
    out.mkdir(parents=True, exist_ok=True)
    say(0.0, "maps")
    maps = _maps(folder, out, flip)
    say(0.2, "directions")
    snapshot, bild = folder.newest_snapshot(), None
    if snapshot is not None:
        bild = out / "directions.bild"
        cells = healpix.vec2pix(NSIDE, *snapshot.rotations[:, 2].T)
        counts = np.bincount(cells, minlength=12 * NSIDE**2)
        centres = np.stack(healpix.pix2vec(NSIDE, np.arange(12 * NSIDE**2)), axis=-1)
        write_distribution(bild, centres, counts, box_size=len(snapshot.map), pixel_size=snapshot.pixel_size)
    series = _series(folder, out / "series", say, flip)
    script = out / "view.cxc"
    with atomic_write(script) as part:
        part.write_text(script_text(maps, bild, series, look))
    say(1.0, "done")
    return [script, *maps, *([bild] if bild else []), *series]


def _maps(folder: RunFolder, out: Path, flip: bool) -> list[Path]:
    """Copies of the results' map and half maps, the map first; of a run that is going on, its newest map."""
    results = folder.path / "results"
    found = [results / name for name in ("map_sharpened.mrc", "map_filtered.mrc", "map.mrc")]
    best = next((path for path in found if path.is_file()), None)
    snapshot = folder.newest_snapshot()
    copies = []
    if best is not None:
        halves = [path for number in (1, 2) if (path := results / f"half_map_{number}.mrc").is_file()]
        for path in (best, *halves):
            copies.append(out / path.name)
            density, pixel_size = read_map(path)
            write_map(copies[-1], flip_hand(density) if flip else density, pixel_size)
    elif snapshot is not None:
        copies.append(out / "map.mrc")
        write_map(copies[-1], flip_hand(snapshot.map) if flip else snapshot.map, snapshot.pixel_size)
    else:
        raise ValueError(f"{folder.path}: no map in this run yet; expected results or a snapshot")
    return copies


def _series(folder: RunFolder, out: Path, say: Callable[[float, str], None], flip: bool) -> list[Path]:
    """The run's map at the end of each epoch, numbered so that ChimeraX tells their order (open.html, "vseries")."""
    history = folder.history_paths()
    if history:
        out.mkdir(exist_ok=True)
    written = []
    for done, (epoch, path) in enumerate(sorted(history.items())):
        say(0.3 + 0.7 * done / len(history), f"map of epoch {epoch}")
        with np.load(path, allow_pickle=False) as arrays:
            written.append(out / f"epoch_stack{epoch:04d}_.mrc")
            density = arrays["map"].astype(np.float32)
            write_map(written[-1], flip_hand(density) if flip else density, float(arrays["pixel_size"]))
    return written


def script_text(maps: Sequence[Path], bild: Path | None, series: Sequence[Path], look: Look) -> str:
    """The script; paths in it are relative to its own folder, to which ChimeraX changes when it opens a script."""
    first, pixel_size = read_map(maps[0])
    lines = ["# A napari-cryospin run: open in an empty ChimeraX session."]
    for number, (path, colour) in enumerate(zip(maps, (look.colour, *COLOURS[1:]), strict=False), start=1):
        lines += [
            f"open {quoted(path.name)}",
            level_command(f"#{number}", read_map(path)[0], replace(look, colour=colour)),
        ]
    if len(maps) > 1:
        lines.append(f"hide #2-{len(maps)} models")
    number = len(maps) + 1
    if bild is not None:
        lines += [f"open {quoted(bild.name)}", f"hide #{number} models"]
        number += 1
    if len(series) > 1:
        lines += [
            f"open {quoted(series[0].parent.name + '/epoch_stack*_.mrc')} vseries true",
            level_command(f"#{number}", read_map(series[-1])[0], look),
            f"hide #{number} models",
            f"# To see how the map came about: show #{number} models; vseries play #{number} normalize true",
        ]
    lines += [f"view matrix camera {camera_matrix(look.rotation, len(first), pixel_size)}", "view #1", "lighting soft"]
    return "\n".join(lines) + "\n"


def level_command(model: str, density: NDArray, look: Look) -> str:
    """Contour of a map as the look says (volume.html)."""
    level = float(np.quantile(density, 1 - look.enclosed))
    return f"volume {model} style surface level {level:.6g} step 1 color {look.colour}"


def camera_matrix(rotation: NDArray | None, box_size: int, pixel_size: float) -> str:
    """The camera as `view matrix` wants it: rows of a 3 x 4 matrix whose columns are right, up, towards and place."""
    rotation = np.eye(3) if rotation is None else np.asarray(rotation)
    centre = box_size // 2 * pixel_size
    place = np.full(3, centre) + 3 * box_size * pixel_size * rotation[2]
    matrix = np.concatenate((rotation.T, place[:, None]), axis=1)
    return ",".join(f"{value:.6g}" for value in matrix.flatten())


def quoted(path: str) -> str:
    """A path as a ChimeraX command's argument.

    Raises
    ------
    ValueError
        It holds a line end or a quotation mark, which a command cannot hold.
    """
    if any(sign in path for sign in '"\n\r'):
        raise ValueError(f"{path!r}: ChimeraX commands cannot hold quotation marks or line ends in a path")
    return f'"{path}"'
