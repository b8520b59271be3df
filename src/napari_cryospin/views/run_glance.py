"""What is seen of a run at a glance: its name, how it stands, and a small picture of its map."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.io.mrc import read_map
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import Status
from napari_cryospin.runs.verdict import DOUBTFUL
from napari_cryospin.views.map_thumbnail import map_thumbnail


@dataclass(frozen=True, eq=False)
class RunGlance:
    """A run at a glance.

    Attributes
    ----------
    path : Path
        Folder of the run.
    state : str
        How it stands, in a few words.
    note : str
        What the user noted of it.
    picture : ndarray, optional
        `(size, size, 4)` picture of its map; None: it has none.
    """

    path: Path
    state: str
    note: str
    picture: NDArray[np.uint8] | None


def run_glance(path: Path, size: int) -> RunGlance | None:
    """Look at the run in a folder; None: there is none any more, or it cannot be read.

    Parameters
    ----------
    path
        Folder of the run.
    size
        Pixels of the picture.
    """
    try:
        folder = RunFolder(path)
        return RunGlance(path, state_in_words(folder.read_status()), folder.note, _picture(folder, size))
    except (OSError, ValueError):
        return None


def state_in_words(status: Status) -> str:
    """Write how a run stands, in a few words."""
    if status.state != "finished":
        return f"{status.state}, epoch {status.epoch}"
    if status.verdict in DOUBTFUL:
        return str(status.verdict)
    return "finished" if status.resolution is None else f"{status.resolution:.1f} Å"


def _picture(folder: RunFolder, size: int) -> NDArray[np.uint8] | None:
    """Draw the map of the results, or of the newest epoch that was kept."""
    filtered = folder.results_path / "map_filtered.mrc"
    if filtered.is_file():
        return map_thumbnail(read_map(filtered)[0], size)
    epochs = folder.history_paths()
    return map_thumbnail(folder.history(max(epochs)).maps(1)[0], size) if epochs else None
