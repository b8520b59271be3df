"""What can be asked about a run's heads and view directions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.views.curves import newest
from napari_cryospin.views.direction_figures import DirectionFigure, FigureOfDirections, direction_figure
from napari_cryospin.views.heads import HeadMaps, head_maps
from napari_cryospin.views.orientations import Orientations, orientations_at
from napari_cryospin.views.run_questions.moments import RunMoments


class DirectionQuestions(RunMoments):
    """Access to the shares and errors of a run's heads, and to its distribution of view directions."""

    def heads(self, epoch: int | None = None, *, errors: bool = False, half: int | None = None) -> HeadMaps:
        """Return the shares that each head wins, or its errors, over the sphere of view directions.

        Parameters
        ----------
        epoch
            One of `epochs`. Default: the newest of them.
        errors
            Whether to return mean rotation errors in degrees, for which the truth must be known, instead of the per
            cent of a cell's particles that each head won.
        half
            Half set, 1 or 2; each has an encoder of its own. Default: the first, if there are half sets.

        Raises
        ------
        FileNotFoundError, ValueError
            There is no history of this epoch.
        """
        epoch = self._last_epoch() if epoch is None else epoch
        if half is None:
            half = int(self.folder.history(epoch).particles().has_halves)
        return head_maps(self.folder, epoch, errors, half, self.truth)

    def head_shares(self, epoch: int | None = None) -> NDArray[np.float32]:
        """Return the share of the particles that each head won.

        Parameters
        ----------
        epoch
            One of `epochs`. Default: the newest state.

        Returns
        -------
        ndarray
            `(M + 1,)` from 0 to 1; the last one is that of the posterior sample.
        """
        moment = self._moment(epoch)
        if moment.snapshot is not None:
            return moment.snapshot.head_share
        record = self.folder.history(moment.epoch).particles("best_head", "candidates")
        heads = 0 if record.candidates is None else record.candidates.shape[1]
        return record.head_share(heads)

    def by_direction(
        self, figure: FigureOfDirections, epoch: int | None = None, *, half: int | None = None
    ) -> DirectionFigure:
        """Average a figure of the particles over the sphere of view directions.

        Parameters
        ----------
        figure
            `uncertainty`, `error` (the truth must be known), `class` or `junk`.
        epoch
            One of `epochs`. Default: the newest of them.
        half
            Half set, 1 or 2; each has a frame of its own. Default: the first, if there are half sets.

        Raises
        ------
        FileNotFoundError, ValueError
            There is no history of this epoch, or the truth cannot be read.
        """
        epoch = self._last_epoch() if epoch is None else epoch
        half = int(self.folder.history(epoch).particles().has_halves) if half is None else half
        return direction_figure(self.folder, epoch, figure, half, self.truth)

    def _last_epoch(self) -> int:
        if not self.epochs:
            raise ValueError(f"{self.folder.path}: no epoch of this run has ended yet; nothing is known of its heads")
        return self.epochs[-1]

    def orientations(self, epoch: int | None = None, *, half: int | None = None) -> Orientations:
        """Count the particles' view directions, and compute how well they sample Fourier space.

        Parameters
        ----------
        epoch
            One of `epochs`. Default: the newest state.
        half
            Half set, 1 or 2; each has a frame of its own. Default: the first, if there are half sets.

        Raises
        ------
        FileNotFoundError, ValueError
            There is no such epoch, or no pose yet.
        """
        resolution = newest(self.folder.read_metrics(), "resolution", epoch)
        return orientations_at(self.folder, self._moment(epoch), half, resolution)
