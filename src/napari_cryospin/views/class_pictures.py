"""Small pictures of the maps of a run's classes, with what is known of each class."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.geometry.hand import flip_hand
from napari_cryospin.runs.epoch_record import EpochRecord
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.results import PARTICLES_FILE, class_count, class_folder, epoch_of_results
from napari_cryospin.runs.snapshot import Snapshot
from napari_cryospin.views.classes import classes_of
from napari_cryospin.views.map_pictures import MapDisplay, MapSource

SEEN = 0.1
"""Share of the brightest projection from which a pixel counts as a part of the molecule; chosen by hand."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassPicture:
    """A class of a run as it is shown in small.

    Attributes
    ----------
    number : int
        Number of the class, from 1.
    picture : ndarray
        `(y, x)` uint8: the middle of the map's projection along z, the first row at the top as in ChimeraX. All classes
        have the same grey scale and the same cut.
    share : float
        Mean probability of the class, 0 to 1.
    rows : ndarray
        Rows of the input, from 0, of the particles in the class.
    resolution : float, optional
        Angstrom; None: not known.
    half : int
        Half set to which map, share and number belong, 1 or 2; 0: there are no half sets.
    """

    number: int
    picture: NDArray[np.uint8]
    share: float
    rows: NDArray[np.int64]
    resolution: float | None
    half: int

    @property
    def count(self) -> int:
        """Number of particles in the class."""
        return len(self.rows)


def class_pictures(folder: RunFolder, source: MapSource, display: MapDisplay) -> tuple[ClassPicture, ...]:
    """Make a picture of each class of a run; none where there is one class.

    Parameters
    ----------
    folder
        Folder of the run, whose results have the resolution of each class.
    source
        Moment of the run.
    display
        Hand and half set that are shown; for the mean of both halves, the first is taken.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such moment, or its record is damaged.
    """
    record = _record(source)
    if record is None or record.classes == 1:
        return ()
    half = max(1, display.half) if len(record.maps) == 2 else 0
    found = classes_of(record, half or None)
    resolutions = _resolutions(folder, record, found.shares, half)
    densities = [one.density for one in found.maps]
    pictures = _projections([flip_hand(one) for one in densities] if display.flipped else densities)
    return tuple(
        ClassPicture(
            number=place + 1,
            picture=picture,
            share=float(found.shares[place]),
            rows=found.rows[place],
            resolution=resolutions[place],
            half=half,
        )
        for place, picture in enumerate(pictures)
    )


def _record(source: MapSource) -> EpochRecord | None:
    """Return the record of a moment; None: an epoch with one class, of which nothing more is read."""
    if source.snapshot is not None:
        return source.snapshot
    assert source.folder is not None
    assert source.epoch is not None
    file = source.folder.history(source.epoch)
    return None if file.classes == 1 else file.record()


def _projections(densities: Sequence[NDArray[np.float32]]) -> list[NDArray[np.uint8]]:
    """Project maps along z, and cut all to the same square about the centre, beyond which there is nothing to see."""
    sums = np.stack([np.maximum(density, 0).sum(0)[::-1] for density in densities])
    lit = np.argwhere(sums.max(0) > SEEN * sums.max()) - (sums.shape[-1] - 1) / 2
    half = min(int(np.abs(lit).max(initial=0)) + 2, sums.shape[-1] // 2)
    middle = slice(sums.shape[-1] // 2 - half, sums.shape[-1] // 2 + half)
    grey = np.sqrt(sums[:, middle, middle] / max(float(sums.max()), 1e-12))  # The root brightens thin parts.
    return list((255 * grey).astype(np.uint8))


def _resolutions(folder: RunFolder, record: EpochRecord, shares: NDArray[np.float64], half: int) -> list[float | None]:
    """Return the resolution of each class, Angstrom: of the results, or while the run goes on that of the largest."""
    known: list[float | None] = [None] * len(shares)
    if half < 2 and _has_results_of(folder, record):  # Results have the numbers of the first half.
        return [_resolution_of_results(folder, number) for number in range(1, len(shares) + 1)]
    if half == 0 and isinstance(record, Snapshot) and np.isfinite(record.resolution):
        known[int(shares.argmax())] = float(record.resolution)
    return known


def _has_results_of(folder: RunFolder, record: EpochRecord) -> bool:
    """Return whether a run has results of this moment: after as many epochs, with as many classes."""
    results = folder.results_path
    known = (results / PARTICLES_FILE).is_file() and class_count(results) == record.classes
    return known and epoch_of_results(results / PARTICLES_FILE) == record.epoch


def _resolution_of_results(folder: RunFolder, number: int) -> float | None:
    figures = class_folder(folder.results_path, number) / "postprocess.json"
    value = json.loads(figures.read_text())["resolution_angstrom"] if figures.is_file() else None
    return None if value is None else float(value)
