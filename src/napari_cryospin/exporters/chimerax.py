"""Export of a run for ChimeraX: maps, distribution of view directions, a series of maps, and a script to show them.

The script is meant for an empty ChimeraX session, in which models are numbered as they are opened.
Every command in it is documented at https://www.cgl.ucsf.edu/chimerax/docs/user/commands/, on the page of its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.exporters.options import SERIES_FOLDER, Exported, ExportOptions, Progress
from napari_cryospin.exporters.run_maps import read_run_maps, read_series
from napari_cryospin.exporters.run_results import open_results
from napari_cryospin.geometry import healpix
from napari_cryospin.geometry.angles import rotation_from_euler
from napari_cryospin.geometry.hand import flip_hand
from napari_cryospin.io.bild import write_distribution
from napari_cryospin.io.files import atomic_write
from napari_cryospin.io.mrc import read_map, write_map
from napari_cryospin.runs.folder import RunFolder

MORE_COLOURS = ("#e8b96f", "#8fc7a3", "#d98c8c", "#b7a3d6", "#7fb8c9", "#c9bf7f", "#a8a8a8")
"""Colours of half map 1 and half map 2, or of the second class and those after it, #rrggbb. Chosen by hand."""
CLASS_MAP = "class_"
"""Beginning of the names of classes' maps, which a number follows."""
DISTRIBUTION_NSIDE = 8
"""HEALPix resolution of the distribution of view directions, for 12 * 8**2 = 768 cells, each about 7 degrees wide.

Chosen by hand.
"""


@dataclass(frozen=True, kw_only=True)
class ChimeraXView:
    """The contour, the colour and the view of a map, so that ChimeraX shows it as napari does.

    Attributes
    ----------
    enclosed
        Share of the grid points inside the contour. Unlike a level, it does not depend on the scale of the map.
    colour
        Colour of the surface, #rrggbb.
    rotation
        `(3, 3)` rotation of a particle whose image would show the map in this view; its rows point to the right,
        upwards, and towards the user.
    """

    enclosed: float = ExportOptions.contour
    colour: str = ExportOptions.colour
    rotation: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, options: ExportOptions) -> ChimeraXView:
        """Return contour, colour and view from the options of an export."""
        return cls(enclosed=options.contour, colour=options.colour, rotation=rotation_from_euler(options.view))


def export_chimerax(folder: RunFolder, out: Path, options: ExportOptions, progress: Progress) -> Exported:
    """Write a folder with maps and the script `view.cxc`, which shows them in ChimeraX.

    Parameters
    ----------
    folder
        Folder of a run with results, or of a run that is going on, whose newest map is taken.
    out
        Folder to write to.
    options
        Options, of which `contour`, `colour`, `view`, `flip_hand`, `primary`, `b_factor`, `low_pass` and `series` are
        used. View directions are the same in both hands.
    progress
        Called with the share that is done, 0 to 1, and a text about the present work.

    Raises
    ------
    FileNotFoundError, ValueError
        The run has no map yet, or not the map that the options name.
    """
    view = ChimeraXView.of(options)
    out.mkdir(parents=True, exist_ok=True)
    progress(0.0, "maps")
    maps, pixel_size, notes = _maps(folder, options)
    paths = [out / f"{name}.mrc" for name in maps]
    for path, density in zip(paths, maps.values(), strict=True):
        write_map(path, density, pixel_size)
    progress(0.2, "directions")
    directions, bild = _directions(folder), None
    if directions is not None:
        bild = out / "directions.bild"
        counts = np.bincount(healpix.vec2pix(DISTRIBUTION_NSIDE, *directions.T), minlength=12 * DISTRIBUTION_NSIDE**2)
        centres = np.stack(healpix.pix2vec(DISTRIBUTION_NSIDE, np.arange(12 * DISTRIBUTION_NSIDE**2)), axis=-1)
        box_size = len(next(iter(maps.values())))
        write_distribution(bild, centres, counts, box_size=box_size, pixel_size=pixel_size)
    series = _series(folder, out / SERIES_FOLDER, options, progress) if options.series else []
    script = out / "view.cxc"
    with atomic_write(script) as part:
        part.write_text(script_text(paths, bild, series, view))
    return Exported(paths=(script, *paths, *([bild] if bild else []), *series), notes=notes)


def _maps(folder: RunFolder, options: ExportOptions) -> tuple[dict[str, NDArray[Any]], float, tuple[str, ...]]:
    """Return the map and half maps of the results, or the newest map of a live run; with pixel size (A) and notes.

    The map to show comes first.
    """
    snapshot = None if folder.has_newest_results() else folder.newest_snapshot()
    if folder.class_number is None and folder.classes > 1:
        return _class_maps(folder, options)
    if snapshot is None:
        found = read_run_maps(folder, options)
        names = [found.primary(options), *(name for name in ("half_map_1", "half_map_2") if name in found.maps)]
        return {name: found.maps[name] for name in names}, found.pixel_size, found.notes
    density = snapshot.maps_of_class(min(folder.class_number or 1, snapshot.classes))[0]
    density = flip_hand(density) if options.flip_hand else density
    note = f"the run is not over: the map is that of step {snapshot.step:,}"
    return {"map": density}, snapshot.pixel_size, (note,)


def _class_maps(folder: RunFolder, options: ExportOptions) -> tuple[dict[str, NDArray[Any]], float, tuple[str, ...]]:
    """Return the map of each class, as `_maps` does for one."""
    maps: dict[str, NDArray[Any]] = {}
    told: dict[str, None] = {}
    for number in range(1, folder.classes + 1):
        found, pixel_size, notes = _maps(folder.of_class(number), options)
        maps[f"{CLASS_MAP}{number}"] = next(iter(found.values()))
        told |= dict.fromkeys(notes)
    return maps, pixel_size, tuple(told)


def _directions(folder: RunFolder) -> NDArray[np.floating] | None:
    """Return the view directions of the run's particles in the map's frame, `(k, 3)`; None if the run has none yet."""
    try:
        return open_results(folder).record.rotations[:, 2]
    except ValueError:  # No epoch has ended yet.
        snapshot = folder.newest_snapshot()
        # Particles of the second half set are left out, because they are in another frame than the map.
        return None if snapshot is None else snapshot.particles.rotations[snapshot.particles.half_sets != 2, 2]


def _series(folder: RunFolder, out: Path, options: ExportOptions, progress: Progress) -> list[Path]:
    """Write the map of each epoch, numbered so that ChimeraX recognises their order (open.html, "vseries")."""
    count, written = len(folder.history_paths()), []
    for done, (epoch, density, pixel_size) in enumerate(read_series(folder, options)):
        progress(0.3 + 0.7 * done / count, f"map of epoch {epoch}")
        out.mkdir(exist_ok=True)
        written.append(out / f"epoch_stack{epoch:04d}_.mrc")
        write_map(written[-1], density, pixel_size)
    return written


def script_text(maps: Sequence[Path], bild: Path | None, series: Sequence[Path], view: ChimeraXView) -> str:
    """Return the text of the script.

    Its paths are relative to its own folder, to which ChimeraX changes when it opens a script.

    Parameters
    ----------
    maps
        Map files, the map to show first, then half maps, or those of all classes; all in the script's folder.
    bild
        File of the view directions, if there is one, in the script's folder.
    series
        Map files of the epochs, in a folder beneath the script's.
    view
        Contour, colour and view of the map.
    """
    first, pixel_size = read_map(maps[0])
    lines = ["# A napari-cryospin run: open in an empty ChimeraX session."]
    for number, (path, colour) in enumerate(zip(maps, (view.colour, *MORE_COLOURS), strict=False), start=1):
        lines += [
            f"open {quoted(path.name)}",
            level_command(f"#{number}", read_map(path)[0], replace(view, colour=colour)),
        ]
    if len(maps) > 1:
        what = "Other classes" if maps[0].stem.startswith(CLASS_MAP) else "Half maps"
        lines += [f"hide #2-{len(maps)} models", f"# {what}: show #2-{len(maps)} models"]
    number = len(maps) + 1
    if bild is not None:
        lines += [f"open {quoted(bild.name)}", f"hide #{number} models"]
        lines += [f"# From where the particles are seen: show #{number} models"]
        number += 1
    if len(series) > 1:
        lines += [
            f"open {quoted(series[0].parent.name + '/epoch_stack*_.mrc')} vseries true",
            level_command(f"#{number}", read_map(series[-1])[0], view),
            f"hide #{number} models",
            f"# How the map came about: hide #1 models; show #{number} models; vseries play #{number} normalize true",
        ]
    lines += [f"view matrix camera {camera_matrix(view.rotation, len(first), pixel_size)}", "view #1", "lighting soft"]
    return "\n".join(lines) + "\n"


def level_command(model: str, density: NDArray[Any], view: ChimeraXView) -> str:
    """Return the command that sets the contour and the colour of a map (volume.html)."""
    level = float(np.quantile(density, 1 - view.enclosed))
    return f"volume {model} style surface level {level:.6g} step 1 color {view.colour}"


def camera_matrix(rotation: NDArray[Any] | None, box_size: int, pixel_size: float) -> str:
    """Return the camera as an argument of `view matrix`.

    It consists of the rows of a 3 x 4 matrix, whose columns are the directions to the right, upwards and towards the
    user, and the position of the camera.

    Parameters
    ----------
    rotation
        `(3, 3)` rotation, as in `ChimeraXView`. None: the identity.
    box_size, pixel_size
        Box (pixels) and pixel size (A) of the map.
    """
    rotation = np.eye(3) if rotation is None else np.asarray(rotation)
    centre = box_size // 2 * pixel_size
    place = np.full(3, centre) + 3 * box_size * pixel_size * rotation[2]
    matrix = np.concatenate((rotation.T, place[:, None]), axis=1)
    return ",".join(f"{value:.6g}" for value in matrix.flatten())


def quoted(path: str) -> str:
    """Return a path in quotation marks, as an argument of a ChimeraX command.

    Raises
    ------
    ValueError
        The path holds a line end or a quotation mark, which a command cannot hold.
    """
    if any(sign in path for sign in '"\n\r'):
        raise ValueError(f"{path!r}: ChimeraX commands cannot hold quotation marks or line ends in a path")
    return f'"{path}"'
