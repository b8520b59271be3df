"""How sure a particle's view direction is, in words that need no knowledge of entropies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.geometry.sphere_cells import credible_cells, healpix_cells
from napari_cryospin.views.posterior.answers import ZOOM_FIELD, ZOOM_POINTS, Zoom

CERTAIN_SHARE = 0.9
"""Share of the probability that the likely views hold together."""
ONE_VIEW = 14.0
"""Angle between the centres of two cells, degrees, up to which they belong to one view: that of the cells of nside 8
which touch each other and lie farthest apart (computed over the whole grid)."""
FINE_CELLS = 4
"""Largest number of cells of a single view that the zoom describes more finely; chosen by hand, within its field."""


@dataclass(frozen=True)
class Certainty:
    """The smallest region of view directions that holds 90 % of the probability.

    Attributes
    ----------
    views : int
        Number of separate parts of the region: views that are likely.
    within : float
        Degrees: radius of the circle as large as such a part, on the average. The pose of the view lies within about
        this angle.
    """

    views: int
    within: float

    @property
    def words(self) -> str:
        """Description in one phrase."""
        known = f"about {self.within:.0f}°" if self.within >= 1 else f"about {self.within:.1f}°"
        return (
            f"1 likely view, within {known}" if self.views == 1 else f"{self.views} likely views, each within {known}"
        )


def certainty_of(log_posterior: NDArray[np.floating], zoom: Zoom | None = None) -> Certainty:
    """Measure how many views are likely, and how closely each of them is known.

    Parameters
    ----------
    log_posterior
        `(cells,)` log probabilities of HEALPix cells of view directions, ring order.
    zoom
        The posterior about the best view on a finer grid, which tells more where there is a single, narrow view.
    """
    from scipy.sparse.csgraph import connected_components  # A window that opens need not wait for it.

    region = np.flatnonzero(credible_cells(log_posterior, CERTAIN_SHARE))
    centres = healpix_cells(round((len(log_posterior) / 12) ** 0.5)).centres[region]
    views = int(connected_components(centres @ centres.T > np.cos(np.radians(ONE_VIEW)))[0])
    area = 4 * np.pi * len(region) / len(log_posterior) / views
    if views == 1 and len(region) <= FINE_CELLS and zoom is not None:
        step = np.radians(ZOOM_FIELD / (ZOOM_POINTS - 1))
        area = float(credible_cells(zoom.log_posterior, CERTAIN_SHARE).sum()) * step**2
    return Certainty(views, float(np.degrees(np.arccos(1 - area / (2 * np.pi)))))
