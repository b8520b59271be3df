"""Places of one or several maps of the sphere in a plot, and the lines on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QRectF

MAP_GAP = 8.0  # pixels between two maps
MAP_TITLE_HEIGHT = 13.0  # pixels above a map for its title


def arrange(count: int, width: float, height: float, aspect: float = 2.0) -> list[QRectF]:
    """Arrange rectangles, `aspect` times as wide as high, as large as possible, in rows from the top (y upwards)."""
    if not count:
        return []
    title = MAP_TITLE_HEIGHT if count > 1 else 0.0
    best = max(range(1, count + 1), key=lambda columns: _map_height(columns, count, width, height, title, aspect))
    tall = max(4.0, _map_height(best, count, width, height, title, aspect))
    rows = -(-count // best)
    left = (width - best * (aspect * tall + MAP_GAP)) / 2 + MAP_GAP / 2
    top = height - (height - rows * (tall + title + MAP_GAP)) / 2
    places = []
    for index in range(count):
        row, column = divmod(index, best)
        bottom = top - (row + 1) * (tall + title + MAP_GAP) + MAP_GAP / 2
        places.append(QRectF(left + column * (aspect * tall + MAP_GAP), bottom, aspect * tall, tall))
    return places


def _map_height(columns: int, count: int, width: float, height: float, title: float, aspect: float) -> float:
    rows = -(-count // columns)
    return min((width / columns - MAP_GAP) / aspect, height / rows - title - MAP_GAP)


def rims_of(places: Sequence[QRectF]) -> tuple[NDArray, NDArray]:
    """Return the ellipses around the maps: x and y, nan between two of them."""
    turn = np.linspace(0, 2 * np.pi, 121)
    return joined_lines([np.stack([np.cos(turn), np.sin(turn)], axis=-1)], places, half_width=1.0)


def joined_lines(lines: Sequence[NDArray], places: Sequence[QRectF], half_width: float) -> tuple[NDArray, NDArray]:
    """Draw `(k, 2)` lines of a picture whose half width is given (half its height is 1) into each place."""
    gap = np.full((1, 2), np.nan)
    parts = [gap]
    for place in places:
        centre = np.array([place.center().x(), place.center().y()])
        half = np.array([place.width() / 2 / half_width, place.height() / 2])
        parts += [part for line in lines for part in (centre + line * half, gap)]
    joined = np.concatenate(parts)
    return joined[:, 0], joined[:, 1]
