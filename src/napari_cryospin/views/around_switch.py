"""Pictures of a run's map before and after the switch to auto-decoding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.geometry.hand import flip_hand
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.views.map_pictures import MapDisplay, MapReader, MapSource
from napari_cryospin.views.map_thumbnail import map_thumbnail


@dataclass(frozen=True, eq=False)
class AroundSwitch:
    """Pictures `(size, size, 4)` of a map before and after the switch, and the epochs after which it was so."""

    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    epoch_before: int
    epoch_after: int


def maps_around_switch(folder: RunFolder, switched_after: int, size: int, *, flipped: bool = False) -> AroundSwitch:
    """Draw the map of the last epoch before the switch, and that of the newest epoch.

    With half sets, both are of the first half, whose frame stays the same.

    Parameters
    ----------
    folder
        Folder of the run.
    switched_after
        Number of epochs after which it switched.
    size
        Pixels of a picture.
    flipped
        Whether to draw the other hand.

    Raises
    ------
    ValueError
        No epoch before the switch was kept, or none has ended since.
    """
    epochs = sorted(folder.history_paths())
    before = [epoch for epoch in epochs if epoch <= switched_after]
    if not before or epochs[-1] == before[-1]:
        raise ValueError("there is no map after the switch yet: the first one comes with the next epoch")
    reader = MapReader()

    def draw(epoch: int) -> NDArray[np.uint8]:
        found = reader.picture(MapSource(folder=folder, epoch=epoch), MapDisplay(), surface=False)
        return map_thumbnail(flip_hand(found.density) if flipped else found.density, size)

    return AroundSwitch(draw(before[-1]), draw(epochs[-1]), before[-1], epochs[-1])
