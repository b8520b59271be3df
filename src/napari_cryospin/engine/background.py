"""The background of images: its plane and its spread, which neighbours, ice and edges do not move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TILES = 8
"""Tiles along a side of the image: a neighbour fills few of them, and the mean of one has little noise. Chosen by
hand."""
FEWEST_PIXELS = 4
"""Pixels that a tile must have outside the mask. Chosen by hand."""
LIKE_VARIANCE = 4.0
"""Factor by which the variance within a tile may differ from the median tile's, either way: the noise of one micrograph
differs by less, a filled edge or a bead by more. Chosen by hand."""
CHANCE = 4.0
"""Standard deviations of chance by which the logarithm of that variance may differ in tiles of few pixels."""
CAUCHY = 2.385
"""Tuning constant of Cauchy's weights in standard deviations: 95 % efficient on normal errors (Holland and Welsch,
Robust regression using iteratively reweighted least-squares, 1977)."""
ITERATIONS = 6
"""Reweighted fits of the plane; chosen by hand."""
CLIP = 3.0
"""Standard deviations beyond which a tile or a pixel is left out."""
LIMITED_SQUARE = 0.9950
"""Mean square of a standard normal variable whose square is limited to that of `CLIP`."""
LEAST_SCALE = 1e-12
"""Scatter of the tiles that is admitted at the least, so as not to divide by zero; the background varies by about 1."""
BLOCK_VALUES = 2**19
"""Values that are looked at together: few enough to stay in the processor's cache."""
MAD = 1.4826
"""Standard deviation of a normal variable over its median absolute deviation."""
SLOPE_CHANCE = 6.0
"""Significance up to which a ramp is left: 95 % of the images without a ramp have less (chi squared of two degrees)."""
LEAST_SLOPE_WEIGHT = 1e-3
"""Weight of a slope of 0 over that of the tiles, where too few tiles are left to tell the slope."""

Values = NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class BackgroundFit:
    """Background of some images.

    Attributes
    ----------
    plane : ndarray
        `(k, 3)` value at the centre, and slopes along x and y over the whole box.
    deviation : ndarray
        `(k,)` standard deviation about the plane; 0 where the background does not vary.
    """

    plane: Values
    deviation: Values


class Background:
    """The pixels of a box that lie outside the mask, in tiles.

    Parameters
    ----------
    box_size : int
        Pixels.
    radius : float
        Radius of the mask, in pixels.
    """

    def __init__(self, box_size: int, radius: float) -> None:
        self.axis = ((np.arange(box_size) - box_size // 2) / box_size).astype(np.float32)
        outside = np.hypot(self.axis[:, None], self.axis) * box_size >= radius
        self.pixels = np.flatnonzero(outside)
        y, x = np.divmod(self.pixels, box_size)
        tile = (y * TILES // box_size) * TILES + x * TILES // box_size
        tile = np.unique(tile, return_inverse=True)[1]
        self.members = (tile[:, None] == np.arange(tile.max() + 1)).astype(np.float32)
        self.place = np.stack((np.ones(len(x)), self.axis[x], self.axis[y]), axis=-1).astype(np.float32)
        self.count = self.members.sum(0)
        self.centre = self.members.T @ self.place / self.count[:, None]

    def values(self, images: NDArray[Any]) -> NDArray[Any]:
        """Take the values `(k, m)` outside the mask of images `(k, n, n)`."""
        return images.reshape(len(images), -1)[:, self.pixels]

    def fit(self, images: Values, seen: NDArray[np.bool_] | None = None) -> BackgroundFit:
        """Fit the plane of images `(k, n, n)`, and measure the spread about it.

        The plane is fitted to the means of tiles, by iteratively reweighted least squares. Tiles whose variance is not
        like the others' are left out (filled edges, beads), and so are those whose mean lies far off the plane
        (neighbours, ice); single pixels that lie far off it count as `CLIP` standard deviations.

        Parameters
        ----------
        images
            `(k, n, n)`.
        seen
            `(k, n, n)` False where an image shows nothing. Default: it shows something everywhere.
        """
        size = max(1, BLOCK_VALUES // len(self.pixels))
        blocks = [slice(start, start + size) for start in range(0, len(images), size)]
        fits = [self._fit_block(images[part], None if seen is None else seen[part]) for part in blocks]
        planes, deviations = zip(*fits, strict=True)
        return BackgroundFit(plane=np.concatenate(planes), deviation=np.concatenate(deviations))

    def _fit_block(self, images: Values, seen: NDArray[np.bool_] | None) -> tuple[Values, Values]:
        values = self.values(images)
        shown = None if seen is None else self.values(seen).astype(np.float32)
        count = np.broadcast_to(self.count, (len(values), len(self.count))) if shown is None else shown @ self.members
        means = self._tile_means(values, shown, count)
        variance = self._tile_means(values**2, shown, count) - means**2
        alike = _alike(variance, count)
        plane, near = self._plane(means, count * alike)
        kept = near & alike
        squares = (values - plane @ self.place.T) ** 2
        squares *= kept.astype(np.float32) @ self.members.T
        if shown is not None:
            squares *= shown
        return plane, _limited_deviation(squares, (count * kept).sum(1))

    def _tile_means(self, values: Values, shown: Values | None, count: Values) -> Values:
        return (values if shown is None else values * shown) @ self.members / np.maximum(count, 1)

    def _plane(self, means: Values, count: Values) -> tuple[Values, NDArray[np.bool_]]:
        """Fit planes `(k, 3)` to the tiles' means `(k, t)`, and tell which tiles `(k, t)` lie near them."""
        weights = count
        for _ in range(ITERATIONS):
            matrix = self._normal_matrix(weights)
            plane = np.linalg.solve(matrix, ((weights * means) @ self.centre)[..., None])[..., 0]
            off = np.abs(means - plane @ self.centre.T) * np.sqrt(count)
            scale = np.maximum(MAD * masked_median(off, count > 0), LEAST_SCALE)[:, None]
            weights = count / (1 + (off / (CAUCHY * scale)) ** 2)
        return _shrunk_slopes(plane, matrix, scale).astype(np.float32), off <= CLIP * scale

    def _normal_matrix(self, weights: Values) -> Values:
        """Compute the normal equations' matrices `(k, 3, 3)` of weighted tiles."""
        squares = self.centre[:, :, None] * self.centre[:, None]
        matrix = (weights @ squares.reshape(-1, 9)).reshape(-1, 3, 3).astype(np.float64)
        total = weights.sum(1)
        matrix[:, 0, 0] += total == 0  # No tile is left: the plane is 0.
        matrix[:, [1, 2], [1, 2]] += LEAST_SLOPE_WEIGHT * total[:, None] + (total == 0)[:, None]
        return matrix

    def subtract(self, images: Values, plane: Values) -> None:
        """Subtract planes `(k, 3)` from images `(k, n, n)`, in place."""
        images -= (plane[:, :1] + plane[:, 1:2] * self.axis)[:, None]
        images -= (plane[:, 2:] * self.axis)[:, :, None]


def _shrunk_slopes(plane: Values, matrix: Values, scale: Values) -> Values:
    """Shrink the slopes of planes `(k, 3)` that may be chance, so that no noise is put into images without a ramp.

    The factor is the positive part of 1 - c / chi squared (James and Stein, Estimation with quadratic loss, 1961).
    """
    across = matrix[:, 1:, 0]
    own = matrix[:, 1:, 1:] - across[:, :, None] * across[:, None] / matrix[:, :1, :1]
    slopes = plane[:, 1:]
    significance = np.einsum("ka,kab,kb->k", slopes, own, slopes)[:, None] / scale**2
    kept = np.maximum(1 - SLOPE_CHANCE / np.maximum(significance, SLOPE_CHANCE), 0)
    # The value at the centre is that of the plane with these slopes through the tiles' mean.
    centre = plane[:, :1] + ((1 - kept) * slopes * across).sum(1, keepdims=True) / matrix[:, 0, :1]
    return np.concatenate((centre, kept * slopes), axis=1)


def _alike(variance: Values, count: Values) -> NDArray[np.bool_]:
    """Tell which tiles `(k, t)` have a variance like that of the image's other tiles."""
    varied = (count >= FEWEST_PIXELS) & (variance > 0)
    typical = masked_median(variance, varied)[:, None]
    factor = np.maximum(LIKE_VARIANCE, np.exp(CHANCE * np.sqrt(2 / np.maximum(count, 1))))
    return varied & (variance < factor * typical) & (variance > typical / factor)


def _limited_deviation(squares: Values, count: Values) -> Values:
    """Compute the standard deviation `(k,)` of residuals with these squares `(k, m)`, of which so many `(k,)` count."""
    count = np.maximum(count, 1)
    variance = squares.sum(1) / count
    for _ in range(2):
        limit = CLIP**2 * variance[:, None]
        variance = np.minimum(squares, limit).sum(1) / (LIMITED_SQUARE * count)
    return np.sqrt(variance).astype(np.float32)


def masked_median(values: Values, mask: NDArray[np.bool_]) -> Values:
    """Compute the median `(k,)` of those values `(k, m)` at which the mask is True; 0 where there are none."""
    ordered = np.sort(np.where(mask, values, np.inf), axis=1)
    count = mask.sum(1)
    every = np.arange(len(ordered))
    low, high = ordered[every, np.maximum(count - 1, 0) // 2], ordered[every, np.minimum(count // 2, mask.shape[1] - 1)]
    return np.where(count > 0, (low + high) / 2, 0).astype(np.float32)
