"""The map of a run at one moment, and what is drawn of it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.geometry.hand import flip_hand
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.snapshot import Snapshot
from napari_cryospin.views.isosurface import MapStatistics, Mesh, isosurface

if TYPE_CHECKING:
    from napari_cryospin.evaluation.map_alignment import MapAlignment

EPOCHS_IN_MEMORY = 6
"""Epochs whose maps are kept in memory: of 128 px 8 MB each, three times that with half maps."""


@dataclass(frozen=True)
class MapSource:
    """Which map is meant: that of the newest snapshot, or that at the end of an epoch."""

    snapshot: Snapshot | None = None
    folder: RunFolder | None = None
    epoch: int | None = None
    """Of the folder's history; None: the newest."""


@dataclass(frozen=True)
class MapDisplay:
    """How the user wants to see a map; it outlives every map."""

    level: float | None = None
    """Contour, in standard deviations above the map's mean, so that it stays as the map's scale grows; None: 1 %."""
    rendering: str = "surface"
    """`surface`, or how napari renders a volume: `iso`, `attenuated_mip`, `mip`."""
    half: int = 1
    """Where half sets run: 1 or 2, a half's map in the frame that this half found; 0: the mean of both."""
    flipped: bool = False
    """The other hand."""


@dataclass(frozen=True)
class MapPicture:
    """All that is drawn of a map."""

    source: MapSource
    display: MapDisplay
    density: NDArray[np.float32]
    """`(z, y, x)`, read-only; flipped where the display says so."""
    pixel_size: float  # A
    halves: int
    """How many half maps there are: 0 or 2."""
    statistics: MapStatistics
    mesh: Mesh | None = None
    """None where no surface is drawn."""
    note: str = ""
    """What the user has to know of this map."""

    @property
    def level(self) -> float:
        """Contour in the map's units."""
        chosen = self.display.level
        return self.statistics.start_level if chosen is None else self.statistics.value(chosen)


@dataclass(frozen=True)
class _Maps:
    maps: tuple[NDArray[np.float32], ...]  # one, or those of the two half sets
    pixel_size: float


@dataclass(frozen=True)
class _Measured:
    key: tuple[MapSource, int, bool]
    density: NDArray[np.float32]
    statistics: MapStatistics
    note: str


class MapReader:
    """Makes pictures; used by one thread. Keeps the maps of a few epochs, and the last map's numbers."""

    def __init__(self) -> None:
        self._epochs: OrderedDict[Path, _Maps] = OrderedDict()
        self._last: _Measured | None = None
        self._alignment: MapAlignment | None = None

    def picture(self, source: MapSource, display: MapDisplay, surface: bool) -> MapPicture:
        """Make what is to be drawn.

        Parameters
        ----------
        source, display
            Which map, and how.
        surface
            Whether its surface is wanted.
        """
        maps = self._maps(source)
        halves = len(maps.maps) if len(maps.maps) == 2 else 0
        measured = self._measured((source, display.half if halves else 1, display.flipped), maps)
        picture = MapPicture(
            source, display, measured.density, maps.pixel_size, halves, measured.statistics, note=measured.note
        )
        return replace(picture, mesh=isosurface(picture.density, picture.level)) if surface else picture

    def _measured(self, key: tuple[MapSource, int, bool], maps: _Maps) -> _Measured:
        if self._last is None or self._last.key != key:
            _, half, flipped = key
            density, note = (maps.maps[half - 1], "") if half else self._mean(maps)
            density = flip_hand(density) if flipped else density
            self._last = _Measured(key, density, MapStatistics.of(density), note)
        return self._last

    def _mean(self, maps: _Maps) -> tuple[NDArray[np.float32], str]:
        """Give the mean of the two halves in the frame of the first; the first alone, and why, if they disagree."""
        from napari_cryospin.engine.half_sets import align_halves  # imports torch

        first, second = maps.maps
        halves = align_halves(first, second, maps.pixel_size, self._alignment, exact=False)
        if halves.failed:
            self._alignment = None
            return first, "the halves do not agree enough yet to be laid on each other: half 1 is shown"
        self._alignment = halves.alignment
        return ((first + halves.second) / 2).astype(np.float32), ""

    def _maps(self, source: MapSource) -> _Maps:
        snapshot = source.snapshot
        if snapshot is not None:
            return _Maps(snapshot.maps, snapshot.pixel_size)
        assert source.folder is not None
        assert source.epoch is not None
        file = source.folder.history(source.epoch)
        path = file.path
        if path not in self._epochs:
            self._epochs[path] = _Maps(file.maps(), file.pixel_size)
        self._epochs.move_to_end(path)
        while len(self._epochs) > EPOCHS_IN_MEMORY:
            self._epochs.popitem(last=False)
        return self._epochs[path]
