"""The judgement on the spread of view directions, by the thresholds that the field uses."""

from __future__ import annotations

import math
from dataclasses import dataclass

SIDE_VIEWS = 8 / math.pi**2
"""SCF* of views evenly about one axis, 0.81: below it views are called biased (Baldwin & Lyumkis 2020; cryoSPARC's
guide, Orientation Diagnostics)."""
EVEN_RATIO = 0.5
"""cFAR below which half maps agree less well in some directions than is usual (cryoSPARC's guide)."""
EVEN_EFFICIENCY, POOR_EFFICIENCY = 0.8, 0.5
"""E_od from which views give nearly the same resolution in all directions, and below which they give much less in some;
chosen by hand: side views alone have 0.83, views within 50 degrees of one axis about 0.6, within 30 degrees 0.3."""


@dataclass(frozen=True, kw_only=True)
class OrientationBias:
    """A judgement on view directions.

    Attributes
    ----------
    compensation : float
        SCF*, 0 to 1: 1 for an even spread.
    efficiency : float
        E_od, 0 to 1: 1 for an even spread.
    area_ratio : float
        cFAR, 0 to 1; nan: there are no half maps, or they agree nowhere.
    """

    compensation: float
    efficiency: float
    area_ratio: float = math.nan

    @property
    def even_views(self) -> bool:
        """Whether SCF* is not below its threshold."""
        return self.compensation >= SIDE_VIEWS

    @property
    def even_map(self) -> bool | None:
        """Whether cFAR is not below its threshold; None: it is not known."""
        return None if math.isnan(self.area_ratio) else self.area_ratio >= EVEN_RATIO

    @property
    def good(self) -> bool:
        """Whether nothing speaks of a bias."""
        return self.even_views and self.even_map is not False

    @property
    def sentence(self) -> str:
        """The judgement in words, as the two measures together allow it."""
        if self.even_views:
            if self.even_map is False:
                return "views are spread well, but the map is worse in some directions: junk, or wrong poses"
            return "views are spread well" + (", and the map is as good in all directions" if self.even_map else "")
        if self.even_map:
            return "views are crowded, yet the half maps agree about as well in all directions"
        return "views are crowded or missing: expect the map to be smeared along some directions"
