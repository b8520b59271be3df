"""The path of a particle's pose: its view direction at the end of every epoch that has a history."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.io.files import FileMark
from napari_cryospin.runs.folder import RunFolder


@dataclass(frozen=True, eq=False)
class PosePath:
    """View directions of one particle, by ascending epoch."""

    epochs: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))  # (e,)
    directions: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 3), dtype=np.float32))  # (e, 3)
    decoding: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, dtype=bool))  # (e,) after the switch

    @property
    def switch(self) -> int | None:
        """Index of the last epoch before the switch to auto-decoding; None: not all of it is on the path."""
        after = np.flatnonzero(self.decoding)
        return int(after[0]) - 1 if len(after) and after[0] > 0 else None

    def until(self, epoch: int) -> PosePath:
        """Return the path up to an epoch."""
        kept = self.epochs <= epoch
        return PosePath(self.epochs[kept], self.directions[kept], self.decoding[kept])

    def and_then(self, epoch: int, direction: NDArray[Any], decoding: bool) -> PosePath:
        """Return the path with the present view direction added, at a number of finished epochs."""
        return PosePath(
            np.append(self.epochs, epoch),
            np.concatenate([self.directions, np.asarray(direction, dtype=np.float32)[None]]),
            np.append(self.decoding, decoding),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Page:
    mark: FileMark
    directions: NDArray[np.float32]  # (n, 3)
    decoding: bool


class PathBook:
    """View directions of all particles of a run, epoch by epoch. Each file of the history is read once.

    Parameters
    ----------
    folder
        The run.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._pages: dict[int, _Page] = {}

    def of(self, row: int) -> PosePath:
        """Return the path of the particle at a position in the run's arrays."""
        self._pages = pages = {epoch: self._page(epoch) for epoch in sorted(self._folder.history_paths())}
        return PosePath(
            np.array(list(pages), dtype=np.int64),
            np.array([page.directions[row] for page in pages.values()], dtype=np.float32).reshape(-1, 3),
            np.array([page.decoding for page in pages.values()], dtype=bool),
        )

    def _page(self, epoch: int) -> _Page:
        file, known = self._folder.history(epoch), self._pages.get(epoch)
        mark = file.mark
        if known is not None and known.mark == mark:
            return known
        directions = file.particles().rotations[:, 2].astype(np.float32)
        return _Page(mark=mark, directions=directions, decoding=file.stage == "auto-decoding")
