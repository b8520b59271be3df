"""The map of a run at one moment, and what is drawn of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.geometry.hand import flip_hand
from napari_cryospin.io.files import FileMark
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.snapshot import Snapshot
from napari_cryospin.views.isosurface import MapStatistics, Mesh, isosurface, without_dust
from napari_cryospin.views.local_uncertainty import LAST_EPOCHS, ColouredBy, at_vertices, local_uncertainty

if TYPE_CHECKING:
    from napari_cryospin.evaluation.map_alignment import MapAlignment

EPOCHS_IN_MEMORY = 8
"""Number of epochs, of one class each, whose maps are kept in memory; chosen by hand. A map of 128 px takes 8 MB, with
half maps three times that."""


@dataclass(frozen=True)
class MapSource:
    """Source of a map: the newest snapshot, or the end of an epoch."""

    snapshot: Snapshot | None = None
    folder: RunFolder | None = None
    epoch: int | None = None
    """Epoch in the folder's history; None: the newest."""


@dataclass(frozen=True)
class MapDisplay:
    """The user's choice of how maps are shown; it stays the same as maps change."""

    level: float | None = None
    """Contour in standard deviations above the map's mean, which stay valid as the map's scale grows; None: the contour
    that encloses 1 % of the voxels."""
    rendering: str = "surface"
    """`surface`, or one of napari's renderings of a volume: `iso`, `attenuated_mip`, `mip`."""
    half: int = 1
    """With half sets, the half whose map is shown, in its own frame, 1 or 2; 0: the mean of both."""
    flipped: bool = False
    """Whether the other hand is shown."""
    class_number: int = 1
    """Class whose map is shown, from 1; where there are fewer, the last one."""
    hide_dust: bool = False
    """Whether small separate pieces of the surface are left out."""
    coloured_by: ColouredBy = "plain"
    """What the surface is coloured by."""


@dataclass(frozen=True)
class MapPicture:
    """A map as it is drawn."""

    source: MapSource
    display: MapDisplay
    density: NDArray[np.float32]
    """`(z, y, x)`, read-only; of the other hand if the display asks for it."""
    pixel_size: float  # A
    halves: int
    """Number of half maps, 0 or 2."""
    statistics: MapStatistics
    mesh: Mesh | None = None
    """Surface at the contour; None: no surface is drawn."""
    note: str = ""
    """Note for the user about this map."""
    classes: int = 1
    """Number of classes that the run has at this moment."""
    uncertainty: NDArray[np.float32] | None = None
    """`(n,)` local uncertainty at the vertices of the surface, 0 to 1 and more; None: the surface is not coloured."""

    @property
    def class_number(self) -> int:
        """Number of the class whose map is drawn, from 1."""
        return min(self.display.class_number, self.classes)

    @property
    def level(self) -> float:
        """Contour level in the map's units."""
        chosen = self.display.level
        return self.statistics.start_level if chosen is None else self.statistics.value(chosen)


@dataclass(frozen=True)
class _Maps:
    maps: tuple[NDArray[np.float32], ...]  # one, or those of the two half sets
    pixel_size: float
    classes: int
    key: tuple[Snapshot | FileMark, int]
    """The snapshot, or the file as it was written once; and the number of the class."""


@dataclass(frozen=True)
class _Measured:
    key: tuple[object, int, bool]
    density: NDArray[np.float32]
    statistics: MapStatistics
    note: str


class MapReader:
    """A maker of map pictures, for one thread. It keeps the maps of a few epochs, and the last map's statistics."""

    def __init__(self) -> None:
        self._epochs: OrderedDict[object, _Maps] = OrderedDict()
        self._last: _Measured | None = None
        self._alignment: MapAlignment | None = None

    def picture(self, source: MapSource, display: MapDisplay, surface: bool) -> MapPicture:
        """Make the picture of a map.

        Parameters
        ----------
        source, display
            The map, and how it is shown.
        surface
            Whether to compute its surface.
        """
        maps = self._maps(source, display.class_number)
        halves = len(maps.maps) if len(maps.maps) == 2 else 0
        measured = self._measured(maps, display.half if halves else 1, display.flipped)
        picture = MapPicture(
            source,
            display,
            measured.density,
            maps.pixel_size,
            halves,
            measured.statistics,
            note=measured.note,
            classes=maps.classes,
        )
        return self._with_surface(picture, maps) if surface else picture

    def _with_surface(self, picture: MapPicture, maps: _Maps) -> MapPicture:
        """Add the surface and, where it is coloured, how uncertain the map is there."""
        display, density = picture.display, picture.density
        mesh = isosurface(without_dust(density, picture.level) if display.hide_dust else density, picture.level)
        picture = replace(picture, mesh=mesh)
        if display.coloured_by == "plain":
            return picture
        compared, note = self._compared(picture, maps)
        if len(compared) < 2:
            return replace(picture, note="; ".join(part for part in (picture.note, note) if part))
        values = local_uncertainty([flip_hand(one) for one in compared] if display.flipped else compared)
        return replace(picture, uncertainty=at_vertices(values, mesh.vertices))

    def _compared(self, picture: MapPicture, maps: _Maps) -> tuple[Sequence[NDArray[np.float32]], str]:
        """Return the maps whose differences colour the surface, and why there are none."""
        source, display = picture.source, picture.display
        if display.coloured_by == "halves":
            return self._compared_halves(maps, display.half)
        folder = source.folder
        if folder is None:
            return (), "not coloured: this run keeps no history"
        shown = source.epoch if source.snapshot is None else source.snapshot.epoch
        epochs = [epoch for epoch in sorted(folder.history_paths()) if shown is None or epoch <= shown]
        half = display.half if picture.halves and display.half else 1
        sources = [MapSource(folder=folder, epoch=epoch) for epoch in epochs[-LAST_EPOCHS:]]
        found = [self._maps(one, display.class_number).maps[half - 1] for one in sources]
        return [one for one in found if one.shape == picture.density.shape], "not coloured: too few epochs yet"

    def _compared_halves(self, maps: _Maps, half: int) -> tuple[Sequence[NDArray[np.float32]], str]:
        from napari_cryospin.engine.half_sets import align_halves  # This imports torch.

        if len(maps.maps) != 2:
            return (), "not coloured: there are no half sets"
        first, second = maps.maps[::-1] if half == 2 else maps.maps  # the frame is that of the map that is shown
        halves = align_halves(first, second, maps.pixel_size, exact=False)
        return ((), "not coloured: the halves do not agree yet") if halves.failed else ((first, halves.second), "")

    def _measured(self, maps: _Maps, half: int, flipped: bool) -> _Measured:
        key = maps.key, half, flipped
        if self._last is None or self._last.key != key:
            density, note = (maps.maps[half - 1], "") if half else self._mean(maps)
            density = flip_hand(density) if flipped else density
            self._last = _Measured(key, density, MapStatistics.of(density), note)
        return self._last

    def _mean(self, maps: _Maps) -> tuple[NDArray[np.float32], str]:
        """Return the mean of the halves in the first's frame, and a note; if they disagree, the first half alone."""
        from napari_cryospin.engine.half_sets import align_halves  # This imports torch.

        first, second = maps.maps
        halves = align_halves(first, second, maps.pixel_size, self._alignment, exact=False)
        if halves.failed:
            self._alignment = None
            return first, "the halves do not agree enough yet to be laid on each other: half 1 is shown"
        self._alignment = halves.alignment
        return ((first + halves.second) / 2).astype(np.float32), ""

    def _maps(self, source: MapSource, number: int) -> _Maps:
        snapshot = source.snapshot
        if snapshot is not None:
            maps = snapshot.maps_of_class(min(number, snapshot.classes))
            return _Maps(maps, snapshot.pixel_size, snapshot.classes, (snapshot, number))
        assert source.folder is not None
        assert source.epoch is not None
        file = source.folder.history(source.epoch)
        key = file.mark, number
        if key not in self._epochs:
            classes = file.classes
            self._epochs[key] = _Maps(file.maps(min(number, classes)), file.pixel_size, classes, key)
        self._epochs.move_to_end(key)
        while len(self._epochs) > EPOCHS_IN_MEMORY:
            self._epochs.popitem(last=False)
        return self._epochs[key]
